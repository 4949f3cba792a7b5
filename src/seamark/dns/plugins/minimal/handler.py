"""Positive answers without authority and additional sections."""

from __future__ import annotations

import dns.rcode

from seamark.dns.host import Site
from seamark.dns.plugin import Answer, Next, Query
from seamark.dns.plugins.minimal.config import Config


class Minimal:
    name = "minimal"

    async def serve(self, query: Query, following: Next) -> Answer:
        answer = await following(query)
        message = answer.message
        if message is not None and message.rcode() == dns.rcode.NOERROR and message.answer:
            message.authority, message.additional = [], []  # lists are replaced: a cache may hold the old ones
        return answer


def make(config: Config, site: Site) -> Minimal:
    return Minimal()
