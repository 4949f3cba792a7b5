"""What OpenAPI says of a schema: everything in v3, in v2 nothing that would be wrong."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.machinery.structural.publish import publish_v2, publish_v3

EITHER = [{"type": "integer"}, {"type": "string"}]
KIND = {"kind": {"type": "string"}}


def inside(raw: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": raw}}


@pytest.mark.parametrize(
    ("raw", "v3", "v2"),
    [
        pytest.param(
            {"x-kubernetes-int-or-string": True},
            {"x-kubernetes-int-or-string": True, "anyOf": EITHER},
            {"x-kubernetes-int-or-string": True},
            id="either",
        ),
        pytest.param(
            {"type": "string", "nullable": True, "default": "x", "not": {"pattern": "a"}},
            {"type": "string", "nullable": True, "default": "x", "not": {"pattern": "a"}},
            {},
            id="v2 has no words for null, defaults and not",
        ),
        pytest.param(
            {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {"b": {"type": "string"}}},
            {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {"b": {"type": "string"}}},
            {"x-kubernetes-preserve-unknown-fields": True},
            id="unknown fields",
        ),
        pytest.param(
            {"type": "object", "required": ["b"], "properties": {"b": {"type": "string", "nullable": True}}},
            {"type": "object", "required": ["b"], "properties": {"b": {"type": "string", "nullable": True}}},
            {"type": "object", "properties": {"b": {}}},
            id="required, but null will do",
        ),
        pytest.param(
            {"type": "object", "x-kubernetes-embedded-resource": True},
            {
                "type": "object",
                "x-kubernetes-embedded-resource": True,
                "required": ["kind", "apiVersion"],
                "properties": KIND,
            },
            {
                "type": "object",
                "x-kubernetes-embedded-resource": True,
                "required": ["kind", "apiVersion"],
                "properties": KIND,
            },
            id="a resource inside",
        ),
    ],
)
def test_published(raw: dict[str, Any], v3: dict[str, Any], v2: dict[str, Any]) -> None:
    assert publish_v3(inside(raw), KIND) == {"type": "object", "properties": {"a": v3} | KIND}
    assert publish_v2(inside(raw), KIND) == {"type": "object", "properties": {"a": v2} | KIND}


def test_without_a_schema() -> None:
    assert publish_v3(None, KIND) == publish_v2(None, KIND) == {"type": "object"}
