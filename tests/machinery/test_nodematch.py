"""Node selection: labels, affinity terms, taints."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.machinery.nodematch import matches_node, tolerates, untolerated
from seamark.model.node import Node, Taint
from seamark.testing.builders import as_kind, make_node

NODE = as_kind(Node, {**make_node("n1"), "metadata": {"name": "n1", "labels": {"zone": "a", "cores": "8"}}})


def required(*terms: dict[str, Any]) -> dict[str, Any]:
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}}


def label(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


@pytest.mark.parametrize(
    ("selector", "affinity", "wanted"),
    [
        pytest.param(None, None, True, id="nothing asked"),
        pytest.param({"zone": "a"}, None, True, id="selector"),
        pytest.param({"zone": "b"}, None, False, id="selector of another"),
        pytest.param(None, required(label("zone", "In", "a", "b")), True, id="in"),
        pytest.param(None, required(label("zone", "NotIn", "a")), False, id="not in"),
        pytest.param(None, required(label("gpu", "DoesNotExist")), True, id="does not exist"),
        pytest.param(None, required(label("cores", "Gt", "4")), True, id="greater"),
        pytest.param(None, required(label("cores", "Lt", "4")), False, id="less"),
        pytest.param(None, required(label("cores", "Gt", "x")), False, id="malformed number"),
        pytest.param(None, required(label("zone", "Near", "a")), False, id="unknown operator"),
        pytest.param(None, required(label("zone", "In", "b"), label("zone", "In", "a")), True, id="one term suffices"),
        pytest.param(None, required(), False, id="no term matches nothing"),
        pytest.param(None, required({}), False, id="an empty term matches nothing"),
        pytest.param(
            None,
            required({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}),
            True,
            id="name",
        ),
        pytest.param({"zone": "b"}, required(label("zone", "In", "a")), False, id="both must hold"),
        pytest.param(
            None, {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}, True, id="only preferred"
        ),
    ],
)
def test_matches(selector: dict[str, str] | None, affinity: dict[str, Any] | None, wanted: bool) -> None:
    assert matches_node(NODE, selector, affinity) is wanted


@pytest.mark.parametrize(
    ("toleration", "wanted"),
    [
        pytest.param({"operator": "Exists"}, True, id="everything"),
        pytest.param({"key": "k", "operator": "Exists"}, True, id="the key"),
        pytest.param({"key": "k", "value": "v"}, True, id="key and value"),
        pytest.param({"key": "k", "operator": "Equal", "value": "w"}, False, id="another value"),
        pytest.param({"key": "x", "operator": "Exists"}, False, id="another key"),
        pytest.param({"key": "k", "operator": "Exists", "effect": "NoExecute"}, False, id="another effect"),
        pytest.param({}, False, id="nothing"),
    ],
)
def test_tolerates(toleration: dict[str, str], wanted: bool) -> None:
    assert tolerates(toleration, Taint("k", "v", "NoSchedule")) is wanted


def test_only_the_effects_asked_for_count() -> None:
    taints = [Taint("soft", "", "PreferNoSchedule"), Taint("hard", "", "NoExecute")]
    assert untolerated(taints, [], effects=("NoSchedule",)) is None
    assert untolerated(taints, [], effects=("NoSchedule", "NoExecute")) == taints[1]
