"""Plugin tsig, asked by dnspython, which signs and verifies as RFC 8945 says."""

from __future__ import annotations

import asyncio
import base64
import struct
import time
from functools import partial
from pathlib import Path
from typing import Any

import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rrset
import dns.tsig
import dns.tsigkeyring
import dns.zone
import pytest

from seamark.dns.corefile.lexer import CorefileError
from seamark.dns.listener import Listener, Source
from seamark.dns.plugins.tsig.signing import verify
from seamark.dns.server.loading import load_corefile
from seamark.dns.server.process import Process
from seamark.testing.ports import free_port

SECRET = "NoTCJU+DMqFWywaPyxSijrDEA/eC3nK0xi3AMEZuPVk="
OTHER = "X28hl0BOfAL5G0jsmJWSacrwn7YRm2f6U5brnzwWEus="
KEY, STRANGER = dns.tsigkeyring.from_text({"a.key.": SECRET}), dns.tsigkeyring.from_text({"no.key.": SECRET})
WRONG = dns.tsigkeyring.from_text({"a.key.": OTHER})
HOSTS = "hosts /nonexistent {\n10.0.0.1 a.test\n}\n"


async def asked(
    serve: Any,
    keys: Any,
    *,
    kind: str = "A",
    require: str = "AXFR",
    now: float | None = None,
    algorithm: str = "hmac-sha256",
) -> tuple[dns.message.Message, dns.message.Message]:
    """The query, and its answer as it is, its signature not looked at."""
    server = await serve(f". {{\ntsig test {{\nsecret A.key {SECRET}\nrequire {require}\n}}\n{HOSTS}}}")
    query = dns.message.make_query("a.test.", kind)
    if keys is not None:
        query.use_tsig(keys, algorithm=dns.tsig.Key("x", b"", algorithm).algorithm)
    real = dns.message.time.time
    dns.message.time.time = lambda: server.clock.time() if now is None else now
    try:
        wire = query.to_wire()
        found = await server.core.answer(Listener(53), wire, Source("192.0.2.7", 4021), "tcp")
        if keys is KEY and now is None:
            return query, dns.message.from_wire(found, keyring=keys, request_mac=query.mac)
        return query, dns.message.from_wire(found, keyring=False)
    finally:
        dns.message.time.time = real


@pytest.mark.parametrize("algorithm", ["hmac-sha1", "hmac-sha256", "hmac-sha256-128", "hmac-sha512"])
async def test_a_signed_query_gets_a_signed_answer(algorithm: str, serve: Any) -> None:
    _, found = await asked(serve, KEY, algorithm=algorithm)
    assert found.answer and found.had_tsig and found.tsig_error == dns.rcode.NOERROR


def test_a_signed_query_may_have_records_and_pointers() -> None:
    """As IXFR and NOTIFY have; the owner of the signature may be a pointer as well."""
    query = dns.message.make_query("a.test.", "IXFR")
    query.authority = [dns.rrset.from_text("a.test.", 60, "IN", "SOA", "ns.a.test. root.a.test. 1 2 3 4 5")]
    query.use_tsig(dns.tsigkeyring.from_text({"a.test.": SECRET}))
    wire = query.to_wire()
    assert b"\xc0\x0c" in wire
    signed = dns.message.from_wire(wire, keyring=False).tsig
    keys = {dns.name.from_text("a.test."): base64.b64decode(SECRET)}
    assert verify(wire, signed, keys, int(time.time())).error == dns.rcode.NOERROR
    other = wire.replace(b"\x04test", b"\x04tess", 1)
    assert verify(other, signed, keys, int(time.time())).error == dns.rcode.BADSIG


async def test_an_unsigned_query_is_answered_where_no_signature_is_required(serve: Any) -> None:
    _, found = await asked(serve, None)
    assert found.answer and not found.had_tsig
    assert (await asked(serve, None, require="A"))[1].rcode() == dns.rcode.REFUSED
    assert (await asked(serve, None, require="all"))[1].rcode() == dns.rcode.REFUSED


