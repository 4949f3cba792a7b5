"""The fields that an applied configuration names, and those of a live object: structured-merge-diff's ToFieldSet.

An object with declared fields is not owned itself, only what it holds; a key of a map and an item of a list are.
Elements come sorted: a client that applied something compares the bytes of its set.
"""

from __future__ import annotations

from typing import Any

from seamark.machinery.apply.items import group_items
from seamark.machinery.apply.shape import ANY, KEYED, MAP, SET, STRUCT, Shape
from seamark.machinery.fieldset import MEMBER, FieldSet, node_of


def extract_fields(value: Any, shape: Shape) -> FieldSet:
    """The children of a value's node: for an object its field set."""
    if value is None:
        return {}
    if isinstance(value, dict) and shape.kind in (STRUCT, MAP, ANY):
        return _of_members(value, shape)
    if isinstance(value, list) and shape.kind in (KEYED, SET):
        return _of_items(value, shape)
    return {}


def _of_members(value: dict[str, Any], shape: Shape) -> FieldSet:
    found: FieldSet = {}
    for key, member in sorted(value.items()):
        below = shape.below(key)
        if below is None:
            continue
        children = {} if _is_leaf(member, below) else extract_fields(member, below)
        owned = shape.kind != STRUCT or member is None or member == {} or _is_leaf(member, below)
        node = node_of(children, member=owned)
        if node is not None:
            found[f"f:{key}"] = node
    return found


def _is_leaf(value: Any, shape: Shape) -> bool:
    return shape.leaf or (shape.kind == ANY and not isinstance(value, dict))


def _of_items(items: list[Any], shape: Shape) -> FieldSet:
    item = shape.item
    if item is None:
        return {}
    found: FieldSet = {}
    for element, same in sorted(group_items(items, shape).items()):
        inner = extract_fields(same[0], item) if len(same) == 1 and not item.leaf else {}
        found[element] = {MEMBER: {}, **inner} if inner else {}
    return found


def with_named_fields(fields: FieldSet, shape: Shape | None) -> FieldSet:
    """The set with every declared field on the way to a member as a member too."""
    found: FieldSet = {}
    for element, node in fields.items():
        below = _below(element, shape)
        children = with_named_fields(node, below) if node else node
        named = shape is not None and shape.kind == STRUCT and element[:2] == "f:" and below is not None
        found[element] = {MEMBER: {}, **children} if named and children else children
    return found


def _below(element: str, shape: Shape | None) -> Shape | None:
    if shape is None or element == MEMBER:
        return None
    if element[:2] == "f:":
        return shape.below(element[2:]) if shape.kind in (STRUCT, MAP, ANY) else None
    return shape.item if shape.kind == KEYED else None
