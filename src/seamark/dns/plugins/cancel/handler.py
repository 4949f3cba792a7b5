"""Gives the plugins behind it a bounded time."""

from __future__ import annotations

from seamark.dns.host import Site
from seamark.dns.plugin import Answer, Next, Query
from seamark.dns.plugins.cancel.config import Config
from seamark.dns.reply import failed
from seamark.dns.waiting import within


class Cancel:
    name = "cancel"

    def __init__(self, config: Config, site: Site) -> None:
        self._timeout = config.timeout
        self._clock = site.host.clock

    async def serve(self, query: Query, following: Next) -> Answer:
        try:
            return await within(self._clock, self._timeout, following(query))
        except TimeoutError:
            return failed(self.name, f"no answer within {self._timeout:g}s")


def make(config: Config, site: Site) -> Cancel:
    return Cancel(config, site)
