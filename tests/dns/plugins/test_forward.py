"""Plugin forward against scripted upstreams on loopback: failures, choices, limits."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
import trustme

from seamark.dns.corefile.lexer import CorefileError
from seamark.testing.clock import settle
from seamark.testing.dnsupstream import ScriptedUpstream, good, silent, with_rcode
from seamark.testing.ports import free_port


def corefile(*upstreams: ScriptedUpstream, zone: str = ".", more: str = "", rest: str = "") -> str:
    to = " ".join(f"127.0.0.1:{u.port}" for u in upstreams)
    return f". {{\nerrors\nforward {zone} {to} {{\n{more}\n}}\n{rest}\n}}\n"


async def wait_for(condition: Callable[[], bool]) -> None:
    """Real sockets need the real loop to turn; bounded by the test's timeout."""
    for _ in range(20000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it did not happen")


QUERY = dns.message.make_query("a.test.", "A")


def address(found: dns.message.Message) -> str:
    return found.answer[0][0].to_text() if found.answer else dns.rcode.to_text(found.rcode())


async def test_what_the_upstream_says_is_what_the_client_gets(serve: Any, upstream: Any) -> None:
    up = await upstream(good("10.0.0.1"))
    server = await serve(corefile(up))
    found = await server.ask(dns.message.make_query("A.Test.", "A"))
    assert address(found) == "10.0.0.1"
    assert found.flags & dns.flags.RA and not found.flags & dns.flags.AA
    assert found.answer[0].ttl == 300
    assert up.queries[0][1].question[0].name.to_text() == "A.Test."


@pytest.mark.parametrize(
    ("protocol", "more", "asked"),
    [("udp", "", ["udp"]), ("tcp", "", ["tcp"]), ("udp", "force_tcp", ["tcp"]), ("tcp", "prefer_udp", ["udp"])],
)
async def test_the_protocol(protocol: str, more: str, asked: list[str], serve: Any, upstream: Any) -> None:
    up = await upstream(good("10.0.0.1"))
    server = await serve(corefile(up, more=more))
    assert address(await server.ask(QUERY, protocol=protocol)) == "10.0.0.1"
    assert [p for p, _ in up.queries] == asked


async def test_prefer_udp_asks_again_when_truncated(serve: Any, upstream: Any) -> None:
    def truncating(query: dns.message.Message, protocol: str) -> list[dns.message.Message]:
        (reply,) = good("10.0.0.1")(query, protocol)
        if protocol == "udp":
            reply.flags |= dns.flags.TC
            reply.answer = []
        return [reply]

    up = await upstream(truncating)
    server = await serve(corefile(up, more="prefer_udp"))
    assert address(await server.ask(QUERY, protocol="tcp")) == "10.0.0.1"
    assert [p for p, _ in up.queries] == ["udp", "tcp"]


async def test_connections_are_used_again_until_they_expire(serve: Any, upstream: Any) -> None:
    up = await upstream(good("10.0.0.1"))
    server = await serve(corefile(up, more="expire 10s"))
    for _ in range(3):
        await server.ask(QUERY, protocol="tcp")
    assert up.connections == 1
    await server.clock.advance(10)
    await server.ask(QUERY, protocol="tcp")
    assert up.connections == 2


async def test_an_answer_that_is_not_for_us_is_ignored(serve: Any, upstream: Any) -> None:
    def confused(query: dns.message.Message, protocol: str) -> list[dns.message.Message]:
        wrong, right = good("10.6.6.6")(query, protocol)[0], good("10.0.0.1")(query, protocol)[0]
        wrong.id ^= 0x5555
        return [wrong, right]

    server = await serve(corefile(await upstream(confused)))
    assert address(await server.ask(QUERY)) == "10.0.0.1"


async def test_an_answer_to_another_question_is_formerr(serve: Any, upstream: Any) -> None:
    def mistaken(query: dns.message.Message, protocol: str) -> list[dns.message.Message]:
        other = dns.message.make_query("b.test.", "A", id=query.id)
        return good("10.6.6.6")(other, protocol)

    server = await serve(corefile(await upstream(mistaken), more="hedge off"))
    assert address(await server.ask(QUERY, protocol="tcp")) == "FORMERR"
    over_udp = asyncio.ensure_future(server.ask(QUERY))
    await wait_for(lambda: len(server.plugin("forward").upstreams[0]._idle["udp"]) == 0)
    while not over_udp.done():  # the right answer may still come behind a forged one
        await settle(200)
        await server.clock.advance(0.5)
    assert address(await over_udp) == "FORMERR"


async def test_a_silent_upstream_is_given_up_and_the_next_one_asked(serve: Any, upstream: Any) -> None:
    mute, up = await upstream(silent), await upstream(good("10.0.0.2"))
    server = await serve(corefile(mute, up, more="policy sequential"))
    asking = asyncio.ensure_future(server.ask(QUERY))
    await wait_for(mute.arrived.is_set)
    await settle()
    await server.clock.advance(2)
    assert address(await asking) == "10.0.0.2"


async def test_when_all_are_silent_the_client_gets_servfail_within_five_seconds(serve: Any, upstream: Any) -> None:
    mute = await upstream(silent)
    server = await serve(corefile(mute))
    server.log.clear()
    started = server.clock.time()
    asking = asyncio.ensure_future(server.ask(QUERY))
    while not asking.done():
        await settle(200)
        await server.clock.advance(0.5)
    assert address(await asking) == "SERVFAIL"
    assert server.clock.time() - started <= 5.5
    (line,) = server.log
    assert re.fullmatch(
        rf"\[ERROR\] plugin/errors: 2 a.test. A: read udp 127.0.0.1:\d+->127.0.0.1:{mute.port}: i/o timeout", line
    ), "in Go's words: patterns of consolidate are written for them"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("", r"read udp 127.0.0.1:\d+->127.0.0.1:PORT: read: connection refused"),
        ("force_tcp", r"dial tcp 127.0.0.1:PORT: connect: connection refused"),
    ],
)
async def test_a_refusal_is_told_as_go_tells_it(serve: Any, options: str, told: str) -> None:
    port = free_port()
    server = await serve(f". {{\nerrors\nforward . 127.0.0.1:{port} {{\n{options}\n}}\n}}\n")
    assert address(await server.ask(QUERY)) == "SERVFAIL"
    assert re.fullmatch(rf"\[ERROR\] plugin/errors: 2 a.test. A: {told.replace('PORT', str(port))}", server.log[-1])


