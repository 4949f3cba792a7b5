"""A bad Corefile is told when it is written, by the API that the composition root has put together."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.cli.corefilewarning import corefile_warnings
from seamark.machinery.gvr import CONFIGMAPS
from seamark.resources.table import build_registry

GOOD = ".:53 {\n    errors\n    import extra/*.conf\n    forward . 192.0.2.1\n}\n"
BAD = ".:53 {\n    errors\n    forword . 192.0.2.1\n}\n"


def config_map(text: str, name: str = "coredns", namespace: str = "kube-system") -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace}, "data": {"Corefile": text}}


@pytest.mark.parametrize(
    ("obj", "expected"),
    [
        (config_map(GOOD), ()),
        (
            config_map(BAD),
            ("data.Corefile:3:5: unknown plugin 'forword'; DNS servers keep the Corefile they have",),
        ),
        (config_map(BAD, "node-local-dns"), 1),
        (config_map(BAD, "other"), ()),
        (config_map(BAD, namespace="default"), ()),
        (config_map("{$ZONE} {\nforword\n}"), ()),
        ({"metadata": {"name": "coredns", "namespace": "kube-system"}}, ()),
        (config_map("."), ()),
        (config_map(".:53 {"), 1),
    ],
)
def test_warnings(obj: dict[str, Any], expected: Any) -> None:
    found = tuple(corefile_warnings(obj))
    assert found == expected if isinstance(expected, tuple) else len(found) == expected


def test_the_registry_asks_whom_it_is_given() -> None:
    row = build_registry({CONFIGMAPS: corefile_warnings}).by_kind("", "ConfigMap")
    assert row is not None and row.warnings is corefile_warnings
