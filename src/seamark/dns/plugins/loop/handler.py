"""Detects a forwarding loop: a probe that only we can have sent and that comes back to us again and again.

After the first successful probe and two seconds, or after thirty, it looks no more.
"""

from __future__ import annotations

import asyncio

import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from seamark.dns.host import Site
from seamark.dns.plugin import Answer, Next, Query
from seamark.dns.plugins.loop.config import Config

MAX_SEEN = 2
GIVE_UP = 30.0
GRACE = 2.0
PAUSE = 0.5


class Loop:
    name = "loop"

    def __init__(self, config: Config, site: Site) -> None:
        self._host = site.host
        self._site = site
        zone = config.zone
        numbers = f"{self._host.random.getrandbits(62)}.{self._host.random.getrandbits(62)}"
        self.probe = f"{numbers}." if zone == "." else f"{numbers}.{zone}"
        self._zone = zone
        self._seen = 0
        self._watching = True
        self._task: asyncio.Task[None] | None = None

    async def serve(self, query: Query, following: Next) -> Answer:
        if self._watching and query.rdtype == dns.rdatatype.HINFO and query.text == self.probe:
            self._seen += 1
            if self._seen > MAX_SEEN:
                server = self._site.server or "dns"
                self._host.fatal(
                    f"[FATAL] plugin/loop: Loop ({query.client}:{query.client_port} -> {server}) detected for zone "
                    f'"{self._zone}": queries forwarded to an upstream come back to this server; '
                    f'change the addresses of forward. Query: "HINFO {self.probe}"'
                )
        return await following(query)

    def serving(self) -> None:
        """Called once queries arrive: only then can the probe come back."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        """Asks through the own chain: what matters is whether the question arrives from outside afterwards."""
        clock = self._host.clock
        end = clock.monotonic() + GIVE_UP
        while clock.monotonic() < end:
            if await self._ask():
                await clock.sleep(GRACE)
                break
            await clock.sleep(PAUSE)
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
