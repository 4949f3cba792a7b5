"""Asks upstreams over gRPC, the next one when one fails."""

from __future__ import annotations

import ssl
from pathlib import Path

import dns.exception
import dns.message
import dns.rcode

from seamark.compile.resolvconf import parse_resolv_conf
from seamark.dns.corefile.address import split_address
from seamark.dns.corefile.keys import match_zone
from seamark.dns.corefile.lexer import Token
from seamark.dns.host import Site
from seamark.dns.plugin import Answer, Next, Query
from seamark.dns.plugins.grpc.channel import Channel, ChannelError
from seamark.dns.plugins.grpc.config import Config, Upstream
from seamark.dns.reply import failed, reply_to

TIMEOUT = 5.0


class Grpc:
    name = "grpc"

    def __init__(self, config: Config, site: Site) -> None:
        self._config = config
        self._host = site.host
        self._turn = 0
        tls = _context(config, site)
        self._channels = [
            Channel(where, site.host.clock, tls, config.server_name)
            for upstream, token in config.upstreams
            for where in _addresses(upstream, token)
        ]

    async def stop(self) -> None:
        for channel in self._channels:
            await channel.close()

    async def serve(self, query: Query, following: Next) -> Answer:
        if match_zone((self._config.zone,), query.text) is None or self._is_excepted(query.text):
            return await following(query)
        why = "no upstream"
        for channel in self._in_order():
            try:
                message = await self._ask(channel, query)
            except (ChannelError, dns.exception.DNSException) as error:
                why = str(error)
                continue
            if message.rcode() == dns.rcode.NXDOMAIN and match_zone(self._config.fallthrough or (), query.text):
                return await following(query)
            return Answer(message.rcode(), message, self.name)
        return failed(self.name, why)

    async def _ask(self, channel: Channel, query: Query) -> dns.message.Message:
        """Raises ChannelError, and DNSException for a reply that is none."""
        metrics, begun = self._host.metrics, self._host.clock.monotonic()
        metrics.grpc_requests.labels(channel.address).inc()
        message = dns.message.from_wire(await channel.ask(query.message.to_wire(), TIMEOUT), ignore_trailing=True)
        metrics.grpc_duration.labels(channel.address).observe(self._host.clock.monotonic() - begun)
        metrics.grpc_responses.labels(channel.address, dns.rcode.to_text(message.rcode())).inc()
        if message.id != query.message.id or message.question != query.message.question:
            return reply_to(query.message, dns.rcode.FORMERR)
        return message

    def _is_excepted(self, name: str) -> bool:
        return match_zone(self._config.excepted, name) is not None

    def _in_order(self) -> list[Channel]:
        count = len(self._channels)
        if self._config.policy == "random":
            return self._host.random.sample(self._channels, count)
        if self._config.policy == "round_robin":
            self._turn = (self._turn + 1) % count
            return self._channels[self._turn :] + self._channels[: self._turn]
        return self._channels


def _addresses(upstream: Upstream, token: Token) -> list[Upstream]:
    """The file's name servers, where it is one. Raises CorefileError."""
    if not upstream.is_file:
        return [upstream]
    try:
        servers = parse_resolv_conf(Path(upstream.host).read_text(errors="replace")).nameservers
    except OSError as error:
        raise token.error(f"grpc: cannot read '{upstream.host}': {error.strerror}") from error
    if not servers:
        raise token.error(f"grpc: no nameservers found in '{upstream.host}'")
    return [Upstream(host, port or upstream.port) for host, port in map(split_address, servers)]


def _context(config: Config, site: Site) -> ssl.SSLContext | None:
    """Raises CorefileError for files that cannot be used."""
    if config.tls is None:
        return None
    *pair, authority = config.tls if len(config.tls) in (1, 3) else (*config.tls, None)
    try:
        found = ssl.create_default_context(cafile=str(site.root / authority.text) if authority is not None else None)
        if pair:
            certificate, key = (site.root / token.text for token in pair if token is not None)
            found.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise config.tls[0].error(f"grpc: certificates cannot be used: {error}") from error
    found.minimum_version = ssl.TLSVersion.TLSv1_2
    found.set_alpn_protocols(["h2"])
    return found


def make(config: Config, site: Site) -> Grpc:
    return Grpc(config, site)
