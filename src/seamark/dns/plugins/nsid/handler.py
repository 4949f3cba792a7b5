"""Adds the EDNS option NSID to replies of queries that have it (RFC 5001)."""

from __future__ import annotations

import socket

import dns.edns

from seamark.dns.host import Site
from seamark.dns.plugin import Answer, Next, Query
from seamark.dns.plugins.nsid.config import Config
from seamark.dns.reply import reply_to, with_option


class Nsid:
    name = "nsid"

    def __init__(self, config: Config) -> None:
        data = config.data or socket.gethostname() or "localhost"
        self._option = dns.edns.GenericOption(dns.edns.NSID, data.encode())

    async def serve(self, query: Query, following: Next) -> Answer:
        wanted = any(option.otype == dns.edns.NSID for option in query.message.options)
        answer = await following(query)
        if wanted:
            if answer.message is None:
                answer.message = reply_to(query.message, answer.rcode)
            with_option(answer.message, self._option)
        return answer


def make(config: Config, site: Site) -> Nsid:
    return Nsid(config)
