"""A CustomResourceDefinition's names, versions and conditions: what of it is served, and whether.

The API reads them to make rows, the controller writes them.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from seamark.machinery.fielderrors import quote
from seamark.machinery.objectfields import Obj, entries, section, text

ESTABLISHED, NAMES_ACCEPTED, TERMINATING = "Established", "NamesAccepted", "Terminating"
APPROVED = "KubernetesAPIApprovalPolicyConformant"
NON_STRUCTURAL = "NonStructuralSchema"
CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
APPROVAL = "api-approved.kubernetes.io"
_SEE = "see https://github.com/kubernetes/enhancements/pull/1111"


def condition(kind: str, status: str, reason: str, message: str) -> Obj:
    """Without its time, which ``with_condition`` gives it."""
    return {"type": kind, "status": status, "reason": reason, "message": message}


def is_true(crd: Obj, kind: str) -> bool:
    return any(one.get("type") == kind and one.get("status") == "True" for one in entries(crd, "status", "conditions"))


def with_condition(conditions: list[Obj], new: Obj, now: str) -> list[Obj]:
    """The conditions with ``new`` among them; its time moves with its status alone."""
    found, placed = list[Obj](), False
    for old in conditions:
        if old.get("type") != new["type"]:
            found.append(old)
            continue
        placed = True
        since = old.get("lastTransitionTime") if old.get("status") == new["status"] else None
        found.append({"lastTransitionTime": since or now, **new})
    return found if placed else [*found, {"lastTransitionTime": now, **new}]


def accepted_names(crd: Obj) -> Obj:
    return section(crd, "status", "acceptedNames")


def is_served(crd: Obj) -> bool:
    names = accepted_names(crd)
    return is_true(crd, ESTABLISHED) and all(names.get(one) for one in ("plural", "singular", "kind", "listKind"))


def versions(crd: Obj) -> list[Any]:
    return entries(crd, "spec", "versions")


def storage_version(crd: Obj) -> str:
    return next((text(one, "name") for one in versions(crd) if one.get("storage")), "")


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
