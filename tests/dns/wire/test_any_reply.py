"""Whatever a reply holds: it fits what the client allows, says so where records are left out, and can be read."""

from __future__ import annotations

import struct

import dns.flags
import dns.message
import dns.name
import dns.rdatatype
import dns.rrset
from hypothesis import given, settings
from hypothesis import strategies as st

from seamark.dns.reply import reply_to
from seamark.dns.wire.accept import Verdict, judge
from seamark.dns.wire.render import MAX_TCP, MAX_UDP, Opt, render

LABEL = st.text(alphabet="abcXYZ019-", min_size=1, max_size=20)
NAME = st.lists(LABEL, min_size=1, max_size=5).map(lambda labels: ".".join(labels) + ".")
RECORD = st.one_of(
    st.builds(
        lambda n, a: dns.rrset.from_text(n, 5, "IN", "A", f"10.0.{a // 256}.{a % 256}"), NAME, st.integers(0, 65535)
    ),
    st.builds(lambda n, t: dns.rrset.from_text(n, 5, "IN", "CNAME", t), NAME, NAME),
    st.builds(lambda n, t: dns.rrset.from_text(n, 5, "IN", "SRV", f"0 10 80 {t}"), NAME, NAME),
    st.builds(lambda n, t: dns.rrset.from_text(n, 5, "IN", "TXT", f'"{t}"'), NAME, st.text("abc ", max_size=200)),
)
SECTION = st.lists(RECORD, max_size=30)


@settings(max_examples=80, deadline=None)
@given(NAME, SECTION, SECTION, SECTION, st.sampled_from([0, 512, 1232, 4096]))
def test_it_fits_and_can_be_read(
    name: str,
    answer: list[dns.rrset.RRset],
    authority: list[dns.rrset.RRset],
    additional: list[dns.rrset.RRset],
    payload: int,
) -> None:
    message = reply_to(dns.message.make_query(name, "A"), authoritative=True)
    message.answer, message.authority, message.additional = answer, authority, additional
    limit = max(MAX_UDP, payload)
    wire = render(message, limit, Opt(payload) if payload else None)
    assert len(wire) <= limit
    found = dns.message.from_wire(wire, one_rr_per_rrset=True)
    whole = sum(len(section) for section in (answer, authority, additional))
    left = sum(len(section) for section in (found.answer, found.authority, found.additional))
    assert left == whole or found.flags & dns.flags.TC
    assert [r.to_text() for r in found.answer] == [r.to_text() for r in answer[: len(found.answer)]]


def test_no_pointer_reaches_beyond_16_kilobytes() -> None:
    """A transfer may be larger: names that are first written there are written whole each time."""
    message = reply_to(dns.message.make_query("a.test.", "AXFR"))
    message.answer = []
    for number in range(200):
        target = f"target-{number}.zone-{number}.test."
        message.answer += [
            dns.rrset.from_text(f"n{number}.test.", 5, "IN", "TXT", f'"{"x" * 100}"'),
            dns.rrset.from_text(f"n{number}.test.", 5, "IN", "SRV", f"0 1 80 {target}"),
            dns.rrset.from_text(target, 5, "IN", "A", "192.0.2.1"),
        ]
    wire = render(message, MAX_TCP, None)
    assert len(wire) > 0x8000
    found = dns.message.from_wire(wire, one_rr_per_rrset=True)
    assert [rrset.to_text() for rrset in found.answer] == [rrset.to_text() for rrset in message.answer]


@given(st.integers(0, 0xFFFF), st.integers(0, 0x7FFF), st.lists(st.integers(0, 4), min_size=4, max_size=4), st.binary())
def test_headers_that_ask_no_one_question_are_formerr(
    identity: int, flags: int, counts: list[int], rest: bytes
) -> None:
    flags &= ~0x7800  # QUERY
    found = judge(struct.pack("!HHHHHH", identity, flags, *counts) + rest)
    questions, answers, authorities, additionals = counts
    sound = questions == 1 and answers <= 1 and authorities <= 1 and additionals <= 2
    assert found is (Verdict.ACCEPT if sound else Verdict.FORMERR)
