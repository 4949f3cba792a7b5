"""200 OK on /health for as long as the process lives; ``lameduck`` is how long that is after it was told to end.

``/visible?revision=N`` on the same port waits until a revision of the registry is in the answers: what a test or a
deployment asks between ``kubectl apply`` and relying on a name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from seamark.dns.corefile.address import join_address, split_address
from seamark.dns.corefile.block import duration, go_duration
from seamark.dns.corefile.lexer import CorefileError, Token
from seamark.dns.host import Asked, HttpAnswer, Site
from seamark.dns.plugins.health.config import Config
from seamark.dns.waiting import within

TEXT = "text/plain; charset=utf-8"
WAIT, MAX_WAIT = 10.0, 60.0
POLL, PATIENCE = 1.0, 3.0
LOCAL = "127.0.0.1"
"""Where a port on all addresses, or at localhost, is asked: no name has to be looked up each time."""


class Health:
    """Sees no queries. ``lameduck`` is read by the process when it ends."""

    name = "health"

    def __init__(self, config: Config, site: Site) -> None:
        self.lameduck = config.lameduck
        host, port = split_address(config.address)
        self._where = (LOCAL if host in ("", "localhost") else host, port or 0)
        self._polling: asyncio.Task[None] | None = None
        self._site = site
        site.http[config.address, "/health"] = self._answer
        site.http[config.address, "/visible"] = Asked(self._visible)

    def serving(self) -> None:
        self._polling = asyncio.get_running_loop().create_task(self._poll())

    async def stop(self) -> None:
        if self._polling is not None:
            self._polling.cancel()

    async def _poll(self) -> None:
        """Asks itself as a kubelet would, once a second: what that takes tells how busy the process is."""
        host, clock = self._site.host, self._site.host.clock
        while True:
            await clock.sleep(POLL)
            began = clock.monotonic()
            try:
                await within(clock, PATIENCE, self._ask())
                problem = ""
            except (OSError, EOFError, TimeoutError) as error:
                problem = f"failed: {error}"
                host.metrics.health_failures.inc()
            seconds = clock.monotonic() - began
            host.metrics.health_duration.observe(seconds)
            if problem or seconds > POLL:
                told = problem or f"took more than 1s: {go_duration(seconds)}"
                host.log(f'[WARNING] plugin/health: Local health request to "{self._address}" {told}')

    @property
    def _address(self) -> str:
        return f"http://{join_address(*self._where)}/health"

    async def _ask(self) -> None:
        reader, writer = await asyncio.open_connection(*self._where)
        try:
            writer.write(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
        finally:
            writer.close()

    def _answer(self) -> HttpAnswer:
        return 200, TEXT, b"OK"

    async def _visible(self, asked: Mapping[str, str]) -> HttpAnswer:
        """``revision`` is a resourceVersion, ``timeout`` how long to wait for it (10s, 60s at most)."""
        revision = asked.get("revision", "")
        if not (revision.isascii() and revision.isdecimal()):
            return 400, TEXT, b"revision: a resourceVersion is wanted: /visible?revision=N[&timeout=10s]\n"
        try:
            seconds = duration(Token(asked.get("timeout", f"{WAIT:g}s"), "timeout", 1, 1), most=MAX_WAIT)
        except CorefileError as error:
            return 400, TEXT, f"timeout: {error.message}\n".encode()
        tables = [handler for _, handler in self._site.everyone() if hasattr(handler, "visible")]
        if not tables:
            return 404, TEXT, b"no plugin here follows a registry\n"
        found = await asyncio.gather(*(handler.visible(int(revision), seconds) for handler in tables))
        if all(found):
            return 200, TEXT, f"{revision} is visible\n".encode()
        return 504, TEXT, f"{revision} is not visible after {seconds:g}s\n".encode()


def make(config: Config, site: Site) -> Health:
    return Health(config, site)
