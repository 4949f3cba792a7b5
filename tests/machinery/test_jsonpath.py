"""JSONPath as printer columns and selectable fields use it."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.machinery.jsonpath import PathError, find_all, find_first, parse_path

OBJ: dict[str, Any] = {
    "metadata": {"name": "a", "annotations": {"example.com/x": "y"}},
    "status": {
        "conditions": [{"type": "Ready", "status": "True"}, {"type": "Old", "status": "False"}],
        "numbers": [1, 2, 3],
    },
}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (".metadata.name", ["a"]),
        ("$.metadata.name", ["a"]),
        (r".metadata.annotations.example\.com/x", ["y"]),
        (".metadata.annotations['example.com/x']", ["y"]),
        (".status.numbers[0]", [1]),
        (".status.numbers[-1]", [3]),
        (".status.numbers[5]", []),
        (".status.numbers[0:2]", [1, 2]),
        (".status.numbers[*]", [1, 2, 3]),
        ('.status.conditions[?(@.type=="Ready")].status', ["True"]),
        (".status.conditions[?(@.type!='Ready')].status", ["False"]),
        (".status.conditions[?(@.absent)].status", []),
        ("..type", ["Ready", "Old"]),
        (".absent.further", []),
        (".metadata.name.further", []),
    ],
)
def test_found(path: str, found: list[Any]) -> None:
    assert list(find_all(parse_path(path), OBJ)) == found
    assert find_first(parse_path(path), OBJ) == (found[0] if found else None)


@pytest.mark.parametrize("path", ["name", ".a[", ".a[b]", ".a[?(@.b==)]", ".a b"])
def test_refused(path: str) -> None:
    with pytest.raises(PathError):
        parse_path(path)
