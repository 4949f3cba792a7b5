"""The fast reader of queries reads what dnspython reads, and leaves the rest to it."""

from __future__ import annotations

import struct

import dns.edns
import dns.exception
import dns.message
import dns.name
import dns.opcode
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seamark.dns.wire.question import parse_query

LABEL = st.binary(min_size=1, max_size=20)


def make_query(labels: list[bytes], rdtype: int, payload: int, *, do: bool) -> dns.message.Message:
    name = dns.name.Name((*labels, b""))
    edns = 0 if payload else False
    return dns.message.make_query(name, rdtype, use_edns=edns, payload=payload, want_dnssec=do and payload > 0)


QUERY = st.builds(
    make_query,
    st.lists(LABEL, max_size=6),
    st.integers(1, 65535).filter(lambda t: t != 41),
    st.sampled_from([0, 512, 1232, 65535]),
    do=st.booleans(),
)


@settings(max_examples=200, deadline=None)
@given(QUERY)
def test_it_reads_what_dnspython_reads(query: dns.message.Message) -> None:
    wire = query.to_wire()
    found, expected = parse_query(wire), dns.message.from_wire(wire)
    assert found is not None
    assert found == expected
    assert found.question[0].name.labels == expected.question[0].name.labels
    assert (found.edns, found.payload, found.ednsflags) == (expected.edns, expected.payload, expected.ednsflags)
    assert found.to_wire() == wire


@settings(max_examples=300, deadline=None)
@given(QUERY, st.integers(0, 60), st.integers(0, 255), st.integers(0, 60))
def test_on_a_damaged_packet_it_agrees_or_leaves_it(query: dns.message.Message, at: int, byte: int, cut: int) -> None:
    wire = bytearray(query.to_wire())
    wire[at % len(wire)] = byte
    packet = bytes(wire[: len(wire) - cut % (len(wire) - 12)] if cut % 3 == 0 else wire)
    found = parse_query(packet)
    if found is None:
        return
    try:
        assert found == dns.message.from_wire(packet, ignore_trailing=True)
    except dns.exception.DNSException:
        pytest.fail("it read what dnspython refuses")


LENGTH = st.one_of(st.integers(0, 255), st.integers(0, 63), st.sampled_from([0, 60, 63, 64, 0xC0, 0xFF]))


@settings(max_examples=300, deadline=None)
@given(st.lists(LENGTH, max_size=8), st.integers(0, 1), st.binary(max_size=24), st.sampled_from([b"", b"\0\1\0\1"]))
@example([64], 0, b"", b"\0\1\0\1")
@example([0xC0], 0, b"", b"\0\1\0\1")
@example([63, 63, 63, 62], 0, b"", b"\0\1\0\1")
@example([63, 63, 63, 61], 0, b"", b"\0\1\0\1")
@example([63, 63, 63, 60], 0, b"", b"\0\1\0\1")
def test_a_name_of_any_lengths_agrees_or_is_left(lengths: list[int], more: int, rest: bytes, tail: bytes) -> None:
    """Labels that are too long, pointers, names over 255 octets, and what breaks off."""
    name = b"".join(bytes((length,)) + b"x" * length for length in lengths)
    packet = b"\0\1\1\0\0\1\0\0\0\0" + struct.pack("!H", more) + name + b"\0" + tail + rest * more
    found = parse_query(packet)
    if found is None:
        return
    assert found == dns.message.from_wire(packet, ignore_trailing=True)


def test_options_and_other_sections_are_left_to_dnspython() -> None:
    query = dns.message.make_query("a.test.", "A", options=[dns.edns.GenericOption(10, b"12345678")])
    assert parse_query(query.to_wire()) is None
    query = dns.message.make_query("a.test.", "A")
    query.set_opcode(dns.opcode.NOTIFY)
    assert parse_query(query.to_wire()) is None
