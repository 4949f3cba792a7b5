"""Custom kinds come and go: the registry's custom rows in step with the CustomResourceDefinitions in the store.

News is looked for before every request and after every write of a definition, so that a kind is served from the next
request on, and watches of one that is gone or another now end at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from seamark.machinery.definitions import TERMINATING, is_true
from seamark.machinery.gvr import CUSTOMRESOURCEDEFINITIONS
from seamark.resources.apiextensions.customresource import TERMINATING_WHY, build_rows
from seamark.resources.registry import Registry, Resource
from seamark.store.base import CompactedError, Store, Watch

Obj = dict[str, Any]

_PREFIX = f"/registry/{CUSTOMRESOURCEDEFINITIONS.group}/{CUSTOMRESOURCEDEFINITIONS.resource}/"


class CustomKinds:
    """``load`` first; until then there are none."""

    def __init__(self, store: Store, registry: Registry) -> None:
        self._store = store
        self._registry = registry
        self._news: Watch | None = None
        self._known: dict[str, Any] = {}  # by name: what the rows were made of
        self._watches: dict[int, set[Watch]] = {}  # by the row's identity

    async def load(self) -> None:
        page = await self._store.list(prefix=_PREFIX)
        if self._news is not None:
            self._news.close()
        self._news = self._store.watch(prefix=_PREFIX, after=page.revision)
        there = {entry.key.removeprefix(_PREFIX) for entry in page.entries}
        for name in self._known.keys() - there:
            self._drop(name)
        for entry in page.entries:
            self._put(entry.key.removeprefix(_PREFIX), msgspec.json.decode(entry.value), entry.revision)

    async def follow(self) -> None:
        """Takes in everything that the store has told until now."""
        if self._news is None:
            return
        try:
            events = self._news.take()
        except CompactedError:
            await self.load()
            return
        for event in events:
            name = event.key.removeprefix(_PREFIX)
            if event.value is None:
                self._drop(name)
            else:
                self._put(name, msgspec.json.decode(event.value), event.revision)

    def _put(self, name: str, crd: Obj, revision: int) -> None:
        """Rows are made anew only where the definition says something else than before."""
        says = [crd.get("spec"), (crd.get("status") or {}).get("acceptedNames")]
        rows = self._registry.custom.get(name, ())
        if rows and self._known.get(name) == says:
            refuses = TERMINATING_WHY if is_true(crd, TERMINATING) else ""
            for row in rows:
                if row.custom is not None and row.custom.refuses_new != refuses:
                    row.custom.refuses_new = refuses
                    self._registry.serve(name, rows)
            return
        self._known[name] = says
        self._registry.serve(name, build_rows(crd, revision))
        self._end_watches(rows)

    def _drop(self, name: str) -> None:
        self._known.pop(name, None)
        rows = self._registry.custom.get(name, ())
        self._registry.serve(name, ())
        self._end_watches(rows)

    def _end_watches(self, rows: tuple[Resource, ...]) -> None:
        for row in rows:
            for watch in tuple(self._watches.get(id(row), ())):
                watch.close()

    @contextmanager
    def ending_with(self, row: Resource, watch: Watch) -> Iterator[None]:
        """Inside, the watch is closed when the row is served no longer."""
        if row.custom is None:
            yield
            return
        held = self._watches.setdefault(id(row), set())
        held.add(watch)
        try:
            yield
        finally:
            held.discard(watch)
            if not held:
                self._watches.pop(id(row), None)
