"""Where the server listens: addresses of bind, TLS, and how long connections may take."""

from __future__ import annotations

import asyncio
import os
import ssl
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import dns.message
import dns.rcode
import pytest
import trustme

from seamark.dns.corefile.lexer import CorefileError
from seamark.dns.corefile.parser import parse_corefile
from seamark.dns.server.addresses import interface_addresses
from seamark.dns.server.instance import parse_server
from seamark.testing.ports import free_port

HOSTS = "hosts /nonexistent {\n10.0.0.1 a.test\n}\n"
QUESTION = dns.message.make_query("a.test.", "A")


@pytest.fixture
def start(host: Any, running: Any) -> Any:
    host.interface = interface_addresses
    return running


async def ask(address: str, port: int, tls: ssl.SSLContext | None = None) -> dns.message.Message:
    name = "dns.test" if tls else None
    reader, writer = await asyncio.open_connection(address, port, ssl=tls, server_hostname=name)
    try:
        wire = QUESTION.to_wire()
        writer.write(struct.pack("!H", len(wire)) + wire)
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        return dns.message.from_wire(await reader.readexactly(length))
    finally:
        writer.close()


async def test_a_block_listens_at_its_addresses_alone(start: Any, host: Any) -> None:
    port = free_port()
    one = f"test:{port} {{\nbind 127.0.0.1\nprometheus 127.0.0.1:{free_port()}\n{HOSTS}}}\n"
    other = f"test:{port} {{\nbind 127.0.0.2\nhosts /nonexistent {{\n10.0.0.2 a.test\n}}\n}}\n"
    await start(one + other)
    assert (await ask("127.0.0.1", port)).answer[0][0].to_text() == "10.0.0.1"
    assert (await ask("127.0.0.2", port)).answer[0][0].to_text() == "10.0.0.2"
    with pytest.raises(OSError, match=r"refused|Connect"):
        await ask("127.0.0.3", port)
    assert f'server="dns://127.0.0.1:{port}"' in host.metrics.text().decode()


async def test_interfaces_stand_for_their_addresses(start: Any) -> None:
    port = free_port()
    await start(f"test:{port} {{\nbind lo {{\nexcept ::1\n}}\n{HOSTS}}}\n")
    assert (await ask("127.0.0.1", port)).answer
    assert "127.0.0.1" in interface_addresses("lo") and interface_addresses("nosuch0") == ()


@pytest.mark.net
@pytest.mark.skipif(os.geteuid() != 0, reason="makes a network namespace")
def test_an_interface_has_all_of_its_addresses() -> None:
    program = "from seamark.dns.server.addresses import interface_addresses; print(*interface_addresses('lo'))"
    given = ("10.9.0.1/24", "10.9.0.2/24", "10.9.1.3/24 label lo:x", "fd00::1/64")
    script = [
        "ip link set lo up",
        *(f"ip address add {one} dev lo" for one in given),
        f'"{sys.executable}" -c "{program}"',
    ]
    ran = subprocess.run(
        ["unshare", "--net", "sh", "-ec", "\n".join(script)], capture_output=True, text=True, check=True
    )
    assert set(ran.stdout.split()) == {"127.0.0.1", "10.9.0.1", "10.9.0.2", "10.9.1.3", "::1", "fd00::1"}


@pytest.mark.parametrize(
    ("words", "message"),
    [("nosuch0", "neither an address nor an interface"), ("127.0.0.1 {\nexcept 127.0.0.1\n}", "every address")],
)
async def test_what_cannot_be_bound_is_told_at_its_word(words: str, message: str, start: Any) -> None:
    with pytest.raises(CorefileError, match=message):
        await start(f"test {{\nbind {words}\n{HOSTS}}}\n")


def test_blocks_at_the_same_address_need_different_zones() -> None:
    text = "a {\nbind ::1\n}\na {\nbind ::2\n}\na {\nbind ::3 ::1\n}\n"
    with pytest.raises(CorefileError, match="served by another") as caught:
        parse_server(parse_corefile(text, file="C", environment={}))
    assert caught.value.line == 7


