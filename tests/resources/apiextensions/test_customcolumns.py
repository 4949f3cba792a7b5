"""Columns, selectable fields and scale paths out of a definition's version."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.resources.apiextensions.customcolumns import custom_columns, field_selectors
from seamark.resources.apiextensions.customscale import find_value, scale_paths, validate_scale
from seamark.resources.registry import ScalePaths

NOW = 1_700_000_000.0  # 2023-11-14T22:13:20Z


@pytest.mark.parametrize(
    ("kind", "value", "cell"),
    [
        ("string", "a", "a"),
        ("string", 1, "1"),
        ("string", True, "true"),
        ("string", {"b": [1]}, '{"b":[1]}'),
        ("string", None, None),
        ("integer", 5, 5),
        ("integer", 5.7, 5),
        ("integer", "5", None),
        ("integer", True, None),
        ("number", 1.5, 1.5),
        ("boolean", False, False),
        ("boolean", "x", None),
        ("date", "2023-11-14T22:12:20Z", "60s"),
        ("date", "yesterday", "<invalid>"),
        ("date", 1, None),
    ],
)
def test_cells(kind: str, value: Any, cell: Any) -> None:
    (_, column) = custom_columns({"additionalPrinterColumns": [{"name": "A", "type": kind, "jsonPath": ".spec.a"}]})
    assert column.cell is not None
    assert column.cell({"spec": {"a": value}}, NOW) == cell
    assert column.cell({}, NOW) is None


@pytest.mark.parametrize(
    ("declared", "names"),
    [
        pytest.param([], ["Name", "Age"], id="none"),
        pytest.param(
            [{"name": "A", "type": "string", "jsonPath": ".spec"}], ["Name", "A"], id="no age unless asked for"
        ),
        pytest.param([{"name": "A", "type": "string", "jsonPath": ".a["}], ["Name", "Age"], id="not a path"),
    ],
)
def test_which_columns(declared: list[dict[str, Any]], names: list[str]) -> None:
    assert [column.name for column in custom_columns({"additionalPrinterColumns": declared})] == names


def test_selectable_fields() -> None:
    (label, read), *_ = field_selectors({"selectableFields": [{"jsonPath": ".spec.size"}]}).items()
    assert (label, read({"spec": {"size": 2}}), read({"spec": {}})) == ("spec.size", "2", "")


PATHS = scale_paths({"subresources": {"scale": {"specReplicasPath": ".spec.n", "statusReplicasPath": ".status.n"}}})


@pytest.mark.parametrize(
    ("obj", "causes"),
    [
        ({"spec": {"n": 1}, "status": {"n": 1}}, []),
        ({}, []),
        ({"spec": {"n": -1}}, [(".spec.n", "Invalid value: -1: should be a non-negative integer")]),
        (
            {"spec": {"n": "x"}},
            [(".spec.n", "Invalid value: 0: .spec.n accessor error: x is of the type string, expected int64")],
        ),
        (
            {"spec": {"n": 2**31}},
            [(".spec.n", "Invalid value: 2147483648: should be less than or equal to 2147483647")],
        ),
    ],
)
def test_scale(obj: dict[str, Any], causes: list[tuple[str, str]]) -> None:
    assert ScalePaths(("spec", "n"), ("status", "n"), ()) == PATHS
    assert [(cause.field, cause.message) for cause in validate_scale(obj, PATHS)] == causes


def test_a_path_through_something_else() -> None:
    problem = ".spec.n accessor error: 3 is of the type int64, expected map[string]interface{}"
    assert find_value({"spec": 3}, ("spec", "n"), int) == (None, problem)
    assert find_value({"spec": None}, ("spec", "n"), int) == (None, "")
