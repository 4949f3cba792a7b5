"""Drops queries over UDP while too many are under way."""

from __future__ import annotations

from collections import Counter

import dns.rcode

from seamark.dns.host import Site
from seamark.dns.plugin import Answer, Next, Query
from seamark.dns.plugins.shed.config import Config

DEPTH = 1024


class Shed:
    name = "shed"

    def __init__(self, config: Config, site: Site) -> None:
        if any(key.transport != "dns" for key in site.keys):
            raise config.token.error("'shed' is for plain DNS: the keys of its block are dns:// alone")
        self._dropped = site.host.metrics.shed_dropped
        self._running: Counter[str] = Counter()

    async def serve(self, query: Query, following: Next) -> Answer:
        if query.protocol != "udp":
            return await following(query)
        if self._running[query.server] >= DEPTH:
            self._dropped.labels(query.server, "query").inc()
            return Answer(dns.rcode.NOERROR, None, self.name, dropped=True)
        self._running[query.server] += 1
        try:
            return await following(query)
        finally:
            self._running[query.server] -= 1


def make(config: Config, site: Site) -> Shed:
    return Shed(config, site)
