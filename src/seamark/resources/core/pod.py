"""core/v1 Pod: containers that run together on one node.

A pod's spec is fixed once it exists, but for images, two deadlines and further tolerations; a change of anything else
is refused with the names of the fields. Defaults are in ``podspec_defaults``, what admission adds in
``pod_admission``, checks in ``podspec_validation``, cells in ``pod_columns``.
"""

from __future__ import annotations

from typing import Any

from seamark.machinery import gvr
from seamark.resources import field
from seamark.resources.access import entries, keep, section, text
from seamark.resources.columns import NONE
from seamark.resources.core.ephemeral import EPHEMERAL_CONTAINERS, validate_ephemeral_containers
from seamark.resources.core.pod_admission import admit, admit_with_references, references_of, tolerate_lost_nodes
from seamark.resources.core.pod_columns import gates_cell, ip_cell, ready_cell, restarts_cell, status_cell
from seamark.resources.core.podspec_defaults import CONTAINER_LISTS, default_pod
from seamark.resources.core.podspec_validation import MAX_INT32, validate_pod_spec
from seamark.resources.core.podspec_warnings import pod_warnings
from seamark.resources.registry import AGE, NAME, Causes, Column, Obj, Resource

UPDATABLE = (
    "`spec.containers[*].image`",
    "`spec.initContainers[*].image`",
    "`spec.activeDeadlineSeconds`",
    "`spec.tolerations` (only additions to existing tolerations)",
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
)


def validate(pod: Obj) -> Causes:
    spec = section(pod, "spec")
    causes = validate_pod_spec("spec", spec, is_pod=True)
    causes += validate_ephemeral_containers("spec.ephemeralContainers", spec)
    if not text(spec, "serviceAccountName"):
        causes += _validate_no_tokens(entries(spec, "volumes"))
    if text(spec, "nodeName") and entries(spec, "schedulingGates"):
        detail = "cannot be set until all schedulingGates have been cleared"
        causes.append(field.forbidden("spec.nodeName", detail))
    return causes


def validate_create(pod: Obj) -> Causes:
    if entries(pod, "spec", "ephemeralContainers"):
        return [field.forbidden("spec.ephemeralContainers", "cannot be set on create")]
    return []


def _validate_no_tokens(volumes: list[Obj]) -> Causes:
    """A pod without an account (a mirror pod) has nobody to make a token for."""
    return [
        field.forbidden(
            f"spec.volumes[{i}].projected.sources[{j}].serviceAccountToken",
            "must not be specified when serviceAccountName is not set",
        )
        for i, volume in enumerate(volumes)
        for j, source in enumerate(entries(volume, "projected", "sources"))
        if source.get("serviceAccountToken") is not None
    ]


def prepare_update(new: Obj, old: Obj) -> None:
    keep(new, old, "status")
    spec, before = section(new, "spec"), section(old, "spec")
    tolerate_lost_nodes(spec)
    for name in ("priority", "preemptionPolicy"):  # given on create, and by whoever sends a manifest left out
        if spec.get(name) is None and before.get(name) is not None:
            spec[name] = before[name]


def validate_update(new: Obj, old: Obj) -> Causes:
    spec, before = section(new, "spec"), section(old, "spec")
    causes: Causes = []
    for name in CONTAINER_LISTS:
        now, then = entries(spec, name), entries(before, name)
        if len(now) != len(then):
            return [*causes, field.forbidden(f"spec.{name}", "pod updates may not add or remove containers")]
    causes += _validate_deadline(spec.get("activeDeadlineSeconds"), before.get("activeDeadlineSeconds"))
    causes += _validate_tolerations(entries(spec, "tolerations"), entries(before, "tolerations"))
    causes += _validate_gates(entries(spec, "schedulingGates"), entries(before, "schedulingGates"))
    changed = sorted(_changed_fields(_without_updatable(spec), _without_updatable(before)))
    if (before.get("terminationGracePeriodSeconds") or 0) < 0 and spec.get("terminationGracePeriodSeconds") == 1:
        changed = [name for name in changed if name != "terminationGracePeriodSeconds"]
    if changed:
        listed = "\n".join(f"  spec.{name}" for name in changed)
        detail = f"pod updates may not change fields other than {','.join(UPDATABLE)}\n{listed}"
        causes.append(field.forbidden("spec", detail))
    return causes


def _without_updatable(spec: Obj) -> Obj:
    kept = {k: v for k, v in spec.items() if k not in ("activeDeadlineSeconds", "tolerations", "schedulingGates")}
    for name in CONTAINER_LISTS:
        kept[name] = [{k: v for k, v in c.items() if k != "image"} for c in entries(spec, name)]
    return kept


