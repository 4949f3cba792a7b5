"""Which rules an aggregated ClusterRole has to hold."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.controllers.clusterroleaggregation.plan import ClusterRole, plan_aggregation
from seamark.machinery.selectors import SelectorError
from seamark.model import codec

PODS = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}
NODES = {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}
SECRETS = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}


def role(name: str, rules: list[Any] | None = None, *, selects: list[Any] | None = None, **labels: str) -> ClusterRole:
    obj: dict[str, Any] = {"metadata": {"name": name, "labels": labels}, "rules": rules}
    if selects is not None:
        obj["aggregationRule"] = {"clusterRoleSelectors": selects}
    return codec.convert(obj, ClusterRole)


VIEW = {"matchLabels": {"to": "view"}}
EDIT = {"matchLabels": {"to": "edit"}}
OTHERS = [role("b", [NODES, PODS], to="view"), role("a", [PODS], to="view"), role("c", [SECRETS], to="edit")]


@pytest.mark.parametrize(
    ("aggregated", "wanted"),
    [
        pytest.param(role("x", [PODS]), None, id="not aggregated: its rules are its own"),
        pytest.param(role("x", selects=[VIEW]), [PODS, NODES], id="in the order of names, each rule once"),
        pytest.param(role("x", [PODS, NODES], selects=[VIEW]), None, id="as it should be"),
        pytest.param(role("x", selects=[EDIT, VIEW]), [SECRETS, PODS, NODES], id="selector by selector"),
        pytest.param(role("x", [PODS], selects=[{"matchLabels": {"to": "none"}}]), [], id="nothing selected any more"),
        pytest.param(role("a", [], selects=[VIEW], to="view"), [NODES, PODS], id="never itself"),
    ],
)
def test_rules(aggregated: ClusterRole, wanted: list[Any] | None) -> None:
    assert plan_aggregation(aggregated, OTHERS) == wanted


def test_a_selector_that_cannot_be_read_is_an_error() -> None:
    wrong = {"matchExpressions": [{"key": "a", "operator": "Near"}]}
    with pytest.raises(SelectorError):
        plan_aggregation(role("x", selects=[wrong]), OTHERS)
