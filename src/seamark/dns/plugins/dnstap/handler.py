"""Tells a sink of queries and replies: those of clients, and those to and from upstreams (plugin forward)."""

from __future__ import annotations

import re
import socket

import dns.message

import seamark
from seamark.dns.host import Site
from seamark.dns.plugin import Answer, Next, Query
from seamark.dns.plugins.dnstap.collectors import Collectors
from seamark.dns.plugins.dnstap.config import Config
from seamark.dns.plugins.dnstap.message import Kind, Side, Tapped, render_tap
from seamark.dns.plugins.dnstap.sink import Sink
from seamark.dns.plugins.log.handler import fields_of, unknown
from seamark.dns.reply import reply_to

_LABEL = re.compile(r"\{(/[^{}]+|>?[a-z]+)\}")
_REPLYS = frozenset({"rcode", "rsize", "duration", ">rflags"})
"""Fields of a log line that are not known of a query."""


class Dnstap:
    name = "dnstap"

    def __init__(self, config: Config, site: Site) -> None:
        self._config = config
        self._clock = site.host.clock
        self._sink = Collectors(config, site) if config.listens else Sink(config, site.host)
        identity = config.identity if config.identity is not None else socket.gethostname()
        version = config.version if config.version is not None else f"Seamark-{seamark.__version__}"
        self._identity, self._version = identity.encode(), version.encode()

    async def start(self) -> None:
        await self._sink.start()

    async def stop(self) -> None:
        await self._sink.stop()

    async def serve(self, query: Query, following: Next) -> Answer:
        asked, client = self._clock.time(), Side(query.client, query.client_port)
        wire = (query.packet or query.message.to_wire()) if self._config.full else b""
        self._tap(query, Tapped(Kind.CLIENT_QUERY, query.protocol, client, Side(), asked, wire=wire))
        answer = await following(query)
        if answer.dropped:
            return answer
        answered, wire = self._clock.time(), b""
        if self._config.full:
            message = answer.message if answer.message is not None else reply_to(query.message, answer.rcode)
            wire = message.to_wire()
        self._tap(query, Tapped(Kind.CLIENT_RESPONSE, query.protocol, client, Side(), asked, answered, wire))
        return answer

    def forwarded(self, query: Query, upstream: Side, protocol: str, asked: float, reply: dns.message.Message) -> None:
        """Tells of one exchange with an upstream that went well."""
        full = self._config.full
        wire = query.message.to_wire() if full else b""
        self._tap(query, Tapped(Kind.FORWARDER_QUERY, protocol, Side(), upstream, asked, wire=wire))
        wire, now = reply.to_wire() if full else b"", self._clock.time()
        self._tap(query, Tapped(Kind.FORWARDER_RESPONSE, protocol, Side(), upstream, asked, now, wire))

    def _tap(self, query: Query, tapped: Tapped) -> None:
        extra = _LABEL.sub(lambda label: _value(query, label), self._config.extra) if self._config.extra else ""
        data = render_tap(tapped, identity=self._identity, version=self._version, extra=extra.encode())
        self._sink.add(data)


def _value(query: Query, label: re.Match[str]) -> str:
    name = label[1]
    if name.startswith("/"):
        return query.metadata.get(name[1:], unknown)()
    if name in _REPLYS:
        return unknown()
    return fields_of(query).get(name, lambda: label[0])()


def make(config: Config, site: Site) -> Dnstap:
    return Dnstap(config, site)
