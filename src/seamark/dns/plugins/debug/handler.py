"""Ends the process at the first defect of a plugin behind it, with the stack in the log."""

from __future__ import annotations

import traceback

from seamark.dns.host import Site
from seamark.dns.plugin import Answer, Next, Query
from seamark.dns.plugins.debug.config import Config


class Debug:
    name = "debug"

    def __init__(self, site: Site) -> None:
        self._host = site.host

    async def serve(self, query: Query, following: Next) -> Answer:
        try:
            return await following(query)
        except Exception:
            self._host.log(f"[ERROR] plugin/debug: {traceback.format_exc().rstrip()}")
            self._host.fatal(f"[FATAL] plugin/debug: a plugin broke at {query.name} and debug is on")
            raise


def make(config: Config, site: Site) -> Debug:
    return Debug(site)
