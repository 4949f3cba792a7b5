"""A ClusterRole and all the others -> the rules it has to hold, or None where it holds them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from seamark.machinery.selectors import selector_from
from seamark.model.meta import Object, Projection

Rules = list[dict[str, Any]]


class AggregationRule(Projection, frozen=True):
    cluster_role_selectors: list[dict[str, Any]] | None = None


class ClusterRole(Object, frozen=True):
    rules: Rules | None = None
    aggregation_rule: AggregationRule | None = None


def plan_aggregation(role: ClusterRole, others: Iterable[ClusterRole]) -> Rules | None:
    """Selector by selector, in the order of the roles' names, each rule once. Raises SelectorError."""
    if role.aggregation_rule is None:
        return None
    found: Rules = []
    ordered = sorted(others, key=lambda one: one.metadata.name)
    for selector in role.aggregation_rule.cluster_role_selectors or ():
        wanted = selector_from(selector)
        for other in ordered:
            if other.metadata.name == role.metadata.name or not wanted.matches(other.labels):
                continue
            found += [rule for rule in other.rules or () if rule not in found]
    return None if found == (role.rules or []) else found