@pytest.mark.parametrize(("keys", "error"), [(STRANGER, dns.rcode.BADKEY), (WRONG, dns.rcode.BADSIG)])
async def test_a_wrong_signature_is_told_without_one(keys: Any, error: int, serve: Any) -> None:
    _, found = await asked(serve, keys)
    assert (found.rcode(), found.tsig_error, found.mac) == (dns.rcode.NOTAUTH, error, b"") and not found.answer


async def test_a_clock_that_is_wrong_is_told_the_right_time(serve: Any, host: Any) -> None:
    _, found = await asked(serve, KEY, now=host.clock.time() - 1000)
    assert (found.rcode(), found.tsig_error) == (dns.rcode.NOTAUTH, dns.rcode.BADTIME)
    told = found.tsig[0].other
    assert struct.unpack("!Q", b"\0\0" + told)[0] == int(host.clock.time())


async def test_a_refusal_of_the_chain_is_signed_too(serve: Any) -> None:
    _, found = await asked(serve, KEY, kind="AXFR")
    assert found.had_tsig and not found.answer


async def test_every_message_of_a_transfer_is_signed(host: Any, tmp_path: Path) -> None:
    names = "".join(f"n{n} IN TXT {'x' * 200}\n" for n in range(1200))
    (tmp_path / "db").write_text(f"$TTL 60\n@ IN SOA ns root 1 2 3 4 5\n@ IN NS ns\nns IN A 192.0.2.1\n{names}")
    (tmp_path / "keys").write_text(f'key "a.key." {{\n algorithm hmac-sha256;\n secret "{SECRET}";\n}};\n')
    port, file = free_port(), tmp_path / "Corefile"
    words = (
        f"root {tmp_path}\nbind 127.0.0.1\ntsig {{\nsecrets keys\nrequire AXFR\n}}\nfile db\ntransfer {{\nto *\n}}\n"
    )
    file.write_text(f"a.test:{port} {{\n{words}}}\n")
    host.clock.time = time.time  # what dnspython signs with
    process = Process(host, partial(load_corefile, file, port=53, environment={}))
    await process.start()
    try:

        def transfer() -> dns.zone.Zone:
            messages = dns.query.xfr("127.0.0.1", "a.test", port=port, keyring=KEY, keyname="a.key.", timeout=10)
            return dns.zone.from_xfr(messages)

        assert len((await asyncio.to_thread(transfer)).nodes) == 1202
    finally:
        await process.kill()


async def test_keys_are_the_servers(serve: Any, host: Any) -> None:
    """One block's key is good in another, as with CoreDNS."""
    blocks = "".join(f"{zone}.test {{\ntsig {{\nsecret {zone}.key {SECRET}\n}}\n{HOSTS}}}\n" for zone in "ab")
    server = await serve(blocks)
    query = dns.message.make_query("a.test.", "A")
    query.use_tsig(dns.tsigkeyring.from_text({"b.key.": SECRET}))
    wire = query.to_wire()
    signed = dns.message.from_wire(wire, keyring=False).tsig[0]
    host.clock.time = lambda: float(signed.time_signed)
    found = await server.core.answer(Listener(53), wire, Source("192.0.2.7", 4021), "tcp")
    assert dns.message.from_wire(found, keyring=query.keyring, request_mac=query.mac).answer


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("secret a.key not-base64", "is base64"),
        (f"secret a.key {SECRET}\nsecret A.KEY. {SECRET}", "redefined"),
        ("require NOPE", "is not a type"),
        ("require_opcode NOPE", "is not an opcode"),
        ("secrets /nonexistent", "No such file"),
    ],
)
async def test_bad_keys_are_told_at_their_word(text: str, message: str, serve: Any) -> None:
    with pytest.raises(CorefileError, match=message):
        await serve(". {\ntsig {\n" + text + "\n}\nwhoami\n}")
