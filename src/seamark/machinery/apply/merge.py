"""The applied configuration laid over the live object, and fields taken out of an object again.

Merging keeps what the configuration does not name. Items of a keyed list or a set stand in the configuration's order;
those that only the live object has keep their place between them. Leaves are replaced.
"""

from __future__ import annotations

from typing import Any

from seamark.machinery.apply.items import ItemError, element_of
from seamark.machinery.apply.shape import ANY, KEYED, MAP, SET, STRUCT, Shape
from seamark.machinery.fieldset import MEMBER, FieldSet
from seamark.machinery.jsonvalue import copy_json

_OBJECTS = (STRUCT, MAP, ANY)


def merge(live: Any, config: Any, shape: Shape) -> Any:
    """A value that shares nothing with either; ``config`` is there (it may be null)."""
    if shape.leaf:
        return copy_json(config)
    if shape.kind in _OBJECTS and isinstance(live, dict) and (config is None or isinstance(config, dict)):
        if not live:
            return copy_json(config)
        return _merge_members(live, config or {}, shape)
    if shape.kind in (KEYED, SET) and isinstance(live, list) and (config is None or isinstance(config, list)):
        if not live:
            return copy_json(config)
        return _merge_items(live, config or [], shape)
    return copy_json(config)


def _merge_members(live: dict[str, Any], config: dict[str, Any], shape: Shape) -> dict[str, Any]:
    found = {key: copy_json(member) for key, member in live.items() if key not in config}
    for key, member in config.items():
        below = shape.below(key)
        if key in live and below is not None:
            found[key] = merge(live[key], member, below)
        else:
            found[key] = copy_json(member)
    return found


def _merge_items(live: list[Any], config: list[Any], shape: Shape) -> list[Any]:
    """An item that stands twice in the live list is replaced, not merged: nobody knows which one is meant."""
    item = shape.item or shape
    theirs = [element_of(one, shape) for one in config]
    ours = [_element_or_index(one, shape, index) for index, one in enumerate(live)]
    applied = dict(zip(theirs, config, strict=True))
    single = {element: live[index] for index, element in enumerate(ours) if ours.count(element) == 1}
    found: list[Any] = []
    for side, index in merge_order(ours, theirs):
        if side == "live":
            found.append(copy_json(live[index]))
            continue
        element = theirs[index]
        value = applied[element]
        found.append(merge(single[element], value, item) if element in single else copy_json(value))
    return found


def _element_or_index(item: Any, shape: Shape, index: int) -> str:
    try:
        return element_of(item, shape)
    except ItemError:
        return f"i:{index}"  # an odd live item stays where it is


def merge_order(ours: list[str], theirs: list[str]) -> list[tuple[str, int]]:
    """Where the merged list takes each item from: ("live", index) or ("config", index)."""
    wanted, present = set(theirs), set(ours)
    shared = iter([element for element in theirs if element in present])
    awaited = next(shared, None)
    found: list[tuple[str, int]] = []
    done: set[str] = set()
    left = right = 0
    while left < len(ours) or right < len(theirs):
        mine = ours[left] if left < len(ours) else None
        other = theirs[right] if right < len(theirs) else None
        if mine is not None and mine not in wanted:
            found.append(("live", left))
            left += 1
            continue
        if mine is not None and other is not None and mine != other and awaited is not None and mine != awaited:
            left += 1  # it comes later, in the configuration's order
            continue
        if mine is not None and (mine in done or mine == other):
            left += 1
        if other is not None:
            found.append(("config", right))
            done.add(other)
            right += 1
            if other == awaited:
                awaited = next(shared, None)
    return found


def remove_fields(value: Any, fields: FieldSet, shape: Shape) -> Any:
    """The value without the members of ``fields``. What becomes empty by it is null."""
    if shape.leaf or not value or not fields:
        return value
    if isinstance(value, dict) and shape.kind in _OBJECTS:
        return _remove_members(value, fields, shape)
    if isinstance(value, list) and shape.kind in (KEYED, SET):
        return _remove_items(value, fields, shape)
    return value


def _remove_members(value: dict[str, Any], fields: FieldSet, shape: Shape) -> dict[str, Any] | None:
    found: dict[str, Any] = {}
    for key, member in value.items():
        node = fields.get(f"f:{key}")
        below = shape.below(key)
        if node is None or below is None:
            found[key] = member
        elif node and MEMBER not in node:
            found[key] = remove_fields(member, node, below)
    return found or None


def _remove_items(items: list[Any], fields: FieldSet, shape: Shape) -> list[Any] | None:
    found: list[Any] = []
    for index, item in enumerate(items):
        node = fields.get(_element_or_index(item, shape, index))
        if node is None:
            found.append(item)
        elif node and MEMBER not in node and shape.item is not None:
            kept = remove_fields(item, node, shape.item)
            found += [] if kept is None else [kept]
    return found or None
