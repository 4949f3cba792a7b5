"""metav1.Condition: what every entry of ``status.conditions`` must have where a kind's conditions are checked."""

from __future__ import annotations

import re

from seamark.machinery import names
from seamark.resources import field
from seamark.resources.access import entries, number, text
from seamark.resources.registry import Causes, Obj

STATUSES = ("False", "True", "Unknown")
_REASON = "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?"
_NO_REASON = (
    "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric "
    "characters or '_,:', and must end with an alphanumeric character or '_' (e.g. 'my_name',  or 'MY_NAME',  or "
    f"'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for validation is '{_REASON}')"
)


def validate_conditions(obj: Obj) -> Causes:
    causes, seen, path = Causes(), set[str](), "status.conditions"
    for i, condition in enumerate(entries(obj, "status", "conditions")):
        at, kind, reason = field.index(path, i), text(condition, "type"), text(condition, "reason")
        if kind in seen:
            causes.append(field.duplicate(f"{at}.type", kind))
        seen.add(kind)
        causes += field.invalids(f"{at}.type", kind, names.validate_qualified_name(kind))
        causes += field.one_of(f"{at}.status", text(condition, "status"), STATUSES)
        if number(condition, "observedGeneration") < 0:
            detail = "must be greater than or equal to zero"
            causes.append(field.invalid(f"{at}.observedGeneration", condition["observedGeneration"], detail))
        if not condition.get("lastTransitionTime"):
            causes.append(field.required(f"{at}.lastTransitionTime"))
        if not reason:
            causes.append(field.required(f"{at}.reason"))
        elif not re.fullmatch(_REASON, reason):
            causes.append(field.invalid(f"{at}.reason", reason, _NO_REASON))
    return causes