async def test_a_closed_port_is_known_at_once(serve: Any, upstream: Any) -> None:
    up = await upstream(good("10.0.0.1"))
    port = up.port
    server = await serve(f". {{\nforward . 127.0.0.1:1 127.0.0.1:{port} {{\npolicy sequential\n}}\n}}\n")
    assert address(await server.ask(QUERY)) == "10.0.0.1"
    assert address(await server.ask(QUERY, protocol="tcp")) == "10.0.0.1"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("www.example.com.", "SERVFAIL"),
        ("a.WWW.example.com.", "SERVFAIL"),
        ("example.com.", "10.0.0.1"),
        ("xwww.example.com.", "10.0.0.1"),
    ],
)
async def test_except_leaves_names_to_the_next_plugin(name: str, expected: str, serve: Any, upstream: Any) -> None:
    up = await upstream(good("10.0.0.1"))
    server = await serve(corefile(up, more="except www.example.com."))
    assert address(await server.ask(dns.message.make_query(name, "A"))) == expected
    if expected == "SERVFAIL":
        assert server.log[-1].endswith("plugin/forward: no next plugin found")


async def test_the_first_forward_whose_zone_matches_answers(serve: Any, upstream: Any) -> None:
    one, two = await upstream(good("10.0.0.1")), await upstream(good("10.0.0.2"))
    server = await serve(f". {{\nforward b.test 127.0.0.1:{one.port}\nforward . 127.0.0.1:{two.port}\n}}\n")
    assert address(await server.ask(dns.message.make_query("x.b.test.", "A"))) == "10.0.0.1"
    assert address(await server.ask(dns.message.make_query("x.c.test.", "A"))) == "10.0.0.2"


async def test_policies_choose(serve: Any, upstream: Any) -> None:
    ups = [await upstream(good(f"10.0.0.{n}")) for n in range(3)]
    taken: dict[str, list[str]] = {}
    for policy in ("sequential", "round_robin", "random"):
        server = await serve(corefile(*ups, more=f"policy {policy}"))
        taken[policy] = [address(await server.ask(QUERY)) for _ in range(30)]
    assert set(taken["sequential"]) == {"10.0.0.0"}
    assert taken["round_robin"] == ["10.0.0.0", "10.0.0.1", "10.0.0.2"] * 10
    assert all(taken["random"].count(f"10.0.0.{n}") >= 3 for n in range(3))


async def test_queries_over_max_concurrent_are_refused(serve: Any, upstream: Any, host: Any) -> None:
    mute = await upstream(silent)
    server = await serve(corefile(mute, more="max_concurrent 2"))
    asking = [asyncio.ensure_future(server.ask(QUERY)) for _ in range(2)]
    await wait_for(lambda: len(mute.queries) == 1)
    assert address(await server.ask(QUERY)) == "REFUSED"
    assert "concurrent queries exceeded maximum 2" in server.log[-1]
    assert "coredns_forward_max_concurrent_rejects_total 1.0" in host.metrics.text().decode()
    mute.script = good("10.0.0.1")
    while not all(task.done() for task in asking):
        await settle(200)
        await server.clock.advance(0.5)


