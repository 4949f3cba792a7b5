"""Forwarding that holds: hedging, single flight, back-off, checked answers, HTTPS, host names, resolved's stub."""

from __future__ import annotations

import asyncio
import base64
import itertools
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import httptools
import pytest
import trustme

from seamark.dns.corefile.lexer import CorefileError, Token
from seamark.dns.plugins.forward.checking import keep_bailiwick
from seamark.dns.plugins.forward.config import Config
from seamark.dns.plugins.forward.resolving import read_targets, watched_files
from seamark.dns.plugins.forward.targets import parse_upstream
from seamark.testing.clock import settle
from seamark.testing.dnsupstream import ScriptedUpstream, good, silent, with_rcode

QUERY = dns.message.make_query("a.test.", "A")


def corefile(*upstreams: ScriptedUpstream, more: str = "policy sequential", rest: str = "") -> str:
    to = " ".join(f"127.0.0.1:{u.port}" for u in upstreams)
    return f". {{\nerrors\nforward . {to} {{\n{more}\n}}\n{rest}\n}}\n"


def said(found: dns.message.Message) -> str:
    return found.answer[-1][0].to_text() if found.answer else dns.rcode.to_text(found.rcode())


async def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(20000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it did not happen")


async def test_a_slow_upstream_costs_the_hedge_and_not_its_timeout(serve: Any, upstream: Any) -> None:
    mute, up = await upstream(silent), await upstream(good("10.0.0.2"))
    server = await serve(corefile(mute, up))
    asking = asyncio.ensure_future(server.ask(QUERY))
    await wait_for(mute.arrived.is_set)
    await settle()
    assert not up.queries, "the first one has its time"
    await server.clock.advance(0.5)
    assert said(await asking) == "10.0.0.2"


async def test_one_upstream_is_asked_again_when_a_packet_is_lost(serve: Any, upstream: Any) -> None:
    def first_is_lost(query: dns.message.Message, protocol: str) -> list[dns.message.Message]:
        return good("10.0.0.1")(query, protocol) if len(up.queries) > 1 else []

    up = await upstream(first_is_lost)
    server = await serve(corefile(up))
    asking = asyncio.ensure_future(server.ask(QUERY))
    await wait_for(up.arrived.is_set)
    await settle()
    await server.clock.advance(0.5)
    assert said(await asking) == "10.0.0.1"
    assert [q.question[0].rdtype.name for _, q in up.queries].count("A") == 2


async def test_hedge_off_waits_for_the_first(serve: Any, upstream: Any) -> None:
    mute, up = await upstream(silent), await upstream(good("10.0.0.2"))
    server = await serve(corefile(mute, up, more="policy sequential\nhedge off"))
    asking = asyncio.ensure_future(server.ask(QUERY))
    await wait_for(mute.arrived.is_set)
    await settle()
    await server.clock.advance(1.9)
    assert not up.queries
    await server.clock.advance(0.2)
    assert said(await asking) == "10.0.0.2"


async def test_a_crowd_costs_one_question_and_everybody_gets_the_own_id(serve: Any, upstream: Any) -> None:
    up = await upstream(silent)
    server = await serve(corefile(up, more="hedge off"))
    crowd = [asyncio.ensure_future(server.ask(dns.message.make_query("a.test.", "A", id=n))) for n in range(50)]
    await wait_for(up.arrived.is_set)
    crowd[0].cancel()  # whoever came first leaves: the others still get theirs
    up.script = good("10.0.0.1")
    await settle()
    await server.clock.advance(2)
    found = await asyncio.gather(*crowd[1:])
    assert len([q for _, q in up.queries if q.question[0].rdtype == dns.rdatatype.A]) == 2, (
        "one that was lost, one that was answered"
    )
    assert [reply.id for reply in found] == list(range(1, 50))
    assert {said(reply) for reply in found} == {"10.0.0.1"}


async def test_other_questions_fly_alone(serve: Any, upstream: Any) -> None:
    up = await upstream(silent)
    server = await serve(corefile(up, more="hedge off\nmax_connect_attempts 1"))
    queries = [
        QUERY,
        dns.message.make_query("A.test.", "A"),
        dns.message.make_query("a.test.", "AAAA"),
        dns.message.make_query("a.test.", "A", want_dnssec=True),
    ]
    asking = [asyncio.ensure_future(server.ask(query)) for query in queries]
    await wait_for(lambda: len(up.queries) == len(queries))
    await server.clock.advance(2)
    assert {said(await task) for task in asking} == {"SERVFAIL"}


async def test_probes_of_a_dead_upstream_come_ever_slower(serve: Any, upstream: Any) -> None:
    mute, up = await upstream(silent), await upstream(good("10.0.0.2"))
    server = await serve(corefile(mute, up))
    first = server.plugin("forward").upstreams[0]
    asking = asyncio.ensure_future(server.ask(QUERY))
    times: list[float] = []
    for _ in range(160):
        before = len(mute.queries)
        await settle(100)
        await server.clock.advance(0.5)
        times += [server.clock.time()] * (len(mute.queries) - before)
    assert said(await asking) == "10.0.0.2"
    assert first.is_down
    pauses = [round(b - a, 1) for a, b in itertools.pairwise(times[1:])]
    assert pauses == sorted(pauses)
    assert pauses[-1] == pytest.approx(12, abs=1), "ten seconds and the timeout of the probe"
    asked = len(mute.queries)
    assert said(await server.ask(QUERY)) == "10.0.0.2"
    assert len(mute.queries) == asked, "what is down is not asked"


# what an upstream says


CHAIN = "a.test. 60 IN CNAME b.test.\nb.test. 60 IN CNAME c.example.\nc.example. 60 IN A 10.0.0.1"


@pytest.mark.parametrize(
    ("answer", "authority", "additional", "kept"),
    [
        (CHAIN, "", "", 3),
        ("c.example. 60 IN A 10.0.0.1\nb.test. 60 IN CNAME c.example.\na.test. 60 IN CNAME b.test.", "", "", 3),
        (f"{CHAIN}\nbank.example. 60 IN A 10.6.6.6", "", "", 3),
        ("a.test. 60 IN A 10.0.0.1", "bank.example. 60 IN NS ns.evil.", "", 1),
        ("", "test. 60 IN SOA ns.test. root.test. 1 2 3 4 5", "", 1),
        ("", "com. 60 IN SOA ns.test. root.test. 1 2 3 4 5", "", 0),
        (
            "a.test. 60 IN A 10.0.0.1",
            "test. 60 IN NS ns.test.",
            "ns.test. 60 IN A 10.0.0.9\nx.test. 60 IN A 10.6.6.6",
            3,
        ),
        ("test. 60 IN DNAME example.\na.test. 60 IN CNAME a.example.\na.example. 60 IN A 10.0.0.1", "", "", 3),
        ("a.test. 60 IN CNAME a.test.", "", "", 1),
        ("a.test. 60 IN MX 1 mx.test.", "", "mx.test. 60 IN A 10.0.0.1", 2),
    ],
)
def test_records_that_do_not_belong_are_left_out(answer: str, authority: str, additional: str, kept: int) -> None:
    reply = dns.message.make_response(QUERY)
    for section, text in ((reply.answer, answer), (reply.authority, authority), (reply.additional, additional)):
        for line in text.splitlines():
            owner, ttl, kind, rdtype, *rest = line.split(" ")
            section.append(dns.rrset.from_text(owner, int(ttl), kind, rdtype, " ".join(rest)))
    assert keep_bailiwick(reply, dns.name.from_text("A.TEST."))
    left = [*reply.answer, *reply.authority, *reply.additional]
    assert len(left) == kept
    assert "10.6.6.6" not in str(reply) and "evil" not in str(reply)


def about(name: str) -> Any:
    def answer(query: dns.message.Message, protocol: str) -> list[dns.message.Message]:
        reply = dns.message.make_response(query)
        reply.answer = [dns.rrset.from_text(name, 300, "IN", "A", "10.6.6.6")]
        return [reply]

    return answer


async def test_an_answer_about_another_name_is_none(serve: Any, upstream: Any) -> None:
    liar, up = await upstream(about("bank.example.")), await upstream(good("10.0.0.2"))
    server = await serve(corefile(liar, up))
    assert said(await server.ask(QUERY)) == "10.0.0.2"
    alone = await serve(corefile(liar))
    assert said(await alone.ask(QUERY)) == "SERVFAIL"
    assert "the answer is about other names than a.test." in alone.log[-1]
    trusting = await serve(corefile(liar, more="check_answers off"))
    assert said(await trusting.ask(QUERY)) == "10.6.6.6"


async def test_the_right_answer_behind_a_forged_one_is_taken(serve: Any, upstream: Any) -> None:
    def raced(query: dns.message.Message, protocol: str) -> list[dns.message.Message]:
        forged = dns.message.make_query("b.test.", "A", id=query.id)
        return [*good("10.6.6.6")(forged, protocol), *good("10.0.0.1")(query, protocol)]

    server = await serve(corefile(await upstream(raced)))
    assert said(await server.ask(QUERY)) == "10.0.0.1"


async def test_a_flood_of_strays_ends_the_exchange(serve: Any, upstream: Any) -> None:
    def flood(query: dns.message.Message, protocol: str) -> list[dns.message.Message]:
        wrong = good("10.6.6.6")(query, protocol)[0]
        wrong.id ^= 0x5555
        return [wrong] * 120

    flooding, up = await upstream(flood), await upstream(good("10.0.0.2"))
    server = await serve(corefile(flooding, up))
    assert said(await server.ask(QUERY)) == "10.0.0.2"


# where upstreams are


async def test_upstreams_by_name_are_asked_of_the_resolver_at_start(serve: Any, upstream: Any) -> None:
    up = await upstream(good("10.0.0.2"))

    def resolver(query: dns.message.Message, protocol: str) -> list[dns.message.Message]:
        if query.question[0].rdtype == dns.rdatatype.AAAA:
            return with_rcode(dns.rcode.NOERROR)(query, protocol)
        return good("127.0.0.1")(query, protocol)

    names = await upstream(resolver)
    where = f"127.0.0.1:{names.port}"
    server = await serve(f". {{\nforward . dns.example:{up.port} {{\nresolver {where}\n}}\n}}\n")
    assert said(await server.ask(QUERY)) == "10.0.0.2"
    assert [q.question[0].name.to_text() for _, q in names.queries] == ["dns.example."] * 2
    names.script = with_rcode(dns.rcode.NXDOMAIN)
    with pytest.raises(CorefileError, match=r"^Corefile:2:11: forward: failed to resolve 'dns.example'"):
        await serve(f". {{\nforward . dns.example {{\nresolver {where}\n}}\n}}\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("9.9.9.9", ("9.9.9.9", 53, "dns", "", False)),
        ("[2001:db8::1]:5353", ("2001:db8::1", 5353, "dns", "", False)),
        ("tls://9.9.9.9%dns.quad9.net:8853", ("9.9.9.9", 8853, "tls", "dns.quad9.net", False)),
        ("tls://[2001:db8::1%dns.test]:853", ("2001:db8::1", 853, "tls", "dns.test", False)),
        ("https://9.9.9.9", ("9.9.9.9", 443, "https", "", False)),
        ("https://dns.test:8443", ("dns.test", 8443, "https", "dns.test", True)),
        ("resolver.kube-system", ("resolver.kube-system", 53, "dns", "", True)),
    ],
)
def test_targets(text: str, expected: tuple[object, ...]) -> None:
    found = parse_upstream(Token(text, "C", 1, 1))
    assert (found.host, found.port, found.scheme, found.server_name, found.is_name) == expected


