"""Asks the plugins of its server block what they can tell of a query."""

from __future__ import annotations

from seamark.dns.corefile.keys import match_zone
from seamark.dns.host import Site
from seamark.dns.plugin import Answer, Next, Query
from seamark.dns.plugins.metadata.config import Config


class Metadata:
    """Values are functions: what nobody reads is never worked out."""

    name = "metadata"

    def __init__(self, config: Config, site: Site) -> None:
        self._zones = config.zones
        self._site = site

    async def serve(self, query: Query, following: Next) -> Answer:
        self.collect(query)
        return await following(query)

    def collect(self, query: Query) -> None:
        if match_zone(self._zones, query.text) is not None:
            for _, handler in self._site.plugins:
                if hasattr(handler, "metadata"):
                    query.metadata |= handler.metadata(query)


def make(config: Config, site: Site) -> Metadata:
    return Metadata(config, site)
