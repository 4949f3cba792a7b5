"""apps/v1 StatefulSet: pods with ordinals and lasting names."""

from __future__ import annotations

from seamark.machinery import gvr, names
from seamark.resources import field
from seamark.resources.access import default, ensure, entries, keep, number, section, text
from seamark.resources.apps.workload import (
    HISTORY_LIMIT,
    default_workload,
    strategy_struct,
    template_warnings,
    validate_counts,
    validate_int_or_percent,
    validate_selector,
    validate_status_counts,
    validate_template,
)
from seamark.resources.columns import CONTAINERS, IMAGES
from seamark.resources.registry import AGE, NAME, Causes, Column, Obj, Resource

RETENTION = ("Retain", "Delete")
UPDATABLE = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)


def default_statefulset(obj: Obj) -> None:
    spec = default_workload(obj, replicas=True)
    default(spec, "podManagementPolicy", "OrderedReady")
    strategy = ensure(spec, "updateStrategy")
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
        ensure(strategy, "rollingUpdate")
    if strategy["type"] == "RollingUpdate" and isinstance(strategy.get("rollingUpdate"), dict):
        default(strategy["rollingUpdate"], "partition", 0)
    retention = ensure(spec, "persistentVolumeClaimRetentionPolicy")
    default(retention, "whenDeleted", "Retain")
    default(retention, "whenScaled", "Retain")
    default(spec, "revisionHistoryLimit", HISTORY_LIMIT)
    for claim in entries(spec, "volumeClaimTemplates"):
        default(ensure(claim, "spec"), "volumeMode", "Filesystem")
        default(ensure(claim, "status"), "phase", "Pending")


def prepare_create(obj: Obj) -> None:
    obj["status"] = {"replicas": 0, "availableReplicas": 0}


def prepare_update(new: Obj, old: Obj) -> None:
    keep(new, old, "status")


def validate(obj: Obj) -> Causes:
    spec = section(obj, "spec")
    causes: Causes = []
    management = text(spec, "podManagementPolicy")
    if management not in ("OrderedReady", "Parallel"):
        detail = "must be 'OrderedReady' or 'Parallel'"
        causes.append(field.invalid("spec.podManagementPolicy", management, detail))
    causes += _validate_strategy(section(spec, "updateStrategy"))
    for name in ("whenDeleted", "whenScaled"):
        value = text(spec, "persistentVolumeClaimRetentionPolicy", name)
        if value not in RETENTION:
            path = f"spec.persistentVolumeClaimRetentionPolicy.{name}"
            causes.append(field.not_supported(path, value, RETENTION))
    causes += validate_counts(spec, "replicas", "minReadySeconds")
    causes += field.not_negative("spec.ordinals.start", section(spec, "ordinals").get("start"))
    service = text(spec, "serviceName")
    if service:
        causes += field.invalids("spec.serviceName", service, names.validate_dns1123_label(service))
    causes += validate_selector(spec, kind="statefulset")
    return causes + validate_template(_with_claim_volumes(spec), kind="StatefulSet")


def _with_claim_volumes(spec: Obj) -> Obj:
    """The template as its pods will have it: a volume for every claim template, hostname and subdomain set later."""
    template, pod = section(spec, "template"), section(spec, "template", "spec")
    claims = {text(claim, "metadata", "name") for claim in entries(spec, "volumeClaimTemplates")}
    volumes = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in sorted(claims)]
    volumes += [volume for volume in entries(pod, "volumes") if volume.get("name") not in claims]
    pod = {**pod, "volumes": volumes, "hostname": "", "subdomain": ""}
    return {**spec, "template": {**template, "spec": pod}}


def _validate_strategy(strategy: Obj) -> Causes:
    path, rolling = "spec.updateStrategy", strategy.get("rollingUpdate")
    match text(strategy, "type"):
        case "OnDelete":
            if rolling is None:
                return []
            detail = "only allowed for updateStrategy 'RollingUpdate'"
            return [field.invalid_struct(f"{path}.rollingUpdate", _struct(strategy)["RollingUpdate"], detail)]
        case "RollingUpdate":
            causes = field.not_negative(f"{path}.rollingUpdate.partition", (rolling or {}).get("partition"))
            unavailable = (rolling or {}).get("maxUnavailable")
            if unavailable is not None:
                causes += validate_int_or_percent(f"{path}.rollingUpdate.maxUnavailable", unavailable)
            return causes
    return [field.invalid_struct(path, _struct(strategy), "must be 'RollingUpdate' or 'OnDelete'")]


def _struct(strategy: Obj) -> Obj:
    shown = strategy_struct(strategy, "partition", "maxUnavailable")
    if shown["RollingUpdate"] is not None:
        shown["RollingUpdate"]["Partition"] = shown["RollingUpdate"]["Partition"] or 0
    return shown


def validate_update(new: Obj, old: Obj) -> Causes:
    spec, before = section(new, "spec"), section(old, "spec")
    fixed = (spec.keys() | before.keys()) - set(UPDATABLE)
    if all((spec.get(name) or None) == (before.get(name) or None) for name in fixed):
        return []
    *most, last = (f"'{name}'" for name in UPDATABLE)
    detail = f"updates to statefulset spec for fields other than {', '.join(most)} and {last} are forbidden"
    return [field.forbidden("spec", detail)]


STATEFULSET = Resource(
    gvr=gvr.STATEFULSETS,
    singular="statefulset",
    short_names=("sts",),
    categories=("all",),
    columns=(
        NAME,
        Column(
            "Ready",
            cell=lambda obj, now: f"{number(obj, 'status', 'readyReplicas')}/{number(obj, 'spec', 'replicas')}",
        ),
        AGE,
        CONTAINERS,
        IMAGES,
    ),
    subresources=("scale", "status"),
    has_generation=True,
    default=default_statefulset,
    prepare_create=prepare_create,
    prepare_update=prepare_update,
    validate=validate,
    validate_update=validate_update,
    validate_status=validate_status_counts,
    warnings=template_warnings,
    validate_name=names.validate_dns1123_label,
)