def test_resolved_is_seen_through(tmp_path: Path) -> None:
    stub, real = tmp_path / "stub.conf", tmp_path / "resolv.conf"
    stub.write_text("nameserver 127.0.0.53\noptions edns0 trust-ad\n")
    config = Config(".", (parse_upstream(Token(str(stub), "C", 1, 1)),))

    def hosts() -> list[str]:
        return [target.host for target in read_targets(config, real)]

    assert hosts() == ["127.0.0.53"], "better a stub than nothing"
    real.write_text("nameserver 192.0.2.1\nnameserver 2001:db8::1\n")
    assert hosts() == ["192.0.2.1", "2001:db8::1"]
    stub.write_text("nameserver 192.0.2.7\n")
    assert hosts() == ["192.0.2.7"]
    assert watched_files(config, real) == (str(stub), str(real))


# HTTPS


class DohServer(asyncio.Protocol):
    """RFC 8484 over HTTP/1.1 with a script's answers; every connection is one of these."""

    def __init__(self, log: list[tuple[str, str]], script: Any, connections: list[int]) -> None:
        self._log, self._script, self._connections = log, script, connections

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._connections.append(1)
        self._parser = httptools.HttpRequestParser(self)
        self._body, self._url, self._host = b"", b"", ""

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._url = url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._host = value.decode() if name.lower() == b"host" else self._host

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        method = self._parser.get_method().decode()
        encoded = self._url.partition(b"?dns=")[2]
        wire = self._body or base64.urlsafe_b64decode(encoded + b"=" * (-len(encoded) % 4))
        self._log.append((method, self._host))
        assert wire[:2] == b"\0\0"
        (reply,) = self._script(dns.message.from_wire(wire), "https")
        body = reply.to_wire()
        self._transport.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        self._body = b""


