"""What one object has that another has not: the two field sets every write is judged by.

``compare_written`` looks at both objects as Go would write them (see ``shape``), ``compare`` as they stand. A field
that only the new one has is taken, and so is everything on the way to it that was not there before; what differs is
taken as well; what only the old one has is removed. Leaves are compared whole. What is equal is not looked into, so
that a small change costs little.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from seamark.machinery.apply.items import group_items, written_members
from seamark.machinery.apply.shape import ANY, ANY_SHAPE, KEYED, MAP, SET, STRUCT, Shape
from seamark.machinery.fieldset import MEMBER, FieldSet
from seamark.machinery.jsonvalue import equal_json

Obj = dict[str, Any]


class Changes(NamedTuple):
    """``taken`` are the fields added or changed."""

    taken: FieldSet
    removed: FieldSet


_ABSENT: Any = object()
_OBJECTS = (STRUCT, MAP, ANY)
_LISTS = (KEYED, SET)


def compare_written(old: Obj, new: Obj, shape: Shape) -> Changes:
    """Of two objects of one kind; ``{}`` stands for an object that is not there."""
    return _Walk(written_members).objects(old, new, shape)


def compare(old: Obj, new: Obj, shape: Shape) -> Changes:
    """The same without Go's additions and omissions."""
    return _Walk(_as_they_stand).objects(old, new, shape)


def _as_they_stand(value: Obj, _: Shape) -> Obj:
    return value


class _Walk:
    """One comparison; ``members`` says what an object holds."""

    def __init__(self, members: Callable[[Obj, Shape], Obj]) -> None:
        self._members = members

    def objects(self, old: Obj | None, new: Obj | None, shape: Shape) -> Changes:
        before = {} if old is None else self._members(old, shape)
        after = {} if new is None else self._members(new, shape)
        changes = Changes({}, {})
        for key, member in after.items():
            was = before.get(key, _ABSENT)
            below = shape.below(key)
            if below is None or was is member or (was == member and below.kind != ANY):
                continue
            self._one(f"f:{key}", was, member, below, changes)
        for key, was in before.items():
            below = None if key in after else shape.below(key)
            if below is not None:
                changes.removed[f"f:{key}"] = self.whole(was, below)
        return changes

    def _one(self, element: str, old: Any, new: Any, shape: Shape, changes: Changes) -> None:
        """``new`` is there, ``old`` may be absent."""
        if old is _ABSENT:
            changes.taken[element] = self.whole(new, shape)
            return
        inner = self._inside(old, new, shape)
        if inner is None:
            if not equal_json(old, new):
                changes.taken[element] = {}
            return
        if inner.taken:
            changes.taken[element] = inner.taken
        if inner.removed:
            changes.removed[element] = inner.removed

    def _inside(self, old: Any, new: Any, shape: Shape) -> Changes | None:
        """None for what can only be compared whole: leaves, two empty values, values of different types."""
        if shape.leaf:
            return None
        if shape.kind in _OBJECTS and _are(dict, old, new):
            if not (old or new) and (shape.kind != STRUCT or not shape.fields.always):
                return None
            return self.objects(old, new, shape)
        if shape.kind in _LISTS and _are(list, old, new) and (old or new):
            return self._items(old, new, shape)
        return None

    def _items(self, old: list[Any] | None, new: list[Any] | None, shape: Shape) -> Changes:
        """Items that stand more than once under their element are one leaf together."""
        changes = Changes({}, {})
        before, after = group_items(old, shape), group_items(new, shape)
        item = shape.item or ANY_SHAPE
        for element in {**before, **after}:
            lefts, rights = before.get(element, []), after.get(element, [])
            if len(lefts) > 1 and len(rights) > 1:
                if not equal_json(lefts, rights):
                    changes.taken[element] = {}
            elif len(lefts) == 1 and len(rights) == 1:
                self._one(element, lefts[0], rights[0], item, changes)
            else:
                if rights:
                    changes.taken[element] = self.whole(rights[0], item) if len(rights) == 1 else {}
                if lefts:
                    changes.removed[element] = self.whole(lefts[0], item) if len(lefts) == 1 else {}
        return changes

    def whole(self, value: Any, shape: Shape) -> FieldSet:
        """The node of a value that is new or gone: it and everything in it."""
        if shape.leaf or value is None:
            return {}
        found: FieldSet = {MEMBER: {}}
        if isinstance(value, dict) and shape.kind in _OBJECTS:
            for key, member in self._members(value, shape).items():
                below = shape.below(key)
                if below is not None:
                    found[f"f:{key}"] = {} if below.leaf else self.whole(member, below)
        elif isinstance(value, list) and shape.kind in _LISTS:
            item = shape.item or ANY_SHAPE
            for element, same in group_items(value, shape).items():
                found[element] = self.whole(same[0], item) if len(same) == 1 else {}
        return found if len(found) > 1 else {}


def _are(wanted: type, *values: Any) -> bool:
    """A null goes with everything."""
    return all(value is None or isinstance(value, wanted) for value in values)
