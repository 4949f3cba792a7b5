"""The informer: a local copy of one collection, kept by list + watch, and a call for every change.

What it promises: ``synced`` is set only after the first complete list; handlers see every object exactly as the
cache went through it (old, new), in order; after a 410 or a broken stream it relists and reports the difference,
so nothing is missed and nothing is reported twice. Handlers are plain functions and must not block.

What it refuses: to let one bad object or one bad handler stop the others. An object that does not decode is skipped,
counted in ``malformed`` and logged; the last good version of it, if any, stays.

A list is one answer, or pages of one (``page``), or the first part of a watch (``streaming``, KEP-3157) where the
server offers that; one that does not is asked for lists from then on. The next page is under way while one is taken
in, and a page decodes as one document; only where something in it does not fit is it gone through object by object.

``observe`` and ``forget`` put the result of one's own write into the cache before the watch brings it, so that a
controller never decides on a state older than its own last write. Both are safe against the watch being ahead: a
write at or below ``last_revision`` is already in the cache, or was already overtaken. They rest on resource versions
being one growing number (KEP-5504).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing
from functools import cache
from types import MappingProxyType
from typing import Any, Generic, Protocol, TypeVar

import msgspec

from seamark.client.base import TransportError
from seamark.client.client import Client, WatchEvent
from seamark.machinery.clock import Clock
from seamark.machinery.gvr import GVR
from seamark.machinery.status import StatusError
from seamark.model import codec
from seamark.model.meta import Object, ObjectKey, ObjectMeta

logger = logging.getLogger(__name__)

T = TypeVar("T", bound=Object)
K = TypeVar("K", bound=Object, covariant=True)

OnChange = Callable[[T | None, T | None, float], None]
"""``(old, new, seen)``: old None = added, new None = deleted; seen = Unix seconds when the event arrived."""

FIRST_DELAY = 0.05
MAX_DELAY = 30.0
WATCH_SECONDS = 540  # the server ends a watch after this; a half-open connection is noticed then at the latest
SHORT_WATCH = 1.0
BAD_OBJECT = (msgspec.MsgspecError, UnicodeDecodeError)
NOT_OFFERED = (400, 405, 406, 422)  # what servers without streaming lists answer to one
INITIAL_END = "k8s.io/initial-events-end"


class RawObject(Object, frozen=True):
    """Metadata decoded, the whole object kept as the server wrote it."""

    raw: bytes = msgspec.field(default=b"", name="$raw")  # a name no JSON of Kubernetes has

    def as_dict(self) -> dict[str, Any]:
        """A fresh dict, the caller's to change."""
        found: dict[str, Any] = msgspec.json.decode(self.raw)
        return found


class Lister(Protocol[K]):
    """What a reconcile reads: the cache, without the machinery behind it."""

    @property
    def items(self) -> Mapping[ObjectKey, K]: ...

    def get(self, key: ObjectKey) -> K | None: ...


class _ListMeta(msgspec.Struct):
    resource_version: str = msgspec.field(default="", name="resourceVersion")
    next_page: str = msgspec.field(default="", name="continue")


Item = TypeVar("Item")


class _List(msgspec.Struct, Generic[Item]):
    items: list[Item] | None = None
    metadata: _ListMeta = msgspec.field(default_factory=_ListMeta)


class _RelistError(Exception):
    """The watch cannot go on from where it was; only a list can tell what is there now."""


@cache
def _list_decoder(kind: Any) -> msgspec.json.Decoder[_List[Any]]:
    return msgspec.json.Decoder(_List[kind])


def _decode(raw: bytes | msgspec.Raw, kind: type[T]) -> T:
    found = codec.decode(raw, kind)
    if isinstance(found, RawObject):
        found = msgspec.structs.replace(found, raw=bytes(raw))
    return found


def _revision(text: str) -> int:
    """A resource version as the number it is; -1 where a server's are no numbers."""
    return int(text) if text.isdecimal() else -1


