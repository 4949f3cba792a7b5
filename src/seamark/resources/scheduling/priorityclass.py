"""scheduling.k8s.io/v1 PriorityClass: a name for how much a pod matters."""

from __future__ import annotations

from seamark.machinery import gvr
from seamark.resources import field
from seamark.resources.access import default_pointer, number, text
from seamark.resources.core.podspec_validation import PREEMPTION_POLICIES
from seamark.resources.registry import AGE, NAME, Causes, Column, Obj, Resource

SYSTEM_PREFIX = "system-"
SYSTEM = {"system-cluster-critical": 2000000000, "system-node-critical": 2000001000}
HIGHEST = 1000000000


def default_priorityclass(obj: Obj) -> None:
    default_pointer(obj, "preemptionPolicy", "PreemptLowerPriority")
    obj.setdefault("value", 0)


def validate_create(obj: Obj) -> Causes:
    name, value, policy = text(obj, "metadata", "name"), number(obj, "value"), obj.get("preemptionPolicy")
    causes: Causes = []
    if name.startswith(SYSTEM_PREFIX):
        why = _not_system(name, value, is_default=bool(obj.get("globalDefault")))
        if why:
            said = f"priority class names with '{SYSTEM_PREFIX}' prefix are reserved for system use only. error: {why}"
            causes.append(field.forbidden("metadata.name", said))
    elif value > HIGHEST:
        causes.append(field.forbidden("value", f"maximum allowed value of a user defined priority is {HIGHEST}"))
    if policy == "":
        causes.append(field.required("preemptionPolicy"))
    elif policy not in PREEMPTION_POLICIES:
        causes.append(field.not_supported("preemptionPolicy", policy, PREEMPTION_POLICIES))
    return causes


def _not_system(name: str, value: int, *, is_default: bool) -> str:
    if name not in SYSTEM:
        return f"{name} is not a known system priority class"
    if value != SYSTEM[name]:
        return f"value of {name} PriorityClass must be {SYSTEM[name]}"
    return f"globalDefault of {name} PriorityClass must be false" if is_default else ""


def validate_update(new: Obj, old: Obj) -> Causes:
    causes: Causes = []
    if number(new, "value") != number(old, "value"):
        causes.append(field.forbidden("value", "may not be changed in an update."))
    return causes + field.immutable("preemptionPolicy", new.get("preemptionPolicy"), old.get("preemptionPolicy"))


PRIORITYCLASS = Resource(
    gvr=gvr.PRIORITYCLASSES,
    singular="priorityclass",
    short_names=("pc",),
    columns=(
        NAME,
        Column("Value", type="integer", cell=lambda obj, now: number(obj, "value")),
        Column("Global-Default", type="boolean", cell=lambda obj, now: bool(obj.get("globalDefault"))),
        AGE,
        Column("PreemptionPolicy", cell=lambda obj, now: text(obj, "preemptionPolicy")),
    ),
    has_generation=True,
    default=default_priorityclass,
    validate_create=validate_create,
    validate_update=validate_update,
)
