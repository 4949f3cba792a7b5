"""Plugin proxyproto: who asks behind a proxy, over TCP, TLS and UDP; and headers of every kind, broken ones too."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable
from functools import partial
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import dns.asyncquery
import dns.message
import dns.query
import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from seamark.dns.listener import Source
from seamark.dns.server.loading import load_corefile
from seamark.dns.server.process import Process
from seamark.dns.server.proxied import Proxied
from seamark.dns.wire.proxyheader import SIGNATURE, Header, parse_header
from seamark.testing.clock import FakeClock
from seamark.testing.ports import free_port

CLIENT = ("203.0.113.9", 4321)
WIRE = dns.message.make_query("x.test.", "A").to_wire()
HOSTS = "hosts {\n10.0.0.%d x.test\n}\n"
FRAMED = struct.pack("!H", len(WIRE)) + WIRE


def v1(source: tuple[str, int] = CLIENT) -> bytes:
    return f"PROXY TCP{6 if ':' in source[0] else 4} {source[0]} 192.0.2.1 {source[1]} 53\r\n".encode()


def v2(source: tuple[str, int] = CLIENT, *, kind: int = 1, command: int = 0x21, more: bytes = b"") -> bytes:
    packed = ip_address(source[0]).packed
    body = packed + packed + struct.pack("!HH", source[1], 53) + more
    family = (2 if len(packed) == 16 else 1) << 4 | kind
    return SIGNATURE + struct.pack("!BBH", command, family, len(body)) + body


@pytest.fixture
def start(running: Any, tmp_path: Path) -> Callable[..., Any]:
    """A server that answers with the client's address (whoami)."""

    async def run(options: str = "", more: str = "", *, scheme: str = "dns") -> int:
        port = free_port()
        tls = "tls cert.pem key.pem\n" if scheme != "dns" else ""
        words = f"root {tmp_path}\nbind 127.0.0.1\n{tls}proxyproto {{\n{options}\n}}\n{more}whoami\n"
        await running(f"{scheme}://.:{port} {{\n{words}}}\n")
        return port

    return run


def who(reply: bytes) -> tuple[str, int]:
    """Address and port that whoami saw."""
    message = dns.message.from_wire(reply)
    found = {rrset.rdtype.name: rrset[0] for rrset in message.additional}
    return (found.get("A") or found["AAAA"]).address, found["SRV"].port


async def ask_tcp(port: int, header: bytes, tls: ssl.SSLContext | None = None) -> tuple[str, int] | None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(header)
        if tls is not None:
            await writer.start_tls(tls, server_hostname="dns.test")
        writer.write(FRAMED)
        (length,) = struct.unpack("!H", await asyncio.wait_for(reader.readexactly(2), 5))
        return who(await reader.readexactly(length))
    except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
        return None
    finally:
        writer.close()


@pytest.mark.parametrize(
    "header", [v1(), v2(), v2(more=b"\x04\0\1x"), v2(("2001:db8::7", 77)), v1(("2001:db8::7", 77))]
)
async def test_a_connection_says_who_asks(header: bytes, start: Any) -> None:
    wanted = CLIENT if b"2001" not in header and b"\x20\x01" not in header else ("2001:db8::7", 77)
    assert await ask_tcp(await start(), header) == wanted


@pytest.mark.parametrize(
    ("options", "header", "seen"),
    [
        ("", b"", "127.0.0.1"),
        ("", v2(command=0x20), "127.0.0.1"),
        ("", b"PROXY UNKNOWN\r\n", "127.0.0.1"),
        ("allow 127.0.0.0/8", v1(), CLIENT[0]),
        ("allow 10.0.0.0/8", v1(), "127.0.0.1"),
        ("allow 10.0.0.0/8\ndefault use", v1(), CLIENT[0]),
        ("allow 10.0.0.0/8\ndefault reject", b"", "127.0.0.1"),
        ("allow 10.0.0.0/8\ndefault reject", v1(), None),
        ("default skip", b"", "127.0.0.1"),
        ("", b"PROXY nonsense\r\n", None),
    ],
)
async def test_whose_word_counts(options: str, header: bytes, seen: str | None, start: Any) -> None:
    found = await ask_tcp(await start(options), header)
    assert (found[0] if found else None) == seen


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    found = trustme.CA()
    issued = found.issue_cert("dns.test")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    found.cert_pem.write_to_path(tmp_path / "ca.pem")
    return found


async def test_the_header_comes_before_tls(start: Any, authority: trustme.CA) -> None:
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    port = await start(scheme="tls")
    assert await ask_tcp(port, v2(), trusting) == CLIENT
    assert (await ask_tcp(port, b"", trusting) or ("", 0))[0] == "127.0.0.1"
    assert await ask_tcp(port, b"PROXY x", trusting) is None


async def test_each_datagram_says_who_asks(start: Any) -> None:
    port = await start()
    loop = asyncio.get_running_loop()
    received: asyncio.Queue[bytes] = asyncio.Queue()

    class Client(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: Any) -> None:
            received.put_nowait(data)

    transport, _ = await loop.create_datagram_endpoint(Client, remote_addr=("127.0.0.1", port))
    try:
        transport.sendto(v1() + WIRE)  # of streams alone: dropped
        transport.sendto(v2(kind=2) + WIRE)
        assert who(await asyncio.wait_for(received.get(), 5)) == CLIENT
        transport.sendto(WIRE)
        assert who(await asyncio.wait_for(received.get(), 5))[0] == "127.0.0.1"
    finally:
        transport.close()


