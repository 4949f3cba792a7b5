"""Sets of fields, as managedFields carry them (FieldsV1), and their algebra.

A set is kept in the very form of its JSON, a tree: ``{"f:spec": {"f:ports": {".": {}, 'k:{"port":80}': {}}}}``.
``f:`` leads to a field, ``k:`` to a list's element by its keys, ``v:`` to one by its value, ``i:`` by its index. An
element that leads to ``{}`` is a member; one that leads further is a member only if ``.`` stands there. So reading
and writing cost nothing, and equal sets are equal dicts, provided that elements are in canonical form: what comes
from a client goes through ``parse_fields``.

No function changes its arguments; results may share parts with them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from seamark.machinery.fielderrors import quote
from seamark.machinery.jsonvalue import MAX_DEPTH

FieldSet = dict[str, Any]
"""A tree of dicts; at its root ``{}`` is the empty set."""

Path = tuple[str, ...]
"""The elements on the way to a field."""

MEMBER = "."
_LEAF: FieldSet = {}


class FieldSetError(ValueError):
    """What is no FieldsV1."""


def key_element(keys: Iterable[tuple[str, Any]]) -> str:
    """The element of a list's item that is known by the values of its keys."""
    return "k:" + compact(dict(sorted(keys)))


def value_element(value: Any) -> str:
    return "v:" + compact(value)


def compact(value: Any) -> str:
    """JSON as it stands in an element."""
    return escape_html(msgspec.json.encode(value).decode())


def escape_html(text: str) -> str:
    """JSON as Go writes it, which escapes what HTML would read."""
    for char in "&<>\u2028\u2029":
        if char in text:
            text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def make_set(*paths: Path) -> FieldSet:
    """The set of these paths."""
    found: FieldSet = {}
    for path in paths:
        node: FieldSet = _LEAF
        for element in reversed(path):
            node = {element: node}
        found = union(found, node)
    return found


def node_of(children: FieldSet, *, member: bool) -> FieldSet | None:
    """What stands behind an element with these children; None if there is nothing to say about it."""
    if member:
        return {MEMBER: {}, **children} if children else {}
    return children or None


def union(left: FieldSet, right: FieldSet) -> FieldSet:
    if not left or not right:
        return left or right
    found = dict(left)
    for element, node in right.items():
        mine = found.get(element)
        found[element] = node if mine is None else _union_nodes(mine, node)
    return found


def _union_nodes(left: FieldSet, right: FieldSet) -> FieldSet:
    if left and right:
        return union(left, right)
    further = left or right
    return further if not further or MEMBER in further else {MEMBER: {}, **further}


def difference(left: FieldSet, right: FieldSet) -> FieldSet:
    """The members of ``left`` that are none of ``right``; a member takes only itself away, not what lies below it."""
    found: FieldSet = {}
    for element, node in left.items():
        other = right.get(element)
        kept = node if other is None else _node_without(node, other)
        if kept is not None:
            found[element] = kept
    return found


def _node_without(node: FieldSet, other: FieldSet) -> FieldSet | None:
    if not node:
        return None if not other or MEMBER in other else node
    if not other:
        return {element: below for element, below in node.items() if element != MEMBER} or None
    return _as_node(difference(node, other))


def _as_node(found: FieldSet) -> FieldSet | None:
    """Membership alone is written ``{}``; nothing at all is no node."""
    if len(found) == 1 and MEMBER in found:
        return {}
    return found or None


def intersect(left: FieldSet, right: FieldSet) -> FieldSet:
    found: FieldSet = {}
    for element, node in left.items():
        other = right.get(element)
        kept = None if other is None else _common_node(node, other)
        if kept is not None:
            found[element] = kept
    return found


def _common_node(left: FieldSet, right: FieldSet) -> FieldSet | None:
    if left and right:
        return _as_node(intersect(left, right))
    further = left or right
    return {} if not further or MEMBER in further else None


def without_branches(left: FieldSet, right: FieldSet) -> FieldSet:
    """``left`` without the members of ``right`` and everything below them."""
    found: FieldSet = {}
    for element, node in left.items():
        other = right.get(element)
        if other is None:
            found[element] = node
        elif other and MEMBER not in other:
            kept = _as_node(without_branches(node, other)) if node else node
            if kept is not None:
                found[element] = kept
    return found


def has(fields: FieldSet, path: Path) -> bool:
    """Whether ``path`` is a member."""
    node: FieldSet | None = fields
    for element in path:
        node = node.get(element) if node else None
        if node is None:
            return False
    return bool(path) and node is not None and (not node or MEMBER in node)


def paths_of(fields: FieldSet) -> Iterator[Path]:
    """Every member: of each level first those on it, then what lies below them; fields before keys before values."""
    elements = sorted((element for element in fields if element != MEMBER), key=_order)
    for element in elements:
        if not fields[element] or MEMBER in fields[element]:
            yield (element,)
    for element in elements:
        for path in paths_of(fields[element]):
            yield (element, *path)


def _order(element: str) -> tuple[int, str]:
    return "fkvi".find(element[0]), element


def render_path(path: Path) -> str:
    """A path as conflicts name it: ``.spec.ports[port=80,protocol="TCP"].targetPort``."""
    return "".join(map(_render_element, path))


def _render_element(element: str) -> str:
    kind, text = element[:2], element[2:]
    if kind == "f:":
        return f".{text}"
    if kind == "k:":
        return "[" + ",".join(f"{name}={_shown(value)}" for name, value in json.loads(text).items()) + "]"
    return f"[={_shown(json.loads(text))}]" if kind == "v:" else f"[{text}]"


def _shown(value: Any) -> str:
    """A value as structured-merge-diff prints it."""
    match value:
        case str():
            return quote(value)
        case dict():
            return "".join(f"{key}={_shown(member)}" for key, member in value.items())
        case list():
            return "[" + ",".join(map(_shown, value)) + "]"
        case float():
            return str(int(value)) if value.is_integer() and abs(value) < 1e21 else repr(value)
    return compact(value)


def parse_fields(value: Any) -> FieldSet:
    """A FieldsV1 that somebody sent, in canonical form. Raises FieldSetError."""
    return _parse(value, MAX_DEPTH)


def _parse(value: Any, depth: int) -> FieldSet:
    if not isinstance(value, dict):
        raise FieldSetError(f"fieldsV1: expected an object, got {compact(value)[:80]}")
    if not depth:
        raise FieldSetError(f"fieldsV1: nested deeper than {MAX_DEPTH} levels")
    found: FieldSet = {}
    for element, below in value.items():
        node = _parse(below, depth - 1)
        if element == MEMBER:
            found[MEMBER] = {}
        else:
            found = union(found, {_canonical(element): _as_node(node) or {}})
    return found


def _canonical(element: str) -> str:
    kind, text = element[:2], element[2:]
    try:
        if kind == "f:":
            return element
        if kind == "v:":
            return value_element(json.loads(text))
        if kind == "k:":
            return key_element(json.loads(text).items())
        if kind == "i:":
            return f"i:{int(text)}"
    except (ValueError, AttributeError, RecursionError):
        pass
    raise FieldSetError(f"fieldsV1: {element[:80]!r} is no path element: it must begin with f:, k:, v: or i:")
