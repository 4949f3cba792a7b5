"""Who owns whom, over every collection that is watched: kept up to date by changes, asked by uid."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from seamark.client.informer import Informer
from seamark.machinery.gvr import GVR
from seamark.model.meta import Object, ObjectKey

Item = tuple[GVR, ObjectKey]


class OwnerGraph:
    def __init__(self, informers: dict[GVR, Informer[Any]]) -> None:
        self._informers = informers
        self._by_uid: dict[str, Item] = {}
        self._dependents: dict[str, dict[Item, None]] = {}

    def find(self, item: Item) -> Object | None:
        informer = self._informers.get(item[0])
        found: Object | None = informer.get(item[1]) if informer is not None else None
        return found

    def by_uid(self, uid: str) -> Item | None:
        return self._by_uid.get(uid)

    def dependents(self, uid: str) -> list[Item]:
        """Those that are there and name it as an owner."""
        return [item for item in self._dependents.get(uid, ()) if self.find(item) is not None]

    def change(self, gvr: GVR, old: Object | None, new: Object | None) -> Iterator[Item]:
        """Takes a change in, and gives the items whose fate may be another now."""
        if old is not None:
            self._forget(gvr, old)
        if new is not None:
            self._remember(gvr, new)
            if new.metadata.owner_references or new.metadata.deletion_timestamp:
                yield (gvr, new.key)
        for reference in (old.metadata.owner_references or ()) if old is not None else ():
            owner = self._by_uid.get(reference.uid)
            if owner is not None and self._is_ending(owner):
                yield owner  # it may have waited for this one
        if new is None and old is not None:
            yield from self._dependents.get(old.metadata.uid, ())

    def _remember(self, gvr: GVR, obj: Object) -> None:
        item = (gvr, obj.key)
        self._by_uid[obj.metadata.uid] = item
        for reference in obj.metadata.owner_references or ():
            self._dependents.setdefault(reference.uid, {})[item] = None

    def _forget(self, gvr: GVR, obj: Object) -> None:
        item = (gvr, obj.key)
        if self._by_uid.get(obj.metadata.uid) == item:
            del self._by_uid[obj.metadata.uid]
        for reference in obj.metadata.owner_references or ():
            found = self._dependents.get(reference.uid)
            if found is None:
                continue
            found.pop(item, None)
            if not found:
                del self._dependents[reference.uid]

    def _is_ending(self, item: Item) -> bool:
        obj = self.find(item)
        return obj is not None and obj.metadata.deletion_timestamp is not None
