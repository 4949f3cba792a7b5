"""Sets and clears header flags of queries and replies."""

from __future__ import annotations

from collections.abc import Iterable

import dns.flags

from seamark.dns.host import Site
from seamark.dns.plugin import Answer, Next, Query
from seamark.dns.plugins.header.config import Config, Rule


class Header:
    name = "header"

    def __init__(self, config: Config) -> None:
        self._config = config

    async def serve(self, query: Query, following: Next) -> Answer:
        query.message.flags = _changed(query.message.flags, self._config.query)
        answer = await following(query)
        if answer.message is not None:
            answer.message.flags = _changed(answer.message.flags, self._config.response)
        return answer


def _changed(flags: int, rules: Iterable[Rule]) -> dns.flags.Flag:
    for rule in rules:
        flags = flags | rule.flag if rule.on else flags & ~rule.flag
    return dns.flags.Flag(flags)


def make(config: Config, site: Site) -> Header:
    return Header(config)
