"""Plugins that decide over or touch up queries and replies: acl, any, bufsize, cancel, chaos, debug, header, local,
metadata, minimal, nsid, root.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest

from seamark.dns.listener import Listener, Source
from seamark.testing.clock import settle
from seamark.testing.dnscase import DnsCase, render_records

HOSTS = "hosts /nonexistent {\n10.0.0.1 a.test\n}\n"
MANY = "hosts /nonexistent {\n" + "".join(f"10.0.0.{n} a.test\n" for n in range(1, 120)) + "}\n"


async def test_acl_blocks_filters_drops_and_allows(serve: Any, host: Any) -> None:
    rules = "acl test {\nallow net 192.0.2.7\nfilter type TXT A\ndrop net 2001:db8::/32\nblock\n}\n"
    server = await serve(". {\n" + rules + HOSTS + "}")
    query = dns.message.make_query("a.test.", "A")
    assert (await server.ask(query)).answer
    filtered = await server.ask(query, client="192.0.2.8")
    assert filtered.rcode() == dns.rcode.NOERROR and not filtered.answer
    assert filtered.payload == 4096 and filtered.options[0].code == dns.edns.EDECode.FILTERED
    asked = dns.message.make_query("a.test.", "AAAA", payload=1400)
    blocked = await server.ask(asked, client="192.0.2.8")
    assert blocked.rcode() == dns.rcode.REFUSED and blocked.payload == 1400
    assert blocked.options[0].code == dns.edns.EDECode.BLOCKED
    assert await server.core.answer(Listener(53), asked.to_wire(), Source("2001:db8::1", 9), "udp") is None
    text = host.metrics.text().decode()
    for word in ("allowed", "filtered", "blocked", "dropped"):
        assert f'coredns_acl_{word}_requests_total{{server="dns://:53",view="",zone="."}} 1.0' in text


async def test_the_first_of_several_acls_that_matches_decides(serve: Any) -> None:
    rules = "acl a.test {\nallow net 192.0.2.7\n}\nacl {\nblock\n}\n"
    server = await serve(". {\n" + rules + HOSTS + "}")
    assert (await server.ask(dns.message.make_query("a.test.", "A"))).answer
    assert (await server.ask(dns.message.make_query("b.test.", "A"))).rcode() == dns.rcode.REFUSED


@pytest.mark.parametrize("name", ["a.test.", "No.test."])
async def test_any_gets_a_hinfo(name: str, serve: Any) -> None:
    server = await serve(". {\nany\n" + HOSTS + "}")
    case = DnsCase(name, "ANY", answer=f'{name} 8482 IN HINFO "ANY obsoleted" "See RFC 8482"', aa=False)
    assert case.differences(await server.ask(case.query())) == []


async def test_bufsize_lowers_what_clients_ask_for(serve: Any) -> None:
    server = await serve(". {\nbufsize 600\n" + MANY + "}")
    found = await server.ask(dns.message.make_query("a.test.", "A", payload=4000, want_dnssec=True))
    assert found.flags & dns.flags.TC and len(found.to_wire()) <= 600
    assert found.payload == 600 and found.ednsflags & dns.flags.DO
    assert (await server.ask(dns.message.make_query("a.test.", "A", payload=550))).payload == 550
    assert (await server.ask(dns.message.make_query("a.test.", "A"))).edns == -1


async def test_cancel_bounds_the_time(serve: Any) -> None:
    import asyncio

    server = await serve(". {\ncancel 1s\n" + HOSTS + "}")

    async def never(*args: object) -> None:
        await asyncio.Event().wait()

    server.plugin("hosts")._forward_lookup = never
    asking = asyncio.ensure_future(server.ask(dns.message.make_query("a.test.", "A")))
    await settle()
    await server.clock.advance(1)
    assert (await asking).rcode() == dns.rcode.SERVFAIL


@pytest.mark.parametrize(
    ("name", "text"), [("version.bind.", "V1"), ("Version.Server.", "V1"), ("authors.bind.", "Ann")]
)
async def test_chaos(name: str, text: str, serve: Any) -> None:
    server = await serve(". {\nchaos V1 Ann\n" + HOSTS + "}")
    found = await server.ask(dns.message.make_query(name, "TXT", "CH"))
    assert found.answer[0][0].to_text() == f'"{text}"' and found.answer[0].ttl == 0
    assert (await server.ask(dns.message.make_query("x.bind.", "TXT", "CH"))).rcode() == dns.rcode.SERVFAIL
    plain = await serve(". {\n" + HOSTS + "}")
    assert (await plain.ask(dns.message.make_query(name, "TXT", "CH"))).rcode() == dns.rcode.REFUSED


async def test_debug_ends_the_process_at_a_defect(serve: Any) -> None:
    server = await serve(". {\ndebug\n" + HOSTS + "}")

    async def broken(*args: object) -> None:
        raise ZeroDivisionError("oops")

    server.plugin("hosts")._forward_lookup = broken
    await server.ask(dns.message.make_query("a.test.", "A"))
    assert any("ZeroDivisionError: oops" in line and "Traceback" in line for line in server.log)
    assert any(line.startswith("[FATAL] plugin/debug") for line in server.log)


async def test_header_flags(serve: Any) -> None:
    server = await serve(". {\nheader {\nresponse set ra\nresponse clear aa\nquery clear rd\n}\n" + HOSTS + "}")
    found = await server.ask(dns.message.make_query("a.test.", "A"))
    assert found.flags & dns.flags.RA and not found.flags & (dns.flags.AA | dns.flags.RD)


SOA = "{} 604800 IN SOA localhost. root.localhost. 1 0 0 0 604800"


@pytest.mark.parametrize(
    "case",
    [
        DnsCase("localhost.", answer="localhost. 604800 IN A 127.0.0.1", aa=False),
        DnsCase("x.Localhost.", "AAAA", answer="x.Localhost. 604800 IN AAAA ::1", aa=False),
        DnsCase("localhost.a.test.", answer="localhost.a.test. 604800 IN A 127.0.0.1", aa=False),
        DnsCase("localhost.", "MX", authority=SOA.format("localhost."), aa=False),
        DnsCase("127.in-addr.arpa.", "NS", answer="127.in-addr.arpa. 604800 IN NS localhost.", aa=False),
        DnsCase("1.0.0.127.in-addr.arpa.", "PTR", answer="1.0.0.127.in-addr.arpa. 604800 IN PTR localhost.", aa=False),
        DnsCase(
            "2.0.0.127.in-addr.arpa.",
            "PTR",
            rcode="NXDOMAIN",
            authority=SOA.format("127.in-addr.arpa."),
            aa=False,
        ),
        DnsCase("a.test.", answer="a.test. 3600 IN A 10.0.0.1"),
    ],
    ids=str,
)
async def test_local_names(case: DnsCase, serve: Any) -> None:
    server = await serve(". {\nlocal\n" + HOSTS + "}")
    assert case.differences(await server.ask(case.query())) == []


async def test_minimal_keeps_denials_whole(serve: Any, fake_api: Any) -> None:
    server = await serve(". {\nminimal\nlocal\nwhoami\n}")
    denied = await server.ask(dns.message.make_query("localhost.", "MX"))
    assert denied.authority
    answered = await server.ask(dns.message.make_query("localhost.", "A"))
    assert answered.answer and not answered.authority


async def test_nsid(serve: Any) -> None:
    server = await serve(". {\nnsid here I am\n" + HOSTS + "}")
    option = dns.edns.GenericOption(dns.edns.NSID, b"")
    found = await server.ask(dns.message.make_query("a.test.", "A", use_edns=0, options=[option]))
    assert [o.to_wire() for o in found.options] == [b"here I am"]
    assert not (await server.ask(dns.message.make_query("a.test.", "A", use_edns=0))).options


async def test_metadata_reaches_the_log(serve: Any, fake_api: Any) -> None:
    fake_api.put("namespaces", {"metadata": {"name": "default"}})
    line = 'log . "{name} {/kubernetes/service}/{/kubernetes/port-name}/{/kubernetes/protocol} {/no/such}"\n'
    server = await serve(". {\nmetadata\n" + line + "kubernetes cluster.local\n}")
    await server.ask(dns.message.make_query("_http._tcp.web.default.svc.cluster.local.", "SRV"))
    assert server.log[-1] == "[INFO] _http._tcp.web.default.svc.cluster.local. web/http/tcp -"
    plain = await serve(". {\n" + line + "kubernetes cluster.local\n}")
    await plain.ask(dns.message.make_query("web.default.svc.cluster.local.", "A"))
    assert plain.log[-1] == "[INFO] web.default.svc.cluster.local. -/-/- -"


async def test_root_is_where_relative_files_are(serve: Any, tmp_path: Path) -> None:
    (tmp_path / "names").write_text("10.0.0.9 b.test\n")
    server = await serve(". {\nhosts names\nroot " + str(tmp_path) + "\n}")
    found = await server.ask(dns.message.make_query("b.test.", "A"))
    assert render_records(found.answer) == {"b.test. 3600 IN A 10.0.0.9"}
    await serve(". {\nroot /nonexistent\nwhoami\n}")
    assert any("Root path does not exist" in line for line in server.log)
