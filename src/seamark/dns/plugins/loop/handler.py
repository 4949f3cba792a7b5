"""Detects a forwarding loop: a probe that only we can have sent and that comes back to us again and again.

After the first successful probe and two seconds, or after thirty, it looks no more. A loop ends the process (``exit``,
as CoreDNS does) or puts the upstream out of use that leads back here, which a question sent to each of them alone
tells; names of the cluster go on. Such an upstream is asked again twice a minute and taken back when nothing returns.
"""

from __future__ import annotations

import asyncio
from typing import Any

import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from seamark.dns.host import Site
from seamark.dns.plugin import Answer, Next, Query
from seamark.dns.plugins.forward.upstream import UpstreamError
from seamark.dns.plugins.loop.config import Config
from seamark.dns.server.event import LOOP, report

MAX_SEEN = 2
GIVE_UP = 30.0
GRACE = 2.0
PAUSE = 0.5
AGAIN = 30.0


class Loop:
    name = "loop"

    def __init__(self, config: Config, site: Site) -> None:
        self._host = site.host
        self._site = site
        self._exit = config.exit or self._host.as_coredns
        self._zone = config.zone
        self.probe = self._new_name()
        self._seen = 0
        self._watching = True
        self._task: asyncio.Task[None] | None = None
        self._mending: asyncio.Task[None] | None = None
        self._sent: dict[str, bool] = {}
        """Questions that went to one upstream alone, and whether they have come back."""

    async def serve(self, query: Query, following: Next) -> Answer:
        if query.rdtype != dns.rdatatype.HINFO:
            return await following(query)
        if query.text in self._sent:
            self._sent[query.text] = True
            return Answer(dns.rcode.REFUSED)
        if self._watching and query.text == self.probe:
            self._seen += 1
            if self._seen > MAX_SEEN:
                self._found(f"{query.client}:{query.client_port}")
        return await following(query)

    def _found(self, source: str) -> None:
        """Once: from where it came."""
        told = (
            f"Loop ({source} -> {self._site.server or 'dns'}) detected for zone "
            f'"{self._zone}": queries forwarded to an upstream come back to this server; '
            f'change the addresses of forward. Query: "HINFO {self.probe}"'
        )
        if self._exit:
            self._host.fatal(f"[FATAL] plugin/loop: {told}")
            return
        self._watching = False
        self._host.log(f"[ERROR] plugin/loop: {told}")
        self._mending = asyncio.get_running_loop().create_task(self._mend(told))

    async def _mend(self, told: str) -> None:
        """Puts out of use what loops, and takes it back when it does so no more."""
        looping = [upstream for upstream in self._upstreams() if await self._comes_back(upstream)]
        if not looping:
            self._host.log(
                "[ERROR] plugin/loop: no upstream of forward alone leads back here; nothing was put out of use"
            )
        for upstream in looping:
            upstream.disabled = f"{upstream.address} leads back to this server and is out of use (plugin loop)"
            self._host.metrics.upstream_disabled.labels(upstream.address).set(1)
            self._host.log(f"[ERROR] plugin/loop: {upstream.disabled}; names of the cluster are answered")
        addresses = ", ".join(upstream.address for upstream in looping) or "none"
        await report(self._host, self._site.everyone(), LOOP, f"upstreams out of use: {addresses}. {told}")
        while looping:
            await self._host.clock.sleep(AGAIN)
            for upstream in list(looping):
                if not await self._comes_back(upstream):
                    looping.remove(upstream)
                    upstream.disabled = ""
                    self._host.metrics.upstream_disabled.labels(upstream.address).set(0)
                    self._host.log(f"[INFO] plugin/loop: {upstream.address} leads back here no more and is used again")

    def _upstreams(self) -> list[Any]:
        return [upstream for _, handler in self._site.everyone() for upstream in getattr(handler, "upstreams", ())]

    async def _comes_back(self, upstream: Any) -> bool:
        """Whether a question to that upstream alone arrives here."""
        name = self._new_name()
        self._sent[name] = False
        try:
            await upstream.ask(dns.message.make_query(name, dns.rdatatype.HINFO), "udp")
        except UpstreamError:
            pass  # it may well be that what came back was refused and no answer left
        return self._sent.pop(name)

    def _new_name(self) -> str:
        numbers = f"{self._host.random.getrandbits(62)}.{self._host.random.getrandbits(62)}."
        return numbers if self._zone == "." else numbers + self._zone

    def serving(self) -> None:
        """Called once queries arrive: only then can the probe come back."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        for task in (self._task, self._mending):
            if task is not None:
                task.cancel()

    async def _run(self) -> None:
        """Asks through the own chain, then each upstream alone: does the question arrive from outside afterwards?"""
        clock = self._host.clock
        end = clock.monotonic() + GIVE_UP
        while clock.monotonic() < end:
            if await self._ask():
                await clock.sleep(GRACE)
                break
            await clock.sleep(PAUSE)
        for upstream in self._upstreams():  # a probe may have gone to another one, or been answered by it in time
            if self._watching and await self._comes_back(upstream):
                self._found(upstream.address)
        self._watching = False

    async def _ask(self) -> bool:
        name = dns.name.from_text(self.probe)
        message = dns.message.make_query(name, dns.rdatatype.HINFO)
        query = Query(
            message, name, dns.rdatatype.HINFO, "127.0.0.1", "udp", dns.name.root, self._host.clock.monotonic()
        )
        return await self._site.lookup(query, name, dns.rdatatype.HINFO) is not None


def make(config: Config, site: Site) -> Loop:
    return Loop(config, site)
