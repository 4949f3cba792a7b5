"""Defaults and validation against what Kubernetes 1.36.3 itself said, word for word (see recorded/README.md)."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from seamark.resources.table import build_registry

Obj = dict[str, Any]
FILES = sorted((Path(__file__).parent / "recorded").glob("*.json"))
ROWS = {row.gvr.kind: row for row in build_registry().rows}

# Allocated after validation here, before it in Kubernetes.
NOT_YET = "spec.healthCheckNodePort: Required value"


def changed(base: Obj, case: Obj) -> Obj:
    obj = deepcopy(base)
    holder: Any = obj
    for name in case["at"][:-1]:
        holder = holder[name]
    if case.get("delete"):
        del holder[case["at"][-1]]
    else:
        holder[case["at"][-1]] = deepcopy(case["set"])
    return obj


def defaulted(kind: str, obj: Obj) -> Obj:
    row, obj = ROWS[kind], deepcopy(obj)
    meta = obj.setdefault("metadata", {})
    meta.setdefault("name", "web")
    if row.gvr.namespaced:
        meta.setdefault("namespace", "default")
    if row.default:
        row.default(obj)
    spec = obj.get("spec")
    if kind == "Service" and spec and spec.get("clusterIP") and not spec.get("clusterIPs"):
        spec["clusterIPs"] = [spec["clusterIP"]]  # prepare_create does this
    return obj


def causes(kind: str, obj: Obj) -> list[str]:
    row = ROWS[kind]
    found = [cause for validate in (row.validate, row.validate_create) if validate for cause in validate(obj)]
    return list(dict.fromkeys(f"{c.field}: {c.message}" for c in found))


def without_empty(value: Any) -> Any:
    """Go omits empty values, mostly; whether ``{}`` is written or not means the same."""
    if isinstance(value, dict):
        found = {k: without_empty(v) for k, v in value.items() if v is not False}
        return {k: v for k, v in found.items() if v not in (None, "", [], {})}
    return [without_empty(v) for v in value] if isinstance(value, list) else value


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_defaults_are_those_of_kubernetes(path: Path) -> None:
    recorded = json.loads(path.read_text())
    ours = without_empty(defaulted(recorded["kind"], recorded["base"]))
    theirs = without_empty(recorded["defaulted"])
    ours.pop("status", None)
    if recorded["kind"] == "Service" and "clusterIPs" not in theirs["spec"]:
        ours["spec"].pop("clusterIPs", None)
    if recorded["kind"] == "DaemonSet":
        del theirs["metadata"]["annotations"]  # prepare_create counts the templates
    assert ours == theirs


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_causes_are_those_of_kubernetes(path: Path) -> None:
    recorded = json.loads(path.read_text())
    kind, wrong = recorded["kind"], []
    assert causes(kind, defaulted(kind, recorded["base"])) == recorded["causes"]
    for case in recorded["cases"]:
        ours = causes(kind, defaulted(kind, changed(recorded["base"], case)))
        theirs = [cause for cause in case["causes"] if cause != NOT_YET]
        if ours != theirs:
            change = "deleted" if case.get("delete") else f"= {case['set']!r}"
            wrong.append(f"{case['at']} {change}:\n  ours   {ours}\n  theirs {theirs}")
    assert not wrong, "\n".join(wrong)


def test_every_kind_with_validation_was_recorded() -> None:
    recorded = {json.loads(path.read_text())["kind"] for path in FILES}
    assert recorded == {kind for kind, row in ROWS.items() if row.validate or row.validate_create} - {
        "CustomResourceDefinition"
    }