def certificates(directory: Path, authority: trustme.CA) -> None:
    issued = authority.issue_cert("dns.test")
    issued.cert_chain_pems[0].write_to_path(directory / "cert.pem")
    issued.private_key_pem.write_to_path(directory / "key.pem")
    authority.cert_pem.write_to_path(directory / "ca.pem")


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    found = ssl.create_default_context()
    authority.configure_trust(found)
    return found


async def test_tls_serves_and_a_reload_takes_new_certificates(start: Any, tmp_path: Path) -> None:
    first, second = trustme.CA(), trustme.CA()
    certificates(tmp_path, first)
    port = free_port()
    text = f"tls://test:{port} {{\nroot {tmp_path}\nbind 127.0.0.1\ntls cert.pem key.pem\n{HOSTS}}}\n"
    process = await start(text)
    assert (await ask("127.0.0.1", port, trusting(first))).answer[0][0].to_text() == "10.0.0.1"
    certificates(tmp_path, second)
    (tmp_path / "Corefile.0").write_text(text + "# again\n")
    assert await process.reload()
    assert (await ask("127.0.0.1", port, trusting(second))).answer
    with pytest.raises(ssl.SSLError):
        await ask("127.0.0.1", port, trusting(first))


async def test_clients_without_certificate_are_refused_where_it_is_required(start: Any, tmp_path: Path) -> None:
    authority = trustme.CA()
    certificates(tmp_path, authority)
    port = free_port()
    words = "tls cert.pem key.pem ca.pem {\nclient_auth require_and_verify\n}\n"
    await start(f"tls://test:{port} {{\nroot {tmp_path}\nbind 127.0.0.1\n{words}{HOSTS}}}\n")
    with pytest.raises((OSError, EOFError)):
        await ask("127.0.0.1", port, trusting(authority))
    known = trusting(authority)
    authority.issue_cert("client.test").configure_cert(known)
    assert (await ask("127.0.0.1", port, known)).answer


async def test_tls_without_certificates_is_refused(start: Any, tmp_path: Path) -> None:
    with pytest.raises(CorefileError, match="needs the plugin tls"):
        await start("tls://test {\nwhoami\n}\n")
    with pytest.raises(CorefileError, match="certificate and key cannot be used"):
        await start("tls://test {\ntls /nonexistent /nonexistent\n}\n")


async def test_connections_end_after_their_timeouts(start: Any, clock: Any) -> None:
    port = free_port()
    await start(f"test:{port} {{\nbind 127.0.0.1\ntimeouts {{\nread 2s\nidle 4s\n}}\n{HOSTS}}}\n")
    idle, idle_writer = await asyncio.open_connection("127.0.0.1", port)
    slow, slow_writer = await asyncio.open_connection("127.0.0.1", port)
    slow_writer.write(b"\0\x20half")
    for _ in range(20):
        await asyncio.sleep(0.01)
    await clock.advance(2.5)
    assert await asyncio.wait_for(slow.read(), 5) == b""
    wire = QUESTION.to_wire()
    idle_writer.write(struct.pack("!H", len(wire)) + wire)
    assert await asyncio.wait_for(idle.readexactly(2), 5)
    await clock.advance(4.5)
    await asyncio.wait_for(idle.read(), 5)
    idle_writer.close()
    slow_writer.close()


async def test_a_connection_may_ask_so_many_questions(start: Any) -> None:
    port = free_port()
    await start(f"test:{port} {{\nbind 127.0.0.1\ntimeouts {{\nmaxtcpqueries 2\n}}\n{HOSTS}}}\n")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    wire = dns.message.make_query("a.test.", "A").to_wire()
    writer.write(3 * (struct.pack("!H", len(wire)) + wire))
    answers = await asyncio.wait_for(reader.read(), 5)
    (length,) = struct.unpack_from("!H", answers)
    assert len(answers) == 2 * (2 + length)
    writer.close()
