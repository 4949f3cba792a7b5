"""TXT records of class CH about the server itself."""

from __future__ import annotations

import socket

import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from dns.rdtypes.ANY.TXT import TXT

from seamark.dns.host import Site
from seamark.dns.plugin import Answer, Next, Query
from seamark.dns.plugins.chaos.config import Config
from seamark.dns.reply import reply_to

CH = dns.rdataclass.CH


class Chaos:
    name = "chaos"

    def __init__(self, config: Config) -> None:
        self._config = config

    async def serve(self, query: Query, following: Next) -> Answer:
        texts = self._texts(query.text)
        if query.message.question[0].rdclass != CH or query.rdtype != dns.rdatatype.TXT or not texts:
            return await following(query)
        found = dns.rrset.RRset(query.name, CH, dns.rdatatype.TXT)
        for text in texts:
            found.add(TXT(CH, dns.rdatatype.TXT, [text.encode()[:255]]), 0)
        message = reply_to(query.message)
        message.answer = [found]
        return Answer(dns.rcode.NOERROR, message, self.name)

    def _texts(self, name: str) -> tuple[str, ...]:
        if name in ("version.bind.", "version.server."):
            return (self._config.version,)
        if name in ("hostname.bind.", "id.server."):
            return (socket.gethostname() or "localhost",)
        return self._config.authors if name == "authors.bind." else ()


def make(config: Config, site: Site) -> Chaos:
    return Chaos(config)
