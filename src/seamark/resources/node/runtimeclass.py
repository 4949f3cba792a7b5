"""node.k8s.io/v1 RuntimeClass: what runs a pod's containers, what that costs, and which nodes can."""

from __future__ import annotations

from seamark.machinery import gvr, names
from seamark.machinery.status import forbidden
from seamark.resources import field
from seamark.resources.access import entries, section, text
from seamark.resources.core.container_validation import validate_quantity
from seamark.resources.core.podspec_validation import validate_toleration
from seamark.resources.metadata import validate_labels
from seamark.resources.registry import AGE, NAME, Causes, Column, Obj, Resource

_KEYS = ("key", "operator", "value", "effect")


def validate(obj: Obj) -> Causes:
    handler, causes = text(obj, "handler"), Causes()
    if not handler:
        causes.append(field.required("handler"))
    else:
        causes += field.invalids("handler", handler, names.validate_dns1123_label(handler))
    for name, value in section(obj, "overhead", "podFixed").items():
        causes += validate_quantity(field.index("overhead.limits", name), value)
    scheduling = section(obj, "scheduling")
    causes += validate_labels("scheduling.nodeSelector", section(scheduling, "nodeSelector"))
    seen: list[tuple[str, ...]] = []
    tolerations = entries(scheduling, "tolerations")
    for i, one in enumerate(tolerations):
        causes += validate_toleration(f"scheduling.tolerations[{i}]", one)
    for i, one in enumerate(tolerations):
        key = tuple(text(one, name) for name in _KEYS)
        if key in seen:
            shown = {name.capitalize(): text(one, name) for name in _KEYS}
            shown["TolerationSeconds"] = one.get("tolerationSeconds")
            causes.append(field.duplicate_struct(f"scheduling.tolerations[{i}]", shown))
        seen.append(key)
    return causes


def validate_update(new: Obj, old: Obj) -> Causes:
    return field.immutable("handler", text(new, "handler"), text(old, "handler"))


def apply_runtimeclass(pod: Obj, found: Obj | None) -> None:
    """Kubernetes' admission RuntimeClass: ``found`` is the one that the pod names. Raises Forbidden."""
    spec, name = section(pod, "spec"), text(pod, "spec", "runtimeClassName")
    if name and found is None:
        raise _refused(pod, f'pod rejected: RuntimeClass "{name}" not found')
    overhead = section(found or {}, "overhead").get("podFixed") or {}
    given = spec.get("overhead") or {}
    if given and not overhead:
        raise _refused(pod, "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead")
    if given not in ({}, overhead):
        raise _refused(pod, "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")
    if overhead:
        spec["overhead"] = dict(overhead)
    scheduling = section(found or {}, "scheduling")
    selector = dict(section(spec, "nodeSelector"))
    for key, value in section(scheduling, "nodeSelector").items():
        if selector.setdefault(key, value) != value:
            theirs, ours = f"runtimeClass.scheduling.nodeSelector[{key}]", f"pod.spec.nodeSelector[{key}]"
            raise _refused(pod, f"conflict: {theirs} = {value}; {ours} = {selector[key]}")
    if selector:
        spec["nodeSelector"] = selector
    added = [one for one in entries(scheduling, "tolerations") if one not in entries(spec, "tolerations")]
    if added:
        spec["tolerations"] = [*entries(spec, "tolerations"), *added]


def _refused(pod: Obj, why: str) -> Exception:
    return forbidden("pods", text(pod, "metadata", "name"), why)


RUNTIMECLASS = Resource(
    gvr=gvr.RUNTIMECLASSES,
    singular="runtimeclass",
    columns=(NAME, Column("Handler", cell=lambda obj, now: text(obj, "handler")), AGE),
    allows_create_on_update=True,
    unconditional_update=False,
    validate=validate,
    validate_update=validate_update,
)
