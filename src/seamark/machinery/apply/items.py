"""A list's items under the elements they are known by, and the objects' members as Go writes them."""

from __future__ import annotations

from typing import Any

from seamark.machinery.apply.shape import ANY_SHAPE, KEYED, STRUCT, Shape
from seamark.machinery.fieldset import key_element, value_element

Obj = dict[str, Any]


class ItemError(Exception):
    """An item that no element can be made of; the text is that of structured-merge-diff."""


def element_of(item: Any, shape: Shape) -> str:
    """The element of an item of a keyed list or a set. Raises ItemError."""
    if shape.kind != KEYED:
        return _element_of_value(item)
    if item is None:
        raise ItemError("associative list with keys may not have a null element")
    if not isinstance(item, dict):
        raise ItemError("associative list with keys may not have non-map elements")
    found = [(name, item.get(name, default)) for name, default in shape.keys if name in item or default is not None]
    if not found:
        names = "[" + " ".join(f'"{name}"' for name, _ in shape.keys) + "]"
        raise ItemError(
            f"associative list with keys has an element that omits all key fields {names} "
            "(and doesn't have default values for any key fields)"
        )
    return key_element(found)


def _element_of_value(item: Any) -> str:
    if isinstance(item, dict):
        raise ItemError("associative list without keys has an element that's a map type")
    if isinstance(item, list):
        raise ItemError("not supported: associative list with lists as elements")
    if item is None:
        raise ItemError("associative list without keys has an element that's an explicit null")
    return value_element(item)


def group_items(items: list[Any] | None, shape: Shape) -> dict[str, list[Any]]:
    """Items by element; what stands twice is there twice. Items without an element are left out."""
    found: dict[str, list[Any]] = {}
    for item in items or ():
        try:
            found.setdefault(element_of(item, shape), []).append(item)
        except ItemError:
            continue
    return found


def written_members(value: Obj, shape: Shape) -> Obj:
    """The members of an object as Go writes it: what it adds, and without what it omits."""
    if shape.kind != STRUCT:
        return value
    fields = shape.fields
    found = {key: member for key, member in value.items() if member or key not in fields.dropped}
    for key, zero in fields.always.items():
        found.setdefault(key, zero)
    return found


def as_written(value: Any, shape: Shape) -> Any:
    """A value as Go writes it, all the way down; it may share parts with ``value``."""
    if isinstance(value, dict):
        members = written_members(value, shape)
        return {key: as_written(member, shape.below(key) or ANY_SHAPE) for key, member in members.items()}
    if isinstance(value, list) and shape.item is not None:
        return [as_written(item, shape.item) for item in value]
    return value
