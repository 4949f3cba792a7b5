"""Asks upstreams on behalf of the client: choosing, sharing what is under way, judging what comes back."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from importlib import import_module

import dns.flags
import dns.message
import dns.rcode

from seamark.dns.corefile.address import split_address
from seamark.dns.corefile.keys import match_zone
from seamark.dns.host import Site
from seamark.dns.plugin import Answer, Next, Query
from seamark.dns.plugins.dnstap.message import Side
from seamark.dns.plugins.forward.attempts import Attempts, Reply
from seamark.dns.plugins.forward.checking import is_for, keep_bailiwick
from seamark.dns.plugins.forward.config import Config, Tls
from seamark.dns.plugins.forward.doh import open_doh
from seamark.dns.plugins.forward.flights import Flights
from seamark.dns.plugins.forward.resolving import read_targets, resolve_target, watched_files
from seamark.dns.plugins.forward.targets import Upstream as Target
from seamark.dns.plugins.forward.upstream import Exchanger, TlsClient, Upstream, UpstreamError
from seamark.dns.reply import reply_to
from seamark.dns.wire.render import render_query

UPSTREAM = "forward/upstream"


class Forward:
    name = "forward"

    def __init__(self, config: Config, site: Site) -> None:
        self._config = replace(config, hedge=0.0) if site.host.as_coredns else config
        self._site = site
        self._host = site.host
        self._turn = 0
        self._running = 0
        self._flights: Flights[Reply] = Flights()
        self._targets = list(read_targets(config))
        self._upstreams: list[Upstream] = []
        self._open(target for target in self._targets if not target.is_name)
        self._taps = [handler for name, handler in site.plugins if name == "dnstap"]
        self.follower: Forward | None = None
        """The forward behind this one, which ``next`` and ``next_on_nodata`` go on to."""
        self.files = watched_files(config)
        """What the process looks at for other upstreams, as it looks at the Corefile."""
        if not self._targets:
            files = ", ".join(upstream.host for upstream in config.upstreams)
            site.host.log(f"[WARNING] plugin/forward: no nameserver line in {files}: nothing can be forwarded")
        before = [handler for name, handler in site.plugins if name == self.name]
        if before:
            before[-1].follower = self

    async def start(self) -> None:
        """Asks for the addresses of upstreams that are host names. Raises CorefileError where there are none."""
        if not any(target.is_name for target in self._targets):
            return
        found: list[Target] = []
        for target in self._targets:
            found += await resolve_target(target, self._config, self._host) if target.is_name else [target]
        self._upstreams = []
        self._open(iter(found))

    async def stop(self) -> None:
        self._flights.close()
        for upstream in self._upstreams:
            await upstream.close()

    @property
    def upstreams(self) -> tuple[Upstream, ...]:
        """For the plugin loop, which may put one out of use."""
        return tuple(self._upstreams)

    def _open(self, targets: Iterator[Target]) -> None:
        """Each once. Raises CorefileError for certificates that cannot be used."""
        known: dict[tuple[str, str, int, str], None] = {}
        for target in targets:
            name = target.server_name or self._config.tls.server_name
            key = (target.scheme, target.host, target.port, name)
            if key not in known:
                known[key] = None
                self._upstreams.append(self._upstream(target, name))

    def _upstream(self, target: Target, name: str) -> Upstream:
        config = self._config
        tls = TlsClient(_context(target, config.tls, self._site), name) if target.scheme == "tls" else None
        return Upstream(
            target.host,
            target.port,
            own=self._host,
            transport=config.transport,
            health=config.health,
            tls=tls,
            exchanger=self._exchanger(target, name),
        )

    def _exchanger(self, target: Target, name: str) -> Exchanger | None:
        """Raises CorefileError."""
        config = self._config
        if target.scheme == "https":
            return open_doh(target, name, config, self._site)
        if target.scheme == "quic":
            doq = import_module("seamark.dns.plugins.forward.doq")  # half a second of imports that few need
            found: Exchanger = doq.open_doq(target, name, config, self._site)
            return found
        return None

    async def serve(self, query: Query, following: Next) -> Answer:
        if not self.takes(query):
            return await following(query)
        limit = self._config.max_concurrent
        if limit and self._running >= limit:
            self._host.metrics.forward_rejects.inc()
            return self._failed(f"concurrent queries exceeded maximum {limit}", dns.rcode.REFUSED)
        self._running += 1
        try:
            return await self._ask(query, following)
        finally:
            self._running -= 1

    def _failed(self, error: str, rcode: dns.rcode.Rcode = dns.rcode.SERVFAIL) -> Answer:
        """The reason alone, in Go's words: patterns of ``errors { consolidate }`` are written for them."""
        return Answer(rcode, None, self.name, error)

    def takes(self, query: Query) -> bool:
        """Whether the question is for this one's upstreams."""
        return match_zone((self._config.zone,), query.text) is not None and not self._is_excepted(query.text)

    def metadata(self, query: Query) -> dict[str, Callable[[], str]]:
        """Known once there is a reply."""
        return {UPSTREAM: str}

    def _is_excepted(self, name: str) -> bool:
        return name != self._config.zone and match_zone(self._config.excepted, name) is not None

    async def _ask(self, query: Query, following: Next) -> Answer:
        try:
            if self._config.single_flight and not self._host.as_coredns:
                key = query.network.encode() + render_query(query.message)[2:]
                (upstream, reply), is_first = await self._flights.join(key, partial(self._first_reply, query))
                reply = reply if is_first else dns.message.from_wire(reply.to_wire(max_size=65535))
            else:
                upstream, reply = await self._first_reply(query)
        except UpstreamError as error:
            return self._failed(str(error))
        if UPSTREAM in query.metadata:
            query.metadata[UPSTREAM] = partial(str, upstream.address)
        return await self._finish(query, reply, following)

    async def _first_reply(self, query: Query) -> Reply:
        """Raises UpstreamError."""
        usable = [upstream for upstream in self._upstreams if not upstream.disabled]
        if not usable:
            why = next((upstream.disabled for upstream in self._upstreams), "no upstream is known")
            raise UpstreamError(why)
        choices = self._choices(self._order(usable))
        attempts = Attempts(self._config, self._host.clock, choices, len(usable))
        asked = self._host.clock.time()
        upstream, reply = await attempts.first_reply(partial(self._exchange, query))
        reply.id = query.message.id
        for tap in self._taps:
            host, port = split_address(upstream.address)
            tap.forwarded(query, Side(host, port or 0), query.network, asked, reply)
        return upstream, reply

    def _order(self, usable: list[Upstream]) -> list[Upstream]:
        found = list(usable)
        if self._config.policy == "random":
            self._host.random.shuffle(found)
        elif self._config.policy == "round_robin":
            turn = self._turn % len(found)
            self._turn += 1
            found = found[turn:] + found[:turn]
        return found

    def _choices(self, order: list[Upstream]) -> Iterator[Upstream]:
        """In turn, those that are down left out; if all are, any: the probes may be what is broken."""
        index = 0
        while True:
            found = next(
                (step for step in range(index, index + len(order)) if not order[step % len(order)].is_down), None
            )
            if found is not None:
                index = found + 1
                yield order[found % len(order)]
                continue
            self._host.metrics.forward_broken.inc()
            if self._config.failfast:
                return
            index += 1
            yield self._host.random.choice(order)

    async def _exchange(self, query: Query, upstream: Upstream) -> dns.message.Message:
        transport = self._config.transport
        protocol = query.network
        if transport.force_tcp:
            protocol = "tcp"
        elif transport.prefer_udp:
            protocol = "udp"
        reply = await upstream.ask(query.message, protocol)
        if transport.prefer_udp and protocol == "udp" and reply.flags & dns.flags.TC:
            reply = await upstream.ask(query.message, "tcp")
        checks = self._config.check_answers and not self._host.as_coredns
        checked = checks and is_for(reply, query.message)
        if checked and not keep_bailiwick(reply, query.name):
            raise UpstreamError(f"{upstream.address}: the answer is about other names than {query.name}")
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


def _context(upstream: Target, files: Tls, site: Site) -> ssl.SSLContext:
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
