"""The informer: a local copy of one collection, kept by list + watch, and a call for every change.

What it promises: ``synced`` is set only after the first complete list; handlers see every object exactly as the
cache went through it (old, new), in order; after a 410 or a broken stream it relists and reports the difference,
so nothing is missed and nothing is reported twice. Handlers are plain functions and must not block.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from seamark.model.meta import Object, ObjectKey

T = TypeVar("T", bound=Object)
K = TypeVar("K", bound=Object, covariant=True)

OnChange = Callable[[T | None, T | None, float], None]
"""``(old, new, seen)``: old None = added, new None = deleted; seen = Unix seconds when the event arrived."""


class Lister(Protocol[K]):
    """What a reconcile reads: the cache, without the machinery behind it."""

    @property
    def items(self) -> Mapping[ObjectKey, K]: ...

    def get(self, key: ObjectKey) -> K | None: ...