def _changed_fields(new: Obj, old: Obj) -> set[str]:
    """Kubernetes prints a Go diff here; the names of the fields say the same."""
    return {name for name in new.keys() | old.keys() if (new.get(name) or None) != (old.get(name) or None)}


def _validate_deadline(new: Any, old: Any) -> Causes:
    path = "spec.activeDeadlineSeconds"
    if new is None:
        return [field.invalid(path, None, "must not update from a positive integer to nil value")] if old else []
    causes = field.in_range(path, new, 0, MAX_INT32)
    if not causes and old is not None and old < new:
        causes.append(field.invalid(path, new, "must be less than or equal to previous value"))
    return causes


def _validate_tolerations(new: list[Obj], old: list[Obj]) -> Causes:
    """Additions only; the seconds of one that stays may change."""

    def bare(toleration: Obj) -> Obj:
        return {k: v for k, v in toleration.items() if k != "tolerationSeconds" and v}

    kept = [bare(toleration) for toleration in new]
    if all(bare(toleration) in kept for toleration in old):
        return []
    return [field.forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds")]


def _validate_gates(new: list[Obj], old: list[Obj]) -> Causes:
    only = "only deletion is allowed, but found new scheduling gate"
    added = [text(gate, "name") for gate in new if gate not in old]
    return [field.forbidden("spec.schedulingGates", f"{only} '{name}'") for name in added]


def prepare_status(new: Obj, old: Obj) -> None:
    keep(new, old, "spec")
    status, before = section(new, "status"), section(old, "status")
    if not status.get("qosClass") and before.get("qosClass"):
        status["qosClass"] = before["qosClass"]
    _bring_together(status, "podIP", "podIPs")
    _bring_together(status, "hostIP", "hostIPs")


def _bring_together(status: Obj, one: str, many: str) -> None:
    """The single address and the list say the same; where they differ the single one counts."""
    listed = entries(status, many)
    if status.get(one):
        if not listed or text(listed[0], "ip") != status[one]:
            status[many] = [{"ip": status[one]}]
    elif listed:
        status[one] = text(listed[0], "ip")


def validate_status(new: Obj, old: Obj) -> Causes:
    status, before = section(new, "status"), section(old, "status")
    causes: Causes = []
    if before.get("qosClass"):
        causes += field.immutable("status.qosClass", status.get("qosClass"), before["qosClass"])
    return causes


POD = Resource(
    gvr=gvr.PODS,
    singular="pod",
    short_names=("po",),
    categories=("all",),
    columns=(
        NAME,
        Column("Ready", cell=ready_cell),
        Column("Status", cell=status_cell),
        Column("Restarts", cell=restarts_cell),
        AGE,
        Column("IP", priority=1, cell=ip_cell),
        Column("Node", priority=1, cell=lambda obj, now: text(obj, "spec", "nodeName") or NONE),
        Column("Nominated Node", priority=1, cell=lambda obj, now: text(obj, "status", "nominatedNodeName") or NONE),
        Column("Readiness Gates", priority=1, cell=gates_cell),
    ),
    subresources=(
        "attach",
        "binding",
        "ephemeralcontainers",
        "eviction",
        "exec",
        "log",
        "portforward",
        "proxy",
        "status",
    ),
    parts={"ephemeralcontainers": EPHEMERAL_CONTAINERS},
    has_generation=True,
    returns_object_on_delete=True,
    field_selectors={
        "spec.nodeName": lambda obj: text(obj, "spec", "nodeName"),
        "spec.restartPolicy": lambda obj: text(obj, "spec", "restartPolicy"),
        "spec.schedulerName": lambda obj: text(obj, "spec", "schedulerName"),
        "spec.serviceAccountName": lambda obj: text(obj, "spec", "serviceAccountName"),
        "spec.hostNetwork": lambda obj: "true" if section(obj, "spec").get("hostNetwork") else "false",
        "status.phase": lambda obj: text(obj, "status", "phase"),
        "status.podIP": lambda obj: text(obj, "status", "podIP"),
        "status.podIPs": lambda obj: text(obj, "status", "podIP"),
        "status.nominatedNodeName": lambda obj: text(obj, "status", "nominatedNodeName"),
        "spec.host": lambda obj: text(obj, "spec", "nodeName"),  # what clients of before 1.0 call it
    },
    default=default_pod,
    prepare_create=admit,
    references=references_of,
    admit=admit_with_references,
    prepare_update=prepare_update,
    validate=validate,
    validate_create=validate_create,
    validate_update=validate_update,
    prepare_status=prepare_status,
    validate_status=validate_status,
    warnings=pod_warnings,
)
