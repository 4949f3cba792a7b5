"""A custom resource's schema as OpenAPI v3 and v2 publish it.

v3 says all; v2 cannot say alternatives, nulls and unknown fields, so there whatever speaks of them says less. The
resource's own and embedded apiVersion, kind and metadata are those of every resource.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from seamark.machinery.structural.schema import Raw

Node = dict[str, Any]

_EITHER = [{"type": "integer"}, {"type": "string"}]
_QUANTIFIED = ("allOf", "oneOf", "anyOf")
Common = Mapping[str, Node]
"""apiVersion, kind and metadata as every resource publishes them."""


def publish_v3(raw: Raw | None, common: Common) -> Node:
    if raw is None:
        return {"type": "object"}
    return _resource(_with_resources(_unfolded(raw), common, v2=False), common)


def publish_v2(raw: Raw | None, common: Common) -> Node:
    if raw is None or raw.get("x-kubernetes-preserve-unknown-fields"):
        return {"type": "object"}
    return _resource(_with_resources(_lessened(raw), common, v2=True), common)


def _resource(node: Node, common: Common) -> Node:
    properties = {**(node.get("properties") or {}), **common}
    return {**node, "properties": dict(sorted(properties.items()))}


def _map(raw: Raw, change: Callable[[Raw], Node]) -> Node:
    """The node with every schema directly below it changed."""
    node = {key: value for key, value in raw.items() if value not in (None, False, "") or key == "default"}
    for key in ("items", "additionalProperties"):
        if isinstance(node.get(key), dict):
            node[key] = change(node[key])
    if node.get("properties"):
        node["properties"] = {name: change(inner) for name, inner in node["properties"].items()}
    return node


def _unfolded(raw: Raw) -> Node:
    """An int-or-string says so in words that every reader knows."""
    node = _map(raw, _unfolded)
    if not node.get("x-kubernetes-int-or-string"):
        return node
    if node.get("anyOf") == _EITHER or (node.get("allOf") or [{}])[0].get("anyOf") == _EITHER:
        return node
    if node.get("anyOf"):
        node["allOf"] = [{"anyOf": _EITHER}, *(node.get("allOf") or ())]
    else:
        node["anyOf"] = _EITHER
    return node


def _lessened(raw: Raw) -> Node:
    """Without what v2 has no words for, and without saying anything wrong instead."""
    node = _map(raw, _lessened)
    for key in (*_QUANTIFIED, "not", "default", "nullable"):
        node.pop(key, None)
    preserves = node.get("x-kubernetes-preserve-unknown-fields")
    if raw.get("nullable") or preserves:
        node.pop("items", None)
        node.pop("properties", None)
    if raw.get("nullable") or (preserves and node.get("type") == "object"):
        node.pop("type", None)
    if node.get("type") == "array" and "items" not in node:
        node.pop("type")
    nullable = {name for name, inner in (raw.get("properties") or {}).items() if inner.get("nullable")}
    if required := node.get("required"):
        node["required"] = [name for name in required if name not in nullable]
    others = raw.get("additionalProperties")
    if (isinstance(others, dict) and others.get("nullable")) or not node.get("required"):
        node.pop("required", None)
    return node


def _with_resources(raw: Raw, common: Common, *, v2: bool) -> Node:
    node = _map(raw, lambda inner: _with_resources(inner, common, v2=v2))
    if not node.get("x-kubernetes-embedded-resource") or (v2 and node.get("x-kubernetes-preserve-unknown-fields")):
        return node
    required = list(node.get("required") or ())
    required += [name for name in ("kind", "apiVersion") if name not in required]
    return _resource({**node, "required": required}, common)
