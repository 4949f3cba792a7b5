"""Groups of the Kubernetes community: a definition in one must say who approved the API."""

from __future__ import annotations

from seamark.machinery.definitions import APPROVAL, approval, is_protected
from seamark.resources import field
from seamark.resources.access import section, text
from seamark.resources.registry import Causes, Obj


def validate_approval(new: Obj, old: Obj | None) -> Causes:
    if not is_protected(text(new, "spec", "group")):
        return []
    state, reason = approval(new)
    if old is not None and approval(old)[0] == state:
        return []
    path = f"metadata.annotations[{APPROVAL}]"
    if state == "missing":
        return [field.required(path, reason)]
    if state == "invalid":
        return [field.invalid(path, section(new, "metadata", "annotations")[APPROVAL], reason)]
    return []
