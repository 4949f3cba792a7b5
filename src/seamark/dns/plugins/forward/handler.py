"""Asks upstreams on behalf of the client: choosing one, trying the next, giving up after five seconds."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from functools import partial
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode

from seamark.compile.resolvconf import parse_resolv_conf
from seamark.dns.corefile.address import split_address
from seamark.dns.corefile.keys import match_zone
from seamark.dns.host import Site
from seamark.dns.plugin import Answer, Next, Query
from seamark.dns.plugins.forward.config import Config, Tls
from seamark.dns.plugins.forward.config import Upstream as UpstreamConfig
from seamark.dns.plugins.forward.upstream import TlsClient, Upstream, UpstreamError
from seamark.dns.reply import failed, reply_to

QUERY_TIMEOUT = 5.0
UPSTREAM = "forward/upstream"


class Forward:
    name = "forward"

    def __init__(self, config: Config, site: Site) -> None:
        self._config = config
        self._host = site.host
        self._turn = 0
        self._running = 0
        self._upstreams = [
            Upstream(host, port, own=site.host, transport=config.transport, health=config.health, tls=tls)
            for (host, port), tls in _addresses(config, site).items()
        ]
        self.follower: Forward | None = None
        """The forward behind this one, which ``next`` and ``next_on_nodata`` go on to."""
        if not self._upstreams:
            files = ", ".join(upstream.host for upstream in config.upstreams)
            site.host.log(f"[WARNING] plugin/forward: no nameserver line in {files}: nothing can be forwarded")
        before = [handler for name, handler in site.plugins if name == self.name]
        if before:
            before[-1].follower = self

    async def stop(self) -> None:
        for upstream in self._upstreams:
            upstream.close()

    async def serve(self, query: Query, following: Next) -> Answer:
        name = query.text
        if match_zone((self._config.zone,), name) is None or self._is_excepted(name):
            return await following(query)
        limit = self._config.max_concurrent
        if limit and self._running >= limit:
            self._host.metrics.forward_rejects.inc()
            return failed(self.name, f"concurrent queries exceeded maximum {limit}", dns.rcode.REFUSED)
        self._running += 1
        try:
            return await self._ask(query, following)
        finally:
            self._running -= 1

    def metadata(self, query: Query) -> dict[str, Callable[[], str]]:
        """Known once there is a reply."""
        return {UPSTREAM: str}

    def _is_excepted(self, name: str) -> bool:
        return name != self._config.zone and match_zone(self._config.excepted, name) is not None

    async def _ask(self, query: Query, following: Next) -> Answer:
        """Until there is a reply, the attempts are used up, or time is."""
        config, clock = self._config, self._host.clock
        order = self._order()
        if not order:
            return failed(self.name, "no upstream is known")
        attempts = config.max_connect_attempts
        attempts = 2 * len(order) if attempts is None else attempts
        end = clock.monotonic() + QUERY_TIMEOUT
        error, failures, failovers, index = "no healthy proxies", 0, 0, 0
        while clock.monotonic() < end and (attempts == 0 or failures < attempts):
            upstream, index = self._pick(order, index)
            if upstream is None:
                break
            try:
                reply = await self._exchange(query, upstream)
            except UpstreamError as problem:
                error, failures = str(problem), failures + 1
                upstream.check()
                continue
            if reply.rcode() in config.failover and failovers + 1 < len(order):
                failovers += 1
                continue
            if UPSTREAM in query.metadata:
                query.metadata[UPSTREAM] = partial(str, upstream.address)
            return await self._finish(query, reply, following)
        return failed(self.name, error)

    def _order(self) -> list[Upstream]:
        found = list(self._upstreams)
        if self._config.policy == "random":
            self._host.random.shuffle(found)
        elif self._config.policy == "round_robin":
            turn = self._turn % max(len(found), 1)
            self._turn += 1
            found = found[turn:] + found[:turn]
        return found

    def _pick(self, order: list[Upstream], index: int) -> tuple[Upstream | None, int]:
        """The next upstream that is not down, and where to go on; if all are, any: the probes may be what is broken."""
        for step in range(index, index + len(order)):
            upstream = order[step % len(order)]
            if not upstream.is_down:
                return upstream, step + 1
        self._host.metrics.forward_broken.inc()
        return None if self._config.failfast else self._host.random.choice(order), index + 1

    async def _exchange(self, query: Query, upstream: Upstream) -> dns.message.Message:
        transport = self._config.transport
        protocol = query.protocol
        if transport.force_tcp:
            protocol = "tcp"
        elif transport.prefer_udp:
            protocol = "udp"
        reply = await upstream.ask(query.message, protocol)
        if transport.prefer_udp and protocol == "udp" and reply.flags & dns.flags.TC:
            reply = await upstream.ask(query.message, "tcp")
        return reply

    async def _finish(self, query: Query, reply: dns.message.Message, following: Next) -> Answer:
        asked = reply.question[0] if reply.question else None
        if asked is None or asked.name != query.name or asked.rdtype != query.rdtype:
            return Answer(dns.rcode.FORMERR, reply_to(query.message, dns.rcode.FORMERR), self.name)
        empty = reply.rcode() == dns.rcode.NOERROR and not reply.answer
        goes_on = reply.rcode() in self._config.next_rcodes or (self._config.next_on_nodata and empty)
        if goes_on and self.follower is not None:
            return await following(query)
        reply.id = query.message.id
        reply.question = list(query.message.question)
        return Answer(reply.rcode(), reply, self.name)


def _addresses(config: Config, site: Site) -> dict[tuple[str, int], TlsClient | None]:
    """Of all upstreams, each once; none for a file without nameserver lines. Raises CorefileError for one not there."""
    found: dict[tuple[str, int], TlsClient | None] = {}
    context: ssl.SSLContext | None = None
    for upstream in config.upstreams:
        if upstream.tls:
            context = context or _context(upstream, config.tls, site)
            name = upstream.server_name or config.tls.server_name
            found[upstream.host, upstream.port] = TlsClient(context, name)
            continue
        if not upstream.file:
            found[upstream.host, upstream.port] = None
            continue
        try:
            servers = parse_resolv_conf(Path(upstream.host).read_text(errors="replace")).nameservers
        except OSError as error:
            raise upstream.token.error(f"forward: cannot read '{upstream.host}': {error.strerror}") from error
        for server in servers:
            host, port = split_address(server)
            found[host, port or 53] = None
    return found


def _context(upstream: UpstreamConfig, files: Tls, site: Site) -> ssl.SSLContext:
    """Raises CorefileError for certificates that cannot be used."""
    try:
        authority = str(site.root / files.authority) if files.authority else None
        found = ssl.create_default_context(cafile=authority)
        if files.certificate:
            found.load_cert_chain(site.root / files.certificate, site.root / files.key)
    except (OSError, ssl.SSLError) as error:
        raise upstream.token.error(f"forward: the certificates of tls cannot be used: {error}") from error
    return found


def make(config: Config, site: Site) -> Forward:
    return Forward(config, site)