class Informer(Generic[T]):
    """``run`` keeps it current until cancelled; everything else reads."""

    def __init__(  # noqa: PLR0913 - the three options of a list are its address
        self,
        client: Client,
        gvr: GVR,
        kind: type[T],
        *,
        clock: Clock,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        narrowing: str = "",
        page: int = 0,
        streaming: bool = False,
        commit_times: bool = False,
        read: type[Object] | None = None,
        shrink: Callable[[Any], T] | None = None,
    ) -> None:
        """``narrowing``: a field selector that only spares what the caller ignores anyway; a server that does not
        know its fields is asked without. ``page``: how many objects to ask for at once, 0 = all; ``commit_times``:
        ask for those of events. ``shrink`` gives what is to be kept (a ``kind``) of an object, which is decoded as
        ``read`` where that is another.
        """
        self.gvr = gvr
        self.kind = kind
        self.malformed = 0
        self.event: WatchEvent | None = None
        """What handlers are being told of; None = a list, or an own write."""
        self._client = client
        self._clock = clock
        self._namespace = namespace
        self._page = page
        self._read: Any = read or kind
        self._shrink = shrink
        self._streaming = streaming
        self._commit_times = commit_times or None
        self._narrows = bool(narrowing)
        fields = ",".join(filter(None, (field_selector, narrowing)))
        self._selectors = {"labelSelector": label_selector or None, "fieldSelector": fields or None}
        self._without = {**self._selectors, "fieldSelector": field_selector or None}
        self._items: dict[ObjectKey, T] = {}
        self._view = MappingProxyType(self._items)
        self._handlers: list[OnChange[T]] = []
        self._synced = asyncio.Event()
        self._known = False  # whether a watch may go on from ``last_revision``
        self._last_revision = ""
        self._gone: set[str] = set()  # uids forgotten before their DELETED event came
        self._delay = FIRST_DELAY

    @property
    def items(self) -> Mapping[ObjectKey, T]:
        """A live view: do not keep an iterator over an await."""
        return self._view

    @property
    def last_revision(self) -> str:
        """The resource version up to which the cache is complete; empty before the first list."""
        return self._last_revision

    @property
    def synced(self) -> bool:
        return self._synced.is_set()

    async def wait_synced(self) -> None:
        await self._synced.wait()

    def get(self, key: ObjectKey) -> T | None:
        return self._items.get(key)

    def on_change(self, fn: OnChange[T]) -> None:
        """Calls ``fn`` for every change from now on, and first for every object already there, as added."""
        for item in list(self._items.values()):
            self._call(fn, None, item, self._clock.time())
        self._handlers.append(fn)

    def observe(self, written: Mapping[str, Any]) -> None:
        """Takes what the server answered to a create, update or patch, unless the watch is already past it.

        An informer with a selector ignores it: only the server knows whether the object belongs.
        """
        if not self.synced or any(self._selectors.values()):
            return
        raw = msgspec.json.encode(written)
        try:
            new = _decode(raw, self.kind)
        except BAD_OBJECT:
            return  # the watch will bring it, and count it
        revision = _revision(new.metadata.resource_version)
        old = self._items.get(new.key)
        known = max(_revision(self._last_revision), _revision(old.metadata.resource_version) if old else -1)
        if revision > known:
            self._put(new, self._clock.time())

    def forget(self, key: ObjectKey, uid: str) -> None:
        """Takes out an object that a delete has removed at once; late events about it are ignored."""
        old = self._items.get(key)
        if old is not None and old.metadata.uid == uid:
            self._gone.add(uid)
            self._remove(key, self._clock.time())

    async def run(self) -> None:
        """List, then watch; lists again only where a watch cannot go on. Ends when cancelled."""
        self._known = False
        while True:
            try:
                if not self._known and not self._streaming:
                    await self._list()
                await self._watch()
            except _RelistError as error:
                logger.info("relisting resource=%s reason=%s", self.gvr.resource, error)
                self._known = False
            except (StatusError, TransportError) as error:
                if not self._known and self._ask_for_less(error):
                    continue
                self._known = self._known and not _is_gone(error)
                logger.warning("watch failed resource=%s error=%s", self.gvr.resource, error)
                await self._back_off(error)
            except Exception as error:  # a defect of either side must not leave a cache that never moves again
                self._known = False
                logger.exception("list or watch broke resource=%s", self.gvr.resource)
                await self._back_off(error)

    def _ask_for_less(self, error: Exception) -> bool:
        """Whether there is something that this server may not offer, and that is not asked for from now on."""
        if not isinstance(error, StatusError) or error.code not in NOT_OFFERED:
            return False
        if self._narrows and error.code == 400:
            self._narrows, self._selectors = False, self._without
        elif self._streaming:
            self._streaming = False
        else:
            return False
        return True

    async def _back_off(self, error: Exception | None) -> None:
        asked = error.retry_after if isinstance(error, StatusError) else 0
        delay, self._delay = max(self._delay, asked), min(self._delay * 2, MAX_DELAY)
        await self._clock.sleep(delay)

    async def _list(self) -> None:
        """Page by page, so that no more than one is held as it came; the revision of the first is that of all."""
        self._gone.clear()
        there: set[ObjectKey] = set()
        revision = ""
        coming = asyncio.create_task(self._ask_page(""))
        try:
            while True:
                page = await coming
                revision = revision or page.metadata.resource_version
                if page.metadata.next_page:
                    coming = asyncio.create_task(self._ask_page(page.metadata.next_page))
                    await asyncio.sleep(0)  # it is sent; the server works on it while we do on this one
                there |= self._take_in(page.items or [])
                if not page.metadata.next_page:
                    break
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
        self._settle(there, revision)

    async def _ask_page(self, token: str) -> _List[T] | _List[msgspec.Raw]:
        query = {**self._selectors, "limit": self._page or None, "continue": token or None}
        body = await self._client.list_raw(self.gvr, namespace=self._namespace, query=query)
        if not issubclass(self._read, RawObject):
            try:
                return _list_decoder(self._read).decode(body)
            except BAD_OBJECT:
                logger.debug("a list is read object by object resource=%s", self.gvr.resource)
        return _list_decoder(msgspec.Raw).decode(body)

    def _install(self, items: list[msgspec.Raw], listed_at: str) -> None:
        """A complete list that came at once."""
        self._gone.clear()
        self._settle(self._take_in(items), listed_at)

    def _take_in(self, items: Iterable[T] | Iterable[msgspec.Raw]) -> set[ObjectKey]:
        """Puts what a list, or a page of it, has; gives which objects that were."""
        seen = self._clock.time()
        there: set[ObjectKey] = set()
        for item in items:
            new = self._parse(item) if isinstance(item, msgspec.Raw) else self._keep(item)
            if new is not None:
                there.add(new.key)
                self._put(new, seen)
            elif isinstance(item, msgspec.Raw) and (meta := self._metadata(item)) is not None:
                there.add(ObjectKey(meta.namespace, meta.name))
        return there

    def _settle(self, there: set[ObjectKey], listed_at: str) -> None:
        """The list is complete: what was not in it is gone."""
        seen = self._clock.time()
        self._last_revision = listed_at
        listed = _revision(self._last_revision)
        for key, item in list(self._items.items()):
            if key not in there and _revision(item.metadata.resource_version) <= listed:  # later: observed since
                self._remove(key, seen)
        self._known = True
        self._delay = FIRST_DELAY
        self._synced.set()

    async def _watch(self) -> None:
        """From ``last_revision`` on, or with everything there is first (a streaming list)."""
        query: dict[str, str | int | bool | None] = {**self._selectors, "timeoutSeconds": WATCH_SECONDS}
        query["commitTimes"] = self._commit_times
        initial: list[msgspec.Raw] | None = None
        if self._known:
            query["resourceVersion"] = self._last_revision
        else:
            initial = []
            query |= {"sendInitialEvents": True, "resourceVersionMatch": "NotOlderThan"}
        events = self._client.watch(self.gvr, namespace=self._namespace, query=query)
        begun = self._clock.monotonic()
        alive = False
        async with aclosing(events) as stream:  # type: ignore[type-var]  # an async generator by its nature
            async for event in stream:
                if initial is not None and event.type != "ERROR":
                    initial = self._collect(event, initial)
                    continue
                self._take(event)
                alive = True
                self._delay = FIRST_DELAY
        if initial is not None:
            raise TransportError(f"{self.gvr.resource}: the streaming list ended before it was complete")
        if alive or self._clock.monotonic() - begun >= SHORT_WATCH:
            self._delay = FIRST_DELAY
        else:  # do not hammer a server that closes at once without a word
            await self._back_off(None)

    def _collect(self, event: WatchEvent, items: list[msgspec.Raw]) -> list[msgspec.Raw] | None:
        """The objects of a streaming list so far; None once the bookmark has come that ends it."""
        if event.type in ("ADDED", "MODIFIED"):
            items.append(event.object)
            return items
        meta = self._metadata(event.object)
        if event.type == "DELETED" and meta is not None:
            return [raw for raw in items if (known := self._metadata(raw)) is None or known.uid != meta.uid]
        if meta is None or not (meta.annotations or {}).get(INITIAL_END):
            return items
        self._install(items, meta.resource_version)
        return None

    def _take(self, event: WatchEvent) -> None:
        if event.type == "ERROR":
            status = StatusError.from_dict(msgspec.json.decode(event.object))
            if status.code == 410:
                raise _RelistError(status.message)
            raise status
        seen = self._clock.time()
        new = self._parse(event.object) if event.type in ("ADDED", "MODIFIED") else None
        meta = new.metadata if new is not None else self._metadata(event.object)
        if meta is None:
            return
        self.event = event
        if new is not None and meta.uid not in self._gone:
            self._put(new, seen)
        elif event.type == "DELETED":
            self._gone.discard(meta.uid)
            old = self._items.get(ObjectKey(meta.namespace, meta.name))
            if old is not None and old.metadata.uid == meta.uid:
                self._remove(old.key, seen)
        self.event = None
        self._last_revision = meta.resource_version or self._last_revision

    def _parse(self, raw: msgspec.Raw) -> T | None:
        try:
            return self._keep(_decode(raw, self._read))
        except BAD_OBJECT as error:
            self._spoilt(raw, error)
            return None

    def _keep(self, found: Any) -> T:
        return self._shrink(found) if self._shrink is not None else found

    def _spoilt(self, raw: msgspec.Raw, error: Exception) -> None:
        self.malformed += 1
        meta = self._metadata(raw)
        name = ObjectKey(meta.namespace, meta.name) if meta is not None else "?"
        logger.error("skipping malformed object resource=%s name=%s error=%s", self.gvr.resource, name, error)

    @staticmethod
    def _metadata(raw: msgspec.Raw) -> ObjectMeta | None:
        """What can be told of an object that is not to be had whole: which one it is."""
        try:
            return codec.decode(raw, Object).metadata
        except BAD_OBJECT:
            return None

    def _put(self, new: T, seen: float) -> None:
        key = new.key
        old = self._items.get(key)
        if old is not None and old.metadata.uid != new.metadata.uid:
            self._remove(key, seen)  # deleted and made anew under the same name
            old = None
        if old is not None and _is_known(old.metadata, new.metadata):
            return
        self._items[key] = new
        for fn in self._handlers:
            self._call(fn, old, new, seen)

    def _remove(self, key: ObjectKey, seen: float) -> None:
        old = self._items.pop(key)
        for fn in self._handlers:
            self._call(fn, old, None, seen)

    def _call(self, fn: OnChange[T], old: T | None, new: T | None, seen: float) -> None:
        try:
            fn(old, new, seen)
        except Exception:
            logger.exception("handler failed resource=%s", self.gvr.resource)


def _is_known(old: ObjectMeta, new: ObjectMeta) -> bool:
    """True if the cache holds ``new`` or something later."""
    if old.resource_version == new.resource_version:
        return bool(old.resource_version)
    return 0 <= _revision(new.resource_version) < _revision(old.resource_version)


def _is_gone(error: Exception) -> bool:
    return isinstance(error, StatusError) and error.code == 410