@pytest.fixture
async def doh(tmp_path: Path) -> AsyncIterator[Any]:
    """``await doh(script)`` -> (port, requests, connections); the authority is ``ca.pem``."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("dns.test").configure_cert(context)
    running: list[asyncio.Server] = []

    async def start(script: Any) -> tuple[int, list[tuple[str, str]], list[int]]:
        log: list[tuple[str, str]] = []
        connections: list[int] = []
        loop = asyncio.get_running_loop()
        made = await loop.create_server(lambda: DohServer(log, script, connections), "127.0.0.1", 0, ssl=context)
        running.append(made)
        return made.sockets[0].getsockname()[1], log, connections

    yield start
    for server in running:
        server.close()


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_https_upstreams_keep_their_connection(method: str, doh: Any, serve: Any, tmp_path: Path) -> None:
    port, requests, connections = await doh(good("10.0.0.1"))
    more = f"tls {tmp_path}/ca.pem\ntls_servername dns.test\ndoh_method {method}"
    server = await serve(f". {{\nerrors\nforward . https://127.0.0.1:{port} {{\n{more}\n}}\n}}\n")
    for number in range(3):
        found = await server.ask(dns.message.make_query("a.test.", "A", id=number + 7))
        assert (found.id, said(found)) == (number + 7, "10.0.0.1")
    assert requests == [(method, "dns.test")] * 3
    assert len(connections) == 1


async def test_https_upstreams_prove_who_they_are(doh: Any, serve: Any, tmp_path: Path) -> None:
    port, requests, _ = await doh(good("10.0.0.1"))
    text = f"https://127.0.0.1%other.test:{port}"
    server = await serve(f". {{\nerrors\nforward . {text} {{\ntls {tmp_path}/ca.pem\n}}\n}}\n")
    assert said(await server.ask(QUERY)) == "SERVFAIL"
    assert "certificate" in server.log[-1].lower()
    assert not requests
