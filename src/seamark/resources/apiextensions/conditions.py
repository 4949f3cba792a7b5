"""Conditions and names of a CustomResourceDefinition: what of it is served, and whether."""

from __future__ import annotations

from typing import Any

from seamark.resources.access import entries, section, text
from seamark.resources.registry import Obj

ESTABLISHED, NAMES_ACCEPTED, TERMINATING = "Established", "NamesAccepted", "Terminating"
APPROVED = "KubernetesAPIApprovalPolicyConformant"
NON_STRUCTURAL = "NonStructuralSchema"
CLEANUP = "customresourcecleanup.apiextensions.k8s.io"


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
