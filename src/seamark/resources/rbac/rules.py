"""What Role and ClusterRole share: their rules, and a name that is any path segment."""

from __future__ import annotations

from collections.abc import Sequence

from seamark.resources import field
from seamark.resources.access import entries, text
from seamark.resources.registry import NAME, Causes, Column, Obj

GROUP = "rbac.authorization.k8s.io"

CREATED = Column("Created At", type="date", cell=lambda obj, now: text(obj, "metadata", "creationTimestamp"))
COLUMNS = (NAME, CREATED)


def validate_rbac_name(_: str) -> Sequence[str]:
    """Anything that can stand in a path, which is asked of every name: ``system:node`` is one."""
    return ()


def validate_rules(obj: Obj, *, namespaced: bool) -> Causes:
    causes: Causes = []
    for i, rule in enumerate(entries(obj, "rules")):
        causes += _validate_rule(field.index("rules", i), rule, namespaced=namespaced)
    return causes


def _validate_rule(path: str, rule: Obj, *, namespaced: bool) -> Causes:
    causes: Causes = []
    if not entries(rule, "verbs"):
        causes.append(field.required(f"{path}.verbs", "verbs must contain at least one value"))
    urls = entries(rule, "nonResourceURLs")
    if urls:
        where = f"{path}.nonResourceURLs"
        if namespaced:
            causes.append(field.invalid(where, urls, "namespaced rules cannot apply to non-resource URLs"))
        if any(entries(rule, name) for name in ("apiGroups", "resources", "resourceNames")):
            detail = "rules cannot apply to both regular resources and non-resource URLs"
            causes.append(field.invalid(where, urls, detail))
        return causes
    if not entries(rule, "apiGroups"):
        causes.append(field.required(f"{path}.apiGroups", "resource rules must supply at least one api group"))
    if not entries(rule, "resources"):
        causes.append(field.required(f"{path}.resources", "resource rules must supply at least one resource"))
    return causes
