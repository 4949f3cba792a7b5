"""Watch: the changes of a collection as a stream of events.

Every change is judged before and after: an object that begins to fit the selectors is ADDED, one that no longer does
is DELETED with its last fitting state and the revision of the change. A resourceVersion that is too old is an ERROR
event in a stream of its own, with HTTP status 200. Bookmarks come about once a minute and shortly before the end,
and carry a revision below which nothing is still to come. Who asks with ``commitTimes=true`` is told with every change
when it was committed (``committed``, Unix seconds): the API itself has no finer time than a second in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass

from seamark.api.core import Call, Core
from seamark.api.events import EventWriter
from seamark.api.options import parse_integer, parse_revision_text
from seamark.api.respond import representation
from seamark.api.selection import Selection, parse_selection
from seamark.api.verbs.list import wait_for_revision
from seamark.api.websocket import Duplex, Upgrade
from seamark.machinery.status import Cause, StatusError, expired, invalid
from seamark.machinery.wire import Request, Response
from seamark.store.base import CompactedError, Event, Watch

BOOKMARK_INTERVAL = 60.0
_LAST_BOOKMARK = 2.0  # seconds before the end
_STRAGGLERS = 0.01  # seconds of real time for what the store has already handed to the watch
_MIN_TIMEOUT = 1800


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """``after`` None = begin with what exists, 0 = with the next change; ``initial_end`` = say where that ends."""

    after: int | None
    bookmarks: bool
    initial_end: bool
    timeout: float


async def watch(core: Core, call: Call) -> Response:
    stream, events = await _open(core, call)
    headers = {"content-type": events.content_type, "cache-control": "no-cache, private"}
    return Response(200, headers=headers, stream=stream.lines())


async def _open(core: Core, call: Call) -> tuple[WatchStream, EventWriter]:
    selection = parse_selection(call.request, call.target)
    options = parse_options(core, call.request)
    events = EventWriter(core, call, representation(call, stream=True))
    stream = WatchStream(core, call, selection, options, events)
    await stream.open()
    return stream, events


async def open_watch(core: Core, call: Call) -> Upgrade:
    """The same over a WebSocket: a message an event, which is how programs in a browser watch."""
    stream, events = await _open(core, call)

    async def send_all(duplex: Duplex) -> None:
        async with aclosing(stream.lines()) as chunks:
            async for chunk in chunks:
                for message in events.split(chunk):
                    await duplex.send(message)

    async def run(duplex: Duplex) -> None:
        sending, listening = asyncio.ensure_future(send_all(duplex)), asyncio.ensure_future(_until_closed(duplex))
        try:
            await asyncio.wait({sending, listening}, return_when=asyncio.FIRST_COMPLETED)
            await duplex.close()
        finally:
            for task in (sending, listening):
                task.cancel()
            await asyncio.gather(sending, listening, return_exceptions=True)

    return Upgrade("", run, is_text=events.is_text)


async def _until_closed(duplex: Duplex) -> None:
    """A watcher has nothing to say."""
    while await duplex.receive() is not None:
        pass


def parse_options(core: Core, request: Request) -> WatchOptions:
    asked, match = request.param("resourceVersion"), request.param("resourceVersionMatch")
    streaming = bool(request.param("sendInitialEvents"))
    if streaming and match != "NotOlderThan":
        raise _invalid(
            "resourceVersionMatch",
            "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        )
    if match and not streaming:
        raise _invalid(
            "resourceVersionMatch",
            "Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
        )
    if request.param("continue"):
        raise _invalid("resourceVersionMatch", "Forbidden: resourceVersionMatch is forbidden when continue is provided")
    try:
        revision = parse_revision_text(asked)
    except ValueError as error:
        raise StatusError(500, "", str(error)) from None
    from_start = request.flag("sendInitialEvents") if streaming else not revision
    bookmarks = request.flag("allowWatchBookmarks")
    timeout = max(0, parse_integer(request, "timeoutSeconds"))
    return WatchOptions(
        after=None if from_start else revision,
        bookmarks=bookmarks,
        initial_end=bookmarks and from_start,
        timeout=timeout or core.random.uniform(_MIN_TIMEOUT, 2 * _MIN_TIMEOUT),
    )


def _invalid(field: str, message: str) -> StatusError:
    return invalid("ListOptions", "", [Cause("FieldValueForbidden", message, field)], group="meta.k8s.io")


class WatchStream:
    """One watch: ``open`` takes the place in the log, ``lines`` tells what comes after it."""

    def __init__(
        self, core: Core, call: Call, selection: Selection, options: WatchOptions, events: EventWriter
    ) -> None:
        self._core = core
        self._call = call
        self._selection = selection
        self._options = options
        self._events = events
        self._initial: list[bytes] = []
        self._seen = 0

    async def open(self) -> None:
        """Finds the place to start from and what exists there. Raises 504 for a revision that does not come."""
        core, prefix = self._core, self._call.target.prefix
        after = self._options.after
        if after is None:
            asked = self._call.request.param("resourceVersion")
            await wait_for_revision(core, int(asked or "0"))
            page = await core.store.list(prefix=prefix)
            after = page.revision
            for entry in page.entries:
                if self._selection.matches(entry.key, entry.value):
                    self._initial.append(self._events.event("ADDED", entry.value, entry.revision))
            if self._options.initial_end:
                self._initial.append(self._events.bookmark(after, initial_end=True))
        elif after:
            await wait_for_revision(core, after)
        self._seen = after or await core.store.revision()

    async def lines(self) -> AsyncGenerator[bytes, None]:
        """The store's watch opens with the first line, so that a stream nobody reads holds nothing."""
        try:
            source = self._core.store.watch(prefix=self._call.target.prefix, after=self._seen)
        except CompactedError as error:
            yield self._events.error(expired(str(error)))
            return
        try:
            with self._core.customs.ending_with(self._call.target.row, source):
                if self._initial:
                    yield b"".join(self._initial)
                    self._initial = []
                async with aclosing(self._follow(source)) as chunks:
                    async for chunk in chunks:
                        yield chunk
        finally:
            source.close()

    async def _follow(self, source: Watch) -> AsyncGenerator[bytes, None]:
        """Events and bookmarks until the time is over or the store closes."""
        clock = self._core.clock
        end = clock.monotonic() + self._options.timeout
        batches = aiter(source)
        coming = asyncio.ensure_future(anext(batches, None))
        timer = asyncio.ensure_future(clock.sleep(self._pause(end)))
        try:
            while True:
                await asyncio.wait({coming, timer}, return_when=asyncio.FIRST_COMPLETED)
                if timer.done() and not coming.done():
                    revision = await self._core.store.revision()
                    await asyncio.wait({coming}, timeout=_STRAGGLERS)
                    if not coming.done():
                        if self._options.bookmarks and revision > self._seen:
                            self._seen = revision
                            yield self._events.bookmark(revision)
                        if clock.monotonic() >= end:
                            return
                        timer = asyncio.ensure_future(clock.sleep(self._pause(end)))
                        continue
                if not coming.done():
                    continue
                batch = coming.result()
                if batch is None:
                    return
                coming = asyncio.ensure_future(anext(batches, None))
                if chunk := b"".join(self._frames(batch)):
                    yield chunk
        except CompactedError as error:
            yield self._events.error(expired(str(error)))
        finally:
            coming.cancel()
            timer.cancel()

    def _pause(self, end: float) -> float:
        """Until the next bookmark: one a minute, one shortly before the end; then the end itself."""
        left = end - self._core.clock.monotonic()
        return max(0.0, min(BOOKMARK_INTERVAL, left - _LAST_BOOKMARK if left > _LAST_BOOKMARK else left))

    def _frames(self, batch: Iterable[Event]) -> Iterable[bytes]:
        for event in batch:
            self._seen = event.revision
            before = event.previous is not None and self._selection.matches(event.key, event.previous)
            after = event.value is not None and self._selection.matches(event.key, event.value)
            if after and event.value is not None:
                yield self._events.event("MODIFIED" if before else "ADDED", event.value, event.revision, event.time)
            elif before and event.previous is not None:
                yield self._events.event("DELETED", event.previous, event.revision, event.time)
