"""An index over an informer: which objects have a given value (a label, an owner, a node), without a scan.

A change to one object costs work in proportion to its own values. Make the index before the handlers that ask it:
handlers run in the order of their registration.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

from seamark.client.informer import Informer
from seamark.model.meta import Object, ObjectKey

T = TypeVar("T", bound=Object)


class Index(Generic[T]):
    """``values`` gives the values of one object; pure, since it is asked again when the object goes."""

    def __init__(self, informer: Informer[T], values: Callable[[T], Iterable[Hashable]]) -> None:
        self._informer = informer
        self._values = values
        self._keys: dict[Hashable, dict[ObjectKey, None]] = {}
        informer.on_change(self._note)

    def get(self, value: Hashable) -> list[T]:
        """In the order in which they got the value."""
        items = self._informer.items
        return [items[key] for key in self._keys.get(value, ())]

    def keys(self, value: Hashable) -> tuple[ObjectKey, ...]:
        return tuple(self._keys.get(value, ()))

    def count(self, value: Hashable) -> int:
        return len(self._keys.get(value, ()))

    def _note(self, old: T | None, new: T | None, seen: float) -> None:
        before = set(self._values(old)) if old is not None else set()
        after = set(self._values(new)) if new is not None else set()
        if old is not None:
            for value in before - after:
                self._drop(value, old.key)
        if new is not None:
            for value in after - before:
                self._keys.setdefault(value, {})[new.key] = None

    def _drop(self, value: Hashable, key: ObjectKey) -> None:
        found = self._keys[value]
        del found[key]
        if not found:
            del self._keys[value]
