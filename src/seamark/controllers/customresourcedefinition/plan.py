"""A definition and the others of its group -> its status, and what is to be done before it may go.

A name belongs to the definition that had it first. Once established a kind stays so: a name it asks for later and
does not get leaves the old one in place. (Kubernetes spreads this over five controllers with a write each.)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from seamark.machinery.definitions import (
    APPROVED,
    CLEANUP,
    ESTABLISHED,
    NAMES_ACCEPTED,
    NON_STRUCTURAL,
    TERMINATING,
    accepted_names,
    approval,
    condition,
    is_protected,
    is_served,
    is_true,
    storage_version,
    versions,
    with_condition,
)
from seamark.machinery.fielderrors import quote
from seamark.machinery.gvr import GVR, version_priority
from seamark.machinery.jsonvalue import copy_json
from seamark.machinery.objectfields import Obj, entries, section, text
from seamark.machinery.structural.rules import find_unsupported, validate_structural

_APPROVALS = {
    "missing": ("False", "MissingAnnotation"),
    "bypassed": ("False", "UnapprovedAnnotation"),
    "approved": ("True", "ApprovedAnnotation"),
    "invalid": ("False", "InvalidAnnotation"),
}


def plan_status(crd: Obj, others: Iterable[Obj], now: str) -> Obj:
    """The status that the definition should have; the same one if nothing has to change."""
    names, accepted = _plan_names(crd, others)
    status = copy_json(section(crd, "status"))
    conditions = entries(status, "conditions")
    asked = {name: value for name, value in section(crd, "spec", "names").items() if value}
    if asked != accepted_names(crd):
        conditions = with_condition(conditions, accepted, now)
    if accepted["status"] == "True" and not is_true(crd, ESTABLISHED):
        new = condition(ESTABLISHED, "True", "InitialNamesAccepted", "the initial names have been accepted")
        conditions = with_condition(conditions, new, now)
    elif not any(one["type"] == ESTABLISHED for one in conditions):
        conditions = with_condition(
            conditions, condition(ESTABLISHED, "False", "NotAccepted", "not all names are accepted"), now
        )
    conditions = _plan_structural(crd, conditions, now)
    if is_protected(text(crd, "spec", "group")):
        state, reason = approval(crd)
        conditions = with_condition(conditions, condition(APPROVED, *_APPROVALS[state], reason), now)
    return {**status, "acceptedNames": names, "conditions": conditions}


def _plan_names(crd: Obj, others: Iterable[Obj]) -> tuple[Obj, Obj]:
    """The names it has from now on, and the condition about those it asks for."""
    asked, names = section(crd, "spec", "names"), copy_json(accepted_names(crd))
    resources, kinds = set[str](), set[str]()
    for other in others:
        taken = accepted_names(other)
        resources |= {text(taken, "plural"), text(taken, "singular"), *entries(taken, "shortNames")}
        kinds |= {text(taken, "kind"), text(taken, "listKind")}
    found = condition(NAMES_ACCEPTED, "True", "NoConflicts", "no conflicts found")
    for field, used in (("plural", resources), ("singular", resources), ("shortNames", resources), *_kinds(kinds)):
        wanted, had = asked.get(field), names.get(field)
        new = [one for one in wanted or () if one not in (had or ())] if field == "shortNames" else [wanted]
        conflicts = [one for one in new if one and wanted != had and one in used]
        if conflicts:
            texts = [f"{quote(one)} is already in use" for one in conflicts]
            message = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
            found = condition(NAMES_ACCEPTED, "False", f"{field[0].upper()}{field[1:]}Conflict", message)
        else:
            _set(names, field, wanted)
    _set(names, "categories", asked.get("categories"))
    return names, found


def _kinds(used: set[str]) -> tuple[tuple[str, set[str]], ...]:
    return (("kind", used), ("listKind", used))


def _set(names: Obj, field: str, value: Any) -> None:
    if value:
        names[field] = value
    else:
        names.pop(field, None)


def _plan_structural(crd: Obj, conditions: list[Obj], now: str) -> list[Obj]:
    """Definitions that were stored before their schemas had to be structural say what is wrong with them."""
    texts: list[str] = []
    for i, version in enumerate(versions(crd)):
        raw = section(version, "schema").get("openAPIV3Schema")
        if isinstance(raw, dict) and not find_unsupported(raw):
            causes = validate_structural(raw, f"spec.versions[{i}].schema.openAPIV3Schema")
            texts += [f"{cause.field}: {cause.message}" for cause in causes]
    if texts:
        message = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
        return with_condition(conditions, condition(NON_STRUCTURAL, "True", "Violations", message), now)
    return [one for one in conditions if one.get("type") != NON_STRUCTURAL]


def custom_gvr(crd: Obj) -> GVR | None:
    """By which version the kind's objects are watched: the stored one where it is served, else the most preferred."""
    if not is_served(crd):
        return None
    served = [text(version, "name") for version in versions(crd) if version.get("served")]
    if not served:
        return None
    names, stored = accepted_names(crd), storage_version(crd)
    version = stored if stored in served else max(served, key=version_priority)
    is_namespaced = text(crd, "spec", "scope") == "Namespaced"
    group = text(crd, "spec", "group")
    return GVR(group, version, text(names, "plural"), text(names, "kind"), namespaced=is_namespaced)


def is_leaving(crd: Obj) -> bool:
    meta = section(crd, "metadata")
    return bool(meta.get("deletionTimestamp")) and CLEANUP in (meta.get("finalizers") or ())


def plan_leaving(crd: Obj, reason: str, message: str, *, done: bool, now: str) -> Obj:
    """The status with the condition Terminating."""
    status = copy_json(section(crd, "status"))
    new = condition(TERMINATING, "False" if done else "True", reason, message)
    return {**status, "conditions": with_condition(entries(status, "conditions"), new, now)}


def without_finalizer(crd: Obj) -> Obj:
    """The patch that lets the definition go."""
    meta = section(crd, "metadata")
    left = [one for one in meta.get("finalizers") or () if one != CLEANUP]
    return {"metadata": {"resourceVersion": meta.get("resourceVersion"), "finalizers": left or None}}
