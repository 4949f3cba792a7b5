"""Truncation, compression, OPT, and the judgement of a header."""

from __future__ import annotations

import struct
from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rrset
import pytest

from seamark.dns.reply import reply_to
from seamark.dns.wire.accept import Verdict, judge
from seamark.dns.wire.render import Opt, render, render_bare, render_query

NSID = dns.edns.GenericOption(dns.edns.OptionType.NSID, b"")
NAME = "many-endpoints.default.svc.test."  # 33 octets on the wire


def reply(count: int, name: str = NAME) -> dns.message.Message:
    found = reply_to(dns.message.make_query(name, "A"), authoritative=True)
    addresses = [f"10.0.{n // 256}.{n % 256}" for n in range(count)]
    found.answer = [dns.rrset.from_text(name, 30, "IN", "A", *addresses)] if count else []
    return found


@pytest.mark.parametrize(
    ("limit", "opt", "records"),
    [
        pytest.param(512, None, (512 - 12 - 37) // 16, id="512"),
        pytest.param(1232, Opt(1232), (1232 - 11 - 12 - 37) // 16, id="1232 with OPT"),
        pytest.param(65535, None, 200, id="all"),
    ],
)
def test_as_many_whole_records_as_fit(limit: int, opt: Opt | None, records: int) -> None:
    wire = render(reply(200), limit, opt)
    assert len(wire) <= limit
    found = dns.message.from_wire(wire)
    assert len(found.answer[0]) == records
    assert bool(found.flags & dns.flags.TC) == (records < 200)
    assert found.edns == (0 if opt else -1)


def test_additional_records_are_the_first_to_go() -> None:
    message = reply(10)
    message.additional = [dns.rrset.from_text(f"x{n}.test.", 30, "IN", "A", "10.0.0.1") for n in range(40)]
    found = dns.message.from_wire(render(message, 512, None))
    assert len(found.answer[0]) == 10
    assert 0 < len(found.additional) < 40
    assert found.flags & dns.flags.TC


def test_compression_keeps_every_spelling() -> None:
    message = reply_to(dns.message.make_query("WEB.Test.", "CNAME"))
    message.answer = [dns.rrset.from_text("WEB.Test.", 30, "IN", "CNAME", "web.test.")]
    found = dns.message.from_wire(render(message, 512, None))
    assert found.answer[0].name.to_text() == "WEB.Test."
    assert found.answer[0][0].to_text() == "web.test."


def test_dnspython_reads_what_we_write() -> None:
    message = reply(3)
    message.authority = [
        dns.rrset.from_text("test.", 30, "IN", "SOA", "ns.dns.test. hostmaster.test. 1 7200 1800 86400 30")
    ]
    message.additional = [dns.rrset.from_text(f"a.{NAME}", 30, "IN", "AAAA", "fd00::1")]
    found = dns.message.from_wire(render(message, 65535, Opt(4096, flags=dns.flags.DO)))
    assert (found.answer, found.authority, found.additional) == (message.answer, message.authority, message.additional)
    assert found.payload == 4096
    assert found.ednsflags & dns.flags.DO


def test_badvers_has_its_upper_half_in_opt() -> None:
    message = reply_to(dns.message.make_query(NAME, "A"), dns.rcode.BADVERS)
    assert dns.message.from_wire(render(message, 512, Opt(0))).rcode() == dns.rcode.BADVERS


def header(flags: int, *counts: int) -> bytes:
    return struct.pack("!HHHHHH", 7, flags, *counts)


@pytest.mark.parametrize(
    ("packet", "verdict"),
    [
        pytest.param(b"short", Verdict.DROP, id="short"),
        pytest.param(header(0x8000, 1, 0, 0, 0), Verdict.DROP, id="an answer"),
        pytest.param(header(0x0100, 1, 0, 0, 1), Verdict.ACCEPT, id="a query"),
        pytest.param(header(4 << 11, 1, 1, 1, 2), Verdict.ACCEPT, id="NOTIFY"),
        pytest.param(header(2 << 11, 1, 0, 0, 0), Verdict.NOTIMP, id="STATUS"),
        pytest.param(header(5 << 11, 1, 0, 0, 0), Verdict.NOTIMP, id="UPDATE"),
        pytest.param(header(0, 0, 0, 0, 0), Verdict.FORMERR, id="no question"),
        pytest.param(header(0, 2, 0, 0, 0), Verdict.FORMERR, id="two questions"),
        pytest.param(header(0, 1, 2, 0, 0), Verdict.FORMERR, id="answers"),
        pytest.param(header(0, 1, 0, 2, 0), Verdict.FORMERR, id="authorities"),
        pytest.param(header(0, 1, 0, 0, 3), Verdict.FORMERR, id="additionals"),
    ],
)
def test_judgement(packet: bytes, verdict: Verdict) -> None:
    assert judge(packet) is verdict


def test_a_bare_reply_is_a_header() -> None:
    assert render_bare(header(0x0100 | 5 << 11, 1, 0, 0, 0) + b"rest", 4) == header(
        0x8000 | 0x0100 | 5 << 11 | 4, 0, 0, 0, 0
    )


@pytest.mark.parametrize("options", [{}, {"use_edns": 0, "payload": 1400}, {"want_dnssec": True}, {"options": [NSID]}])
def test_a_query_is_rendered_as_dnspython_does(options: dict[str, Any]) -> None:
    query = dns.message.make_query("Web.default.svc.Cluster.local.", "AAAA", **options)
    query.flags |= dns.flags.CD
    assert render_query(query) == query.to_wire()