async def test_an_upstream_that_fails_its_probes_is_passed_over_until_it_answers(
    serve: Any, upstream: Any, host: Any
) -> None:
    bad, up = await upstream(silent), await upstream(good("10.0.0.2"))
    server = await serve(corefile(bad, up, more="policy sequential\nmax_fails 1\nhealth_check 1s"))
    first = next(u for u in server.plugin("forward").upstreams if u.address.endswith(str(bad.port)))
    asking = asyncio.ensure_future(server.ask(QUERY))
    for _ in range(40):
        await settle(200)
        await server.clock.advance(0.5)
        if first.is_down:
            break
    assert first.is_down
    assert address(await asking) == "10.0.0.2"
    before = len(bad.queries)
    assert address(await server.ask(QUERY)) == "10.0.0.2"
    assert [q.question[0].rdtype.name for _, q in bad.queries[before:]] in ([], ["NS"])
    bad.script = good("10.0.0.1")
    for _ in range(40):
        await settle(200)
        await server.clock.advance(0.5)
        if not first.is_down:
            break
    assert address(await server.ask(QUERY)) == "10.0.0.1"
    assert "coredns_proxy_healthcheck_failures_total" in host.metrics.text().decode()


async def test_failover_and_next(serve: Any, upstream: Any) -> None:
    failing, up = await upstream(with_rcode(dns.rcode.SERVFAIL)), await upstream(good("10.0.0.2"))
    plain = await serve(corefile(failing, up, more="policy sequential"))
    assert address(await plain.ask(QUERY)) == "SERVFAIL"
    failover = await serve(corefile(failing, up, more="policy sequential\nfailover SERVFAIL"))
    assert address(await failover.ask(QUERY)) == "10.0.0.2"
    denying = await upstream(with_rcode(dns.rcode.NXDOMAIN))
    rest = f"forward . 127.0.0.1:{up.port}"
    goes_on = await serve(corefile(denying, more="next NXDOMAIN", rest=rest))
    assert address(await goes_on.ask(QUERY)) == "10.0.0.2"
    alone = await serve(corefile(denying, more="next NXDOMAIN"))
    assert address(await alone.ask(QUERY)) == "NXDOMAIN"
    empty = await upstream(with_rcode(dns.rcode.NOERROR))
    nodata = await serve(corefile(empty, more="next_on_nodata", rest=rest))
    assert address(await nodata.ask(QUERY)) == "10.0.0.2"


async def test_upstreams_of_a_file(serve: Any, upstream: Any, tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text("search x\n")
    lonely = await serve(f". {{\nerrors\nforward . {file}\n}}\n")
    assert lonely.log[-1].startswith("[WARNING] plugin/forward: no nameserver line in ")
    assert address(await lonely.ask(QUERY)) == "SERVFAIL"
    assert lonely.log[-1].endswith(" A: no upstream is known")
    with pytest.raises(CorefileError, match=r"^Corefile:2:11: .*: No such file"):
        await serve(f". {{\nforward . {file}.not\n}}\n")
    file.write_text("nameserver 192.0.2.1\nnameserver fe80::1\n")
    server = await serve(f". {{\nforward . {file} 192.0.2.1\n}}\n")
    assert [u.address for u in server.plugin("forward").upstreams] == ["192.0.2.1:53", "[fe80::1]:53"]


async def test_tls_upstreams_are_asked_over_connections_used_again(
    serve: Any, upstream: Any, tmp_path: Path, host: Any
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("dns.test").configure_cert(context)
    up = await upstream(good("10.0.0.1"), context)
    text = f". {{\nerrors\nforward . tls://127.0.0.1%NAME:{up.port} {{\ntls {tmp_path}/ca.pem\n}}\n}}\n"
    server = await serve(text.replace("NAME", "dns.test"))
    for _ in range(3):
        assert address(await server.ask(QUERY)) == "10.0.0.1"
    assert up.connections == 1
    hits = f'coredns_proxy_conn_cache_hits_total{{proto="tcp-tls",proxy_name="forward",to="127.0.0.1:{up.port}"}} 2.0'
    assert hits in host.metrics.text().decode()
    other = await serve(text.replace("NAME", "other.test"))
    assert (await other.ask(QUERY)).rcode() == dns.rcode.SERVFAIL
    assert "certificate" in other.log[-1].lower()


async def test_certificates_that_cannot_be_read_are_told_at_the_upstream(serve: Any) -> None:
    with pytest.raises(CorefileError, match="certificates of tls cannot be used") as caught:
        await serve(". {\nforward . tls://127.0.0.1 {\ntls /nonexistent\n}\n}\n")
    assert caught.value.word == "tls://127.0.0.1"
