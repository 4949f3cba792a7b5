"""Packet in, packet out: everything a DNS server does between its sockets and its plugins.

Rules of CoreDNS: class other than IN is REFUSED, EDNS version above 0 is BADVERS, what no plugin wrote the core
writes; OPT comes back with the client's size and DO bit; over UDP an answer fits the client's buffer, or has TC.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype

from seamark.dns.host import Host
from seamark.dns.listener import Listener, Source, plain_address
from seamark.dns.metrics import type_label
from seamark.dns.plugin import Answer, Query
from seamark.dns.reply import reply_to
from seamark.dns.server.instance import Instance
from seamark.dns.wire.accept import Verdict, judge
from seamark.dns.wire.question import parse_query
from seamark.dns.wire.render import MAX_TCP, MAX_UDP, Opt, render, render_bare

DROPPED = "dropped"
Reply = bytes | list[bytes] | None


class Core:
    """``current`` gives the instance in service; a reload changes what it gives."""

    def __init__(self, host: Host, current: Callable[[], Instance]) -> None:
        self._host = host
        self._current = current

    async def answer(self, at: Listener, packet: bytes, client: Source, protocol: str) -> Reply:
        """The reply; None for a packet that gets none, several messages for a transfer. Never raises."""
        verdict = judge(packet)
        if verdict is Verdict.DROP:
            return None
        if verdict is not Verdict.ACCEPT:
            return render_bare(packet, verdict.value)
        try:
            message = parse_query(packet) or dns.message.from_wire(packet, ignore_trailing=True, keyring=False)
            return await self._answer(at, packet, message, self._query(at, packet, message, client, protocol))
        except dns.exception.DNSException:
            return render_bare(packet, int(dns.rcode.FORMERR))
        except Exception as error:
            self._host.metrics.panics.inc()
            self._host.log(f"[ERROR] Recovered from a failure in server: {at.label} {error!r}")
            return render_bare(packet, int(dns.rcode.SERVFAIL))

    def _query(self, at: Listener, packet: bytes, message: dns.message.Message, client: Source, protocol: str) -> Query:
        question = message.question[0]
        return Query(
            message=cast(dns.message.QueryMessage, message),  # NOTIFY goes the way of a query
            name=question.name,
            rdtype=question.rdtype,
            client=plain_address(client.host),
            protocol=protocol,
            zone=dns.name.root,
            received=self._host.clock.monotonic(),
            client_port=client.port,
            server_ip=plain_address(self._own_address(at, client, protocol)),
            server_port=client.at_port or at.port,
            tlvs=client.tlvs,
            size=len(packet),
            packet=packet,
        )

    def _own_address(self, at: Listener, client: Source, protocol: str) -> str:
        """CoreDNS does not know it of a datagram to a socket on all addresses."""
        return "::" if self._host.as_coredns and protocol == "udp" and not at.host else client.at

    def quick(self, at: Listener, packet: bytes, client: str) -> bytes | None:
        """An answer that is known already, over UDP; None sends the packet through ``answer``."""
        return self._current().remembered.find(at, packet, client)

    async def _answer(self, at: Listener, packet: bytes, message: dns.message.Message, query: Query) -> Reply:
        instance = self._current()
        if message.question[0].rdclass != dns.rdataclass.IN and not instance.takes_all_classes(at):
            answer = Answer(dns.rcode.REFUSED)
        elif message.edns > 0:
            bad = reply_to(message, dns.rcode.BADVERS)
            return render(bad, _limit(query), Opt(0))
        else:
            instance.under_way += 1
            try:
                answer = await instance.serve(at, query)
            finally:
                instance.under_way -= 1
        if not query.server:
            self._count_dropped(at, query, answer)
        if answer.dropped:
            return None
        found = answer.message if answer.message is not None else reply_to(message, answer.rcode)
        signer = answer.signer
        wire = render(found, _limit(query) - (signer.space if signer else 0), _opt(message, found))
        wire = signer.sign(wire) if signer else wire
        if answer.sent is not None:
            answer.sent(len(wire))
        if answer.lasting is not None and query.protocol == "udp" and instance.always_finds(at):
            running = instance.find(at, query)
            if running is not None and running.again is not None:
                instance.remembered.keep(at, packet, query, answer, wire, running.again)
        if answer.more:
            further = [render(each, MAX_TCP, None) for each in answer.more]
            return [wire, *(map(signer.sign, further) if signer else further)]
        return wire

    def _count_dropped(self, at: Listener, query: Query, answer: Answer) -> None:
        """Queries that no server block took still count."""
        server, metrics = at.label, self._host.metrics
        family = "2" if ":" in query.client else "1"
        kind = type_label(dns.rdatatype.to_text(query.rdtype))
        metrics.requests.labels(server, DROPPED, "", query.network, family, kind).inc()
        metrics.responses.labels(server, DROPPED, "", dns.rcode.to_text(answer.rcode), "").inc()


def _limit(query: Query) -> int:
    if query.network == "tcp":
        return MAX_TCP
    return max(MAX_UDP, query.message.payload) if query.message.edns >= 0 else MAX_UDP


def _opt(asked: dns.message.Message, found: dns.message.Message) -> Opt | None:
    """What a plugin says about its answer (acl, nsid) reaches clients without EDNS too, as with CoreDNS."""
    if asked.edns < 0:
        return (
            Opt(found.payload, flags=found.ednsflags & dns.flags.DO, options=found.options) if found.options else None
        )
    flags = asked.ednsflags | (found.ednsflags if found.options else 0)
    return Opt(asked.payload, flags=flags & dns.flags.DO, options=tuple(found.options))
