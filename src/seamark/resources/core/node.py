"""core/v1 Node: a machine that runs pods."""

from __future__ import annotations

from collections.abc import Sequence

from seamark.machinery import gvr, names
from seamark.resources import field
from seamark.resources.access import ensure, entries, keep, section, text
from seamark.resources.addresses import family_of, validate_cidr
from seamark.resources.columns import NONE, UNKNOWN
from seamark.resources.core.podspec_validation import TAINT_EFFECTS
from seamark.resources.registry import AGE, NAME, Causes, Column, Obj, Resource

ROLE_PREFIX = "node-role.kubernetes.io/"
ROLE_LABEL = "kubernetes.io/role"
NOT_READY = "node.kubernetes.io/not-ready"
_PODCIDR_FIXED = 'node updates may not change podCIDR except from "" to valid'
_PROVIDER_FIXED = 'node updates may not change providerID except from "" to valid'


def default_node(obj: Obj) -> None:
    spec, status = ensure(obj, "spec"), ensure(obj, "status")
    listed = entries(spec, "podCIDRs")
    if spec.get("podCIDR"):
        if not listed or listed[0] != spec["podCIDR"]:  # where they differ, the single one counts
            spec["podCIDRs"] = [spec["podCIDR"]]
    elif listed:
        spec["podCIDR"] = listed[0]
    if spec.get("unschedulable") is False:
        del spec["unschedulable"]
    if status.get("capacity") and status.get("allocatable") is None:
        status["allocatable"] = dict(status["capacity"])


def admit(obj: Obj, _: Sequence[Obj | None]) -> None:
    """Nothing is placed on a node before the node lifecycle controller has seen it Ready and takes this taint away
    (Kubernetes' admission plugin TaintNodesByCondition).
    """
    spec = ensure(obj, "spec")
    taints = entries(spec, "taints")
    if not any((text(t, "key"), text(t, "effect")) == (NOT_READY, "NoSchedule") for t in taints):
        spec["taints"] = [*taints, {"key": NOT_READY, "effect": "NoSchedule"}]


def prepare_update(new: Obj, old: Obj) -> None:
    keep(new, old, "status")


def prepare_status(new: Obj, old: Obj) -> None:
    keep(new, old, "spec")
    status = ensure(new, "status")
    if status.get("capacity") and status.get("allocatable") is None:
        status["allocatable"] = dict(status["capacity"])


def validate(obj: Obj) -> Causes:
    spec = section(obj, "spec")
    causes = _validate_taints(entries(spec, "taints"))
    ranges = entries(spec, "podCIDRs")
    for i, value in enumerate(ranges):
        causes += validate_cidr(field.index("spec.podCIDRs", i), value)
    families = [family_of(value.partition("/")[0]) for value in ranges]
    if len(set(families)) != len(families):
        detail = "may specify no more than one CIDR for each IP family"
        causes.append(field.invalid("spec.podCIDRs", ranges, detail))
    return causes


def _validate_taints(taints: list[Obj]) -> Causes:
    causes: Causes = []
    seen: set[tuple[str, str]] = set()
    for i, taint in enumerate(taints):
        path = f"metadata.taints[{i}]"  # so in Kubernetes, though they stand in the spec
        key, value, effect = text(taint, "key"), text(taint, "value"), text(taint, "effect")
        causes += field.invalids(f"{path}.key", key, names.validate_qualified_name(key))
        wrong = names.validate_label_value(value)
        if wrong:
            causes.append(field.invalid(f"{path}.value", value, ";".join(wrong)))
        if not effect:
            causes.append(field.required(f"{path}.effect"))
        elif effect not in TAINT_EFFECTS:
            causes.append(field.not_supported(f"{path}.effect", effect, TAINT_EFFECTS))
        if (key, effect) in seen:
            shown = {"Key": key, "Value": value, "Effect": effect, "TimeAdded": taint.get("timeAdded")}
            causes.append(field.duplicate_struct(path, shown, "taints must be unique by key and effect pair"))
        seen.add((key, effect))
    return causes


def validate_update(new: Obj, old: Obj) -> Causes:
    spec, before = section(new, "spec"), section(old, "spec")
    causes: Causes = []
    if entries(before, "podCIDRs") and entries(spec, "podCIDRs") != entries(before, "podCIDRs"):
        causes.append(field.forbidden("spec.podCIDRs", _PODCIDR_FIXED))
    if before.get("providerID") and spec.get("providerID") != before["providerID"]:
        causes.append(field.forbidden("spec.providerID", _PROVIDER_FIXED))
    return causes


def validate_status(new: Obj, old: Obj) -> Causes:
    addresses = entries(new, "status", "addresses")
    return [
        field.duplicate_struct(field.index("status.addresses", i), {"Type": a.get("type"), "Address": a.get("address")})
        for i, a in enumerate(addresses)
        if a in addresses[:i]
    ]


def status_cell(obj: Obj, now: float) -> str:
    ready = next((c for c in entries(obj, "status", "conditions") if c.get("type") == "Ready"), None)
    shown = "Unknown" if ready is None else "Ready" if ready.get("status") == "True" else "NotReady"
    return f"{shown},SchedulingDisabled" if section(obj, "spec").get("unschedulable") else shown


def roles_cell(obj: Obj, now: float) -> str:
    labels = section(obj, "metadata", "labels")
    roles = {name.removeprefix(ROLE_PREFIX) for name in labels if name.startswith(ROLE_PREFIX)}
    roles |= {str(labels.get(ROLE_LABEL) or "")}
    return ",".join(sorted(roles - {""})) or NONE


def _address(obj: Obj, kind: str) -> str:
    found = (text(a, "address") for a in entries(obj, "status", "addresses") if a.get("type") == kind)
    return next(found, NONE)


def _info(obj: Obj, name: str) -> str:
    return text(obj, "status", "nodeInfo", name) or UNKNOWN


def kernel_cell(obj: Obj, now: float) -> str:
    architecture = text(obj, "status", "nodeInfo", "architecture")
    kernel = _info(obj, "kernelVersion")
    return f"{kernel} ({architecture})" if architecture else kernel


NODE = Resource(
    gvr=gvr.NODES,
    singular="node",
    short_names=("no",),
    columns=(
        NAME,
        Column("Status", cell=status_cell),
        Column("Roles", cell=roles_cell),
        AGE,
        Column("Version", cell=lambda obj, now: text(obj, "status", "nodeInfo", "kubeletVersion")),
        Column("Internal-IP", priority=1, cell=lambda obj, now: _address(obj, "InternalIP")),
        Column("External-IP", priority=1, cell=lambda obj, now: _address(obj, "ExternalIP")),
        Column("OS-Image", priority=1, cell=lambda obj, now: _info(obj, "osImage")),
        Column("Kernel-Version", priority=1, cell=kernel_cell),
        Column("Container-Runtime", priority=1, cell=lambda obj, now: _info(obj, "containerRuntimeVersion")),
    ),
    subresources=("proxy", "status"),
    field_selectors={
        "spec.unschedulable": lambda obj: "true" if section(obj, "spec").get("unschedulable") else "false"
    },
    default=default_node,
    admit=admit,
    prepare_update=prepare_update,
    prepare_status=prepare_status,
    validate=validate,
    validate_update=validate_update,
    validate_status=validate_status,
)
