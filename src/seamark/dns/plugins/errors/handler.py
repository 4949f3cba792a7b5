"""Logs the errors of the plugins behind it; many of a kind are counted and told once per period."""

from __future__ import annotations

import asyncio
import traceback

import dns.rdatatype

from seamark.dns.corefile.block import go_duration
from seamark.dns.host import Site
from seamark.dns.plugin import Answer, Next, Query
from seamark.dns.plugins.errors.config import Config, Consolidate
from seamark.dns.reply import failed


class Errors:
    name = "errors"

    def __init__(self, config: Config, site: Site) -> None:
        self._config = config
        self._host = site.host
        self._counts: dict[Consolidate, int] = {}
        self._timers: set[asyncio.Task[None]] = set()

    async def serve(self, query: Query, following: Next) -> Answer:
        try:
            answer = await following(query)
        except Exception as error:
            if self._config.stacktrace:
                self._host.log(f"[ERROR] plugin/errors: {traceback.format_exc().rstrip()}")
            answer = failed("errors", f"{type(error).__name__}: {error}")
            self._host.metrics.panics.inc()
        if answer.error and not answer.expected:
            rdtype = dns.rdatatype.to_text(query.rdtype)
            self._take(f"{int(answer.rcode)} {query.name.to_text()} {rdtype}: {answer.error}", answer.error)
        return answer

    async def stop(self) -> None:
        """Tells what is still counted."""
        for timer in self._timers:
            timer.cancel()
        for kind in list(self._counts):
            self._tell(kind)

    def _take(self, line: str, error: str) -> None:
        kind = next((c for c in self._config.consolidate if c.pattern.search(error)), None)
        if kind is None:
            self._host.log(f"[ERROR] plugin/errors: {line}")
            return
        if kind not in self._counts:
            self._counts[kind] = 0
            timer = asyncio.get_running_loop().create_task(self._later(kind))
            self._timers.add(timer)
            timer.add_done_callback(self._timers.discard)
            if kind.show_first:
                self._host.log(f"[{kind.level.upper()}] plugin/errors: {line}")
                return
        self._counts[kind] += 1

    async def _later(self, kind: Consolidate) -> None:
        await self._host.clock.sleep(kind.period)
        self._tell(kind)

    def _tell(self, kind: Consolidate) -> None:
        count = self._counts.pop(kind, 0)
        if count:
            told = f"{count} errors like '{kind.text}' occurred in last {go_duration(kind.period)}"
            self._host.log(f"[{kind.level.upper()}] plugin/errors: {told}")


def make(config: Config, site: Site) -> Errors:
    return Errors(config, site)