class Relay(asyncio.DatagramProtocol):
    """A proxy for one client: puts the header in front of each datagram, or sends it once, alone."""

    def __init__(self, server: int, header: bytes, *, once: bool) -> None:
        self._upstream = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._upstream.setblocking(False)
        self._upstream.connect(("127.0.0.1", server))
        if once:
            self._upstream.send(header)
        self._header = b"" if once else header
        self._client: Any = None
        asyncio.get_running_loop().add_reader(self._upstream, self._back)

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._client = addr
        self._upstream.send(self._header + data)

    def _back(self) -> None:
        self._transport.sendto(self._upstream.recv(65535), self._client)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._upstream)
        self._upstream.close()
        self._transport.close()


@pytest.mark.parametrize("scheme", ["quic", "https3"])
@pytest.mark.parametrize("once", [True, False])
async def test_in_front_of_quic(scheme: str, once: bool, start: Any, authority: trustme.CA, tmp_path: Path) -> None:
    port = await start("udp_session_tracking 28s" if once else "", scheme=scheme)
    header = v2(("2001:db8::7", 77), kind=2)
    transport, relay = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Relay(port, header, once=once), local_addr=("127.0.0.1", 0)
    )
    trusted = {"timeout": 5, "port": transport.get_extra_info("sockname")[1], "verify": str(tmp_path / "ca.pem")}
    asked = dns.message.make_query("x.test.", "A", id=0)
    try:
        if scheme == "quic":
            found = await dns.asyncquery.quic(asked, "127.0.0.1", server_hostname="dns.test", **trusted)
        else:
            version, at = dns.query.HTTPVersion.H3, "127.0.0.1"
            url = "https://dns.test/dns-query"
            found = await dns.asyncquery.https(asked, url, http_version=version, bootstrap_address=at, **trusted)
    finally:
        relay.close()
    assert who(found.to_wire()) == ("2001:db8::7", 77)


@pytest.mark.parametrize(
    ("header", "told"),
    [
        (v2(more=b"\xea\0\2\1\2"), "ea00020102"),
        (v2(more=b"\4\0\1x\xea\0\0"), "040000ea0000"),
        (v2(more=b"\xea\0\2\1"), "-"),
        (v2(more=b"\xea\0\2\1\2", command=0x20), "-"),
        (v2(), "-"),
        (v1(), "-"),
        (b"", "-"),
    ],
)
async def test_what_a_proxy_tells_besides_is_metadata(header: bytes, told: str, start: Any, log: list[str]) -> None:
    more = 'metadata\nlog . "{remote} {/proxyproto/tlv}"\n'
    found = await ask_tcp(await start("tlv_metadata", more), header)
    assert found is not None
    assert f"[INFO] {found[0]} {told}" in log


async def test_without_the_option_nobody_is_told(start: Any, log: list[str]) -> None:
    await ask_tcp(await start("", "metadata\nlog . {/proxyproto/tlv}\n"), v2(more=b"\xea\0\2\1\2"))
    assert "[INFO] -" in log


async def test_the_own_address_is_what_the_client_asked(start: Any, host: Any, tmp_path: Path) -> None:
    port, file = free_port(), tmp_path / "Corefile"
    views = [
        ("proxied", "'192.0.2.1' and server_port() == '53'"),
        ("plain", f"'127.0.0.1' and server_port() == '{port}'"),
    ]
    blocks = [
        f".:{port} {{\nview {name} {{\nexpr server_ip() == {test}\n}}\nproxyproto\n{HOSTS % number}}}\n"
        for number, (name, test) in enumerate(views)
    ]
    file.write_text("".join(blocks))
    process = Process(host, partial(load_corefile, file, port=53, environment={}))
    await process.start()
    try:
        for header, address in ((v1(), "10.0.0.0"), (b"", "10.0.0.1")):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(header + FRAMED)
            (length,) = struct.unpack("!H", await asyncio.wait_for(reader.readexactly(2), 5))
            found = dns.message.from_wire(await reader.readexactly(length))
            assert found.answer[0][0].address == address
            writer.close()
        found = await dns.asyncquery.udp(dns.message.make_query("x.test.", "A"), "127.0.0.1", port=port, timeout=5)
        assert found.answer[0][0].address == "10.0.0.1"
    finally:
        await process.kill()


def test_a_header_alone_speaks_for_what_follows() -> None:
    clock = FakeClock()
    proxied = Proxied((), "", clock, ttl=30, most=2)
    proxy = Source("192.0.2.1", 1000)
    assert proxied.unwrap(v2(kind=2), proxy) is None
    assert proxied.unwrap(WIRE, proxy) == (WIRE, Source(*CLIENT, CLIENT[0], 53))
    clock._now += 31
    assert proxied.unwrap(WIRE, proxy) == (WIRE, proxy)
    for port in range(3):
        proxied.unwrap(v2(kind=2), Source("192.0.2.1", port))
    oldest = Source("192.0.2.1", 0)
    assert proxied.unwrap(WIRE, oldest) == (WIRE, oldest), "two sessions are known, the oldest went"


def test_others_are_treated_as_the_default_says() -> None:
    proxied = Proxied((ip_network("10.0.0.0/8"),), "reject", FakeClock(), ttl=0, most=1)
    assert [proxied.treatment(address) for address in ("10.1.1.1", "::ffff:10.1.1.1", "2001:db8::1")] == [
        "use",
        "use",
        "reject",
    ]


@given(st.binary(max_size=120), st.sampled_from([b"", b"PROXY ", SIGNATURE, v2()[:16]]))
def test_any_octets_are_a_header_none_or_broken(data: bytes, front: bytes) -> None:
    try:
        found = parse_header(front + data)
    except ValueError:
        return
    assert found is None or (isinstance(found, Header) and found.size <= len(front + data))
