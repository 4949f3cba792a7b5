"""HorizontalPodAutoscalers between their versions, as Kubernetes 1.36.3 converted them; and what v1 is refused for."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from seamark.machinery.gvr import HORIZONTALPODAUTOSCALERS as V2
from seamark.machinery.gvr import HORIZONTALPODAUTOSCALERS_V1 as V1
from seamark.resources.autoscaling.horizontalpodautoscaler import HORIZONTALPODAUTOSCALER as ROW

Obj = dict[str, Any]
HERE = Path(__file__).parent
CASES: list[Obj] = json.loads((HERE / "conversions.json").read_text())["cases"]
RECORDED: Obj = json.loads((HERE / "recorded_v1.json").read_text())


def readable(obj: Obj) -> Obj:
    """What travels in annotations as what it says; no counts of nothing."""
    found = deepcopy(obj)
    annotations = found["metadata"].get("annotations", {})
    for key, value in annotations.items():
        if key.startswith("autoscaling."):
            annotations[key] = json.loads(value)
    status = {k: v for k, v in found.pop("status", {}).items() if v != 0}
    return {**found, **({"status": status} if status else {})}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_convert(case: Obj) -> None:
    assert ROW.default is not None and ROW.convert is not None
    obj = deepcopy(case["from"])
    if obj["apiVersion"] == V2.api_version:
        ROW.default(obj)
    found = ROW.convert(obj, V1 if case["to"] == V1.api_version else V2)
    found["spec"].setdefault("minReplicas", 1)  # a default, which is v1's as well
    assert readable(found) == readable(case["gives"])


def test_v1_is_refused_in_the_same_words() -> None:
    wrong = []
    for case in RECORDED["cases"]:
        obj = deepcopy(RECORDED["base"])
        holder: Any = obj
        for name in case["at"][:-1]:
            holder = holder[name]
        if case.get("delete"):
            del holder[case["at"][-1]]
        else:
            holder[case["at"][-1]] = case["set"]
        assert ROW.default is not None and ROW.convert is not None and ROW.validate is not None
        stored = ROW.convert({**obj, "apiVersion": V1.api_version, "metadata": {"name": "web"}}, V2)
        ROW.default(stored)
        ours = list(dict.fromkeys(f"{c.field}: {c.message}" for c in ROW.validate(stored)))
        if ours != case["causes"]:
            wrong.append(f"{case['at']} {case.get('set')!r}: {ours} {case['causes']}")
    assert not wrong, "\n".join(wrong)
