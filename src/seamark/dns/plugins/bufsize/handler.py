"""Lowers the EDNS buffer size of queries, so that answers are truncated before networks have to fragment them."""

from __future__ import annotations

from seamark.dns.host import Site
from seamark.dns.plugin import Answer, Next, Query
from seamark.dns.plugins.bufsize.config import Config


class Bufsize:
    name = "bufsize"

    def __init__(self, config: Config) -> None:
        self._size = config.size

    async def serve(self, query: Query, following: Next) -> Answer:
        asked = query.message
        if asked.edns >= 0 and asked.payload > self._size:
            asked.use_edns(0, asked.ednsflags, self._size, options=list(asked.options))
        return await following(query)


def make(config: Config, site: Site) -> Bufsize:
    return Bufsize(config)
