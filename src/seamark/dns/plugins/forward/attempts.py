"""One question to several upstreams: the next when one fails, a second beside it when one is slow (hedging).

The first usable reply wins and ends the other exchange. A slow upstream costs the hedge's delay and not its timeout;
with one upstream alone the question is sent to it again, which is what mends a lost packet.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator

import dns.message
import dns.rcode

from seamark.dns.plugins.forward.config import Config
from seamark.dns.plugins.forward.upstream import Upstream, UpstreamError
from seamark.dns.waiting import within
from seamark.machinery.clock import Clock

QUERY_TIMEOUT = 5.0
Exchange = Callable[[Upstream], Awaitable[dns.message.Message]]
Reply = tuple[Upstream, dns.message.Message]


class Attempts:
    """``choices`` gives the upstreams one after the other and ends when there is none to try."""

    def __init__(self, config: Config, clock: Clock, choices: Iterator[Upstream], number: int) -> None:
        attempts = config.max_connect_attempts
        self._attempts = 2 * number if attempts is None else attempts
        self._failover = config.failover
        self._failovers = number - 1
        self._hedge = config.hedge
        self._clock = clock
        self._choices = choices
        self._failures = 0
        self._error = "no healthy proxies"
        self._running: dict[asyncio.Future[dns.message.Message], Upstream] = {}

    async def first_reply(self, exchange: Exchange) -> Reply:
        """Raises UpstreamError with the last reason."""
        end = self._clock.monotonic() + QUERY_TIMEOUT
        hedged = False
        try:
            while True:
                left = end - self._clock.monotonic()
                may_start = left > 0 and (not self._attempts or self._failures < self._attempts)
                if not self._running and not (may_start and self._start(exchange)):
                    raise UpstreamError(self._error)
                may_hedge = may_start and not hedged and 0 < self._hedge < left
                if not await self._wait(self._hedge if may_hedge else left):
                    if not may_hedge:
                        raise UpstreamError(self._error if self._failures else "no answer in time: i/o timeout")
                    hedged = True
                    self._start(exchange)
                elif (found := self._take()) is not None:
                    for slow in self._running.values():  # slower than its hedge: is it there at all?
                        slow.check()
                    return found
        finally:
            for task in self._running:
                task.cancel()

    def _start(self, exchange: Exchange) -> bool:
        upstream = next(self._choices, None)
        if upstream is None:
            return False
        task = asyncio.ensure_future(exchange(upstream))
        task.add_done_callback(_look)
        self._running[task] = upstream
        return True

    async def _wait(self, seconds: float) -> bool:
        """Whether an exchange ended in that time."""
        ended = asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
        with contextlib.suppress(TimeoutError):
            await within(self._clock, seconds, ended)
        return any(task.done() for task in self._running)

    def _take(self) -> Reply | None:
        """The reply of one that ended, if it is one to give."""
        for task in [task for task in self._running if task.done()]:
            upstream = self._running.pop(task)
            problem = task.exception()
            if isinstance(problem, UpstreamError):
                self._error = str(problem)
                self._failures += 1
                upstream.check()
                continue
            reply = task.result()
            if reply.rcode() in self._failover and self._failovers > 0:
                self._failovers -= 1
                continue
            return upstream, reply
        return None


def _look(task: asyncio.Future[dns.message.Message]) -> None:
    """An exchange that failed beside the one that won is nobody's business."""
    if not task.cancelled():
        task.exception()
