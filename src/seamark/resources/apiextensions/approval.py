"""Groups of the Kubernetes community: a definition in one must say who approved the API."""

from __future__ import annotations

from urllib.parse import urlsplit

from seamark.machinery.fielderrors import quote
from seamark.resources import field
from seamark.resources.access import section, text
from seamark.resources.registry import Causes, Obj

APPROVAL = "api-approved.kubernetes.io"
_SEE = "see https://github.com/kubernetes/enhancements/pull/1111"


def is_protected(group: str) -> bool:
    """Groups of the Kubernetes community, in which an API must be approved."""
    return group in ("k8s.io", "kubernetes.io") or group.endswith((".k8s.io", ".kubernetes.io"))


def approval(obj: Obj) -> tuple[str, str]:
    """missing, bypassed, approved or invalid, and the reason for the condition."""
    given = str(section(obj, "metadata", "annotations").get(APPROVAL) or "")
    if not given:
        return "missing", f"protected groups must have approval annotation {quote(APPROVAL)}, {_SEE}"
    if given.startswith("unapproved"):
        return "bypassed", f"not approved: {quote(given)}"
    try:
        url = urlsplit(given)
    except ValueError:
        url = urlsplit("")
    if url.scheme and url.netloc:
        return "approved", f"approved in {given}"
    rule = f"protected groups must have approval annotation {quote(APPROVAL)} with either a URL or a reason"
    return "invalid", f'{rule} starting with "unapproved", {_SEE}'


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
