"""Plugin forward to ``quic://`` upstreams: our own server, and scripted ones that break the rules."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import dns.edns
import dns.message
import dns.rcode
import pytest
import trustme
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.asyncio.server import QuicServer
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import QuicEvent, StreamDataReceived

from seamark.dns.corefile.lexer import CorefileError
from seamark.dns.plugins.forward.doq import PROTOCOL_ERROR
from seamark.testing.clock import settle
from seamark.testing.ports import free_port

HOSTS = "hosts /nonexistent {\n10.0.0.1 a.test\n10.0.0.2 b.test\n}\n"
SILENCE = b"nothing at all"
QUERY = dns.message.make_query("a.test.", "A")


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    found = trustme.CA()
    for name, issued in (
        ("cert", found.issue_cert("dns.test", "127.0.0.1")),
        ("client", found.issue_cert("client.test")),
    ):
        issued.cert_chain_pems[0].write_to_path(tmp_path / f"{name}.pem")
        issued.private_key_pem.write_to_path(tmp_path / f"{name}-key.pem")
    found.cert_pem.write_to_path(tmp_path / "ca.pem")
    return found


@pytest.fixture
def quic(running: Any, authority: trustme.CA, tmp_path: Path) -> Callable[..., Any]:
    """``await quic()`` -> the port of such a server."""

    async def start(port: int = 0) -> int:
        port = port or free_port()
        words = f"root {tmp_path}\nbind 127.0.0.1\ntls cert.pem cert-key.pem\n{HOSTS}"
        await running(f"quic://test:{port} {{\n{words}}}\n")
        return port

    return start


class Scripted(QuicConnectionProtocol):
    """Answers each stream with what the script makes of its query."""

    def __init__(self, script: Callable[[dns.message.Message], bytes | None], *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._script = script
        self._held: dict[int, bytes] = {}

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, StreamDataReceived):
            self._held[event.stream_id] = self._held.get(event.stream_id, b"") + event.data
            if event.end_stream:
                answer = self._script(dns.message.from_wire(self._held[event.stream_id][2:]))
                if answer is None:
                    self._quic.reset_stream(event.stream_id, 5)
                elif answer is not SILENCE:
                    self._quic.send_stream_data(event.stream_id, answer, end_stream=True)
                self.transmit()


@pytest.fixture
async def scripted(authority: trustme.CA, tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """``await scripted(script)`` -> the port of a server, and the connections it took."""
    servers: list[QuicServer] = []

    async def start(script: Callable[[dns.message.Message], bytes | None]) -> tuple[int, list[Scripted]]:
        configuration = QuicConfiguration(alpn_protocols=["doq"], is_client=False)
        configuration.load_cert_chain(tmp_path / "cert.pem", tmp_path / "cert-key.pem")
        taken: list[Scripted] = []

        def take(*args: Any, **options: Any) -> Scripted:
            taken.append(Scripted(script, *args, **options))
            return taken[-1]

        _, server = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: QuicServer(configuration=configuration, create_protocol=take), local_addr=("127.0.0.1", 0)
        )
        servers.append(server)
        return server._transport.get_extra_info("sockname")[1], taken

    yield start
    for server in servers:
        server.close()


def framed(message: dns.message.Message) -> bytes:
    wire = message.to_wire()
    return struct.pack("!H", len(wire)) + wire


def reply_to(query: dns.message.Message) -> dns.message.Message:
    found = dns.message.make_response(query)
    found.answer.append(dns.rrset.from_text(query.question[0].name, 60, "IN", "A", "10.0.0.9"))
    return found


def to(port: int, tmp_path: Path, more: str = "", name: str = "dns.test") -> str:
    words = f"tls ca.pem\ntls_servername {name}\n{more}"
    return f". {{\nroot {tmp_path}\nerrors\nforward . quic://127.0.0.1:{port} {{\n{words}\n}}\n}}\n"


def address(found: dns.message.Message) -> str:
    return found.answer[0][0].to_text() if found.answer else dns.rcode.to_text(found.rcode())


def counted(host: Any, port: int, kind: str) -> float:
    labels = {"proxy_name": "forward", "to": f"127.0.0.1:{port}", "proto": "quic"}
    return host.metrics.registry.get_sample_value(f"coredns_proxy_conn_cache_{kind}_total", labels) or 0.0


async def test_questions_share_a_connection(quic: Any, serve: Any, host: Any, tmp_path: Path) -> None:
    port = await quic()
    server = await serve(to(port, tmp_path))
    queries = [dns.message.make_query(f"{name}.test.", "A") for name in "abab"]
    found = await asyncio.gather(*(server.ask(query) for query in queries))
    assert [address(each) for each in found] == ["10.0.0.1", "10.0.0.2"] * 2
    assert [each.id for each in found] == [query.id for query in queries]
    assert address(await server.ask(QUERY)) == "10.0.0.1"
    assert (counted(host, port, "misses"), counted(host, port, "hits")) == (1, 1)


@pytest.mark.parametrize(("more", "seconds"), [("expire 10s", 10), ("expire 100s\nmax_age 200s", 200)])
async def test_a_connection_has_its_time(more: str, seconds: float, scripted: Any, serve: Any, tmp_path: Path) -> None:
    port, taken = await scripted(lambda query: framed(reply_to(query)))
    server = await serve(to(port, tmp_path, more))
    for _ in range(2):
        assert address(await server.ask(QUERY)) == "10.0.0.9"
    await server.clock.advance(seconds)
    assert address(await server.ask(QUERY)) == "10.0.0.9"
    assert len(taken) == 2
    await asyncio.wait_for(taken[0].wait_closed(), 5)


async def test_a_connection_that_was_closed_costs_no_answer(scripted: Any, serve: Any, tmp_path: Path) -> None:
    port, taken = await scripted(lambda query: framed(reply_to(query)))
    server = await serve(to(port, tmp_path))
    assert address(await server.ask(QUERY)) == "10.0.0.9"
    taken[0].close()
    await asyncio.wait_for(taken[0].wait_closed(), 5)
    assert address(await server.ask(QUERY)) == "10.0.0.9"
    assert len(taken) == 2


async def test_an_upstream_proves_who_it_is(quic: Any, serve: Any, tmp_path: Path) -> None:
    port = await quic()
    server = await serve(to(port, tmp_path, name="other.test"))
    assert address(await server.ask(QUERY)) == "SERVFAIL"
    assert "over quic: " in server.log[-1] and "other.test" in server.log[-1]


async def test_a_client_proves_who_it_is(quic: Any, serve: Any, tmp_path: Path) -> None:
    port = await quic()
    text = to(port, tmp_path).replace("tls ca.pem", "tls client.pem client-key.pem ca.pem")
    assert address(await (await serve(text)).ask(QUERY)) == "10.0.0.1"
    with pytest.raises(CorefileError, match="the certificates of tls cannot be used"):
        await serve(text.replace("client.pem", "none.pem"))
    (tmp_path / "ca.pem").write_text("nonsense")
    with pytest.raises(CorefileError, match="the certificates of tls cannot be used"):
        await serve(text)


async def test_an_upstream_that_is_away_is_probed_until_it_is_back(quic: Any, serve: Any, tmp_path: Path) -> None:
    port = free_port()
    server = await serve(to(port, tmp_path, "max_fails 1\nfailfast_all_unhealthy_upstreams\nmax_connect_attempts 1"))
    for _ in range(2):
        assert address(await server.ask(QUERY)) == "SERVFAIL"
    assert "over quic: " in server.log[0]
    await settle()
    await quic(port)
    for _ in range(200):
        await server.clock.advance(1)
        await asyncio.sleep(0.01)
        if address(await server.ask(QUERY)) == "10.0.0.1":
            return
    raise AssertionError("it is still held to be away")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (lambda query: b"", "breaks the rules"),
        (lambda query: framed(reply_to(query))[:-1], "breaks the rules"),
        (lambda query: framed(reply_to(query)) + b"\0", "breaks the rules"),
        (lambda query: framed(reply_to(dns.message.make_query("a.test.", "A", id=7))), "breaks the rules"),
        (lambda query: framed(reply_to(dns.message.make_query("b.test.", "A", id=0))), "to another question"),
        (lambda query: None, "reset with code 5"),
        (lambda query: b"\0" * 70000, "too long"),
    ],
)
async def test_replies_that_are_none(
    script: Callable[..., Any], reason: str, scripted: Any, serve: Any, tmp_path: Path
) -> None:
    port, taken = await scripted(script)
    server = await serve(to(port, tmp_path, "max_connect_attempts 1\nhealth_check 100s"))
    assert address(await server.ask(QUERY)) == "SERVFAIL"
    assert reason in server.log[-1]
    if reason == "breaks the rules":
        await asyncio.wait_for(taken[0].wait_closed(), 5)
        assert taken[0]._quic._close_event is not None
        assert taken[0]._quic._close_event.error_code == PROTOCOL_ERROR


async def test_what_is_sent_obeys_the_rules(scripted: Any, serve: Any, tmp_path: Path) -> None:
    asked: list[dns.message.Message] = []

    def script(query: dns.message.Message) -> bytes:
        asked.append(query)
        return framed(reply_to(query))

    port, _ = await scripted(script)
    server = await serve(to(port, tmp_path))
    options = [dns.edns.GenericOption(11, b""), dns.edns.GenericOption(65001, b"x")]
    query = dns.message.make_query("a.test.", "A", use_edns=0, options=options)
    assert address(await server.ask(query)) == "10.0.0.9"
    assert asked[0].id == 0
    assert [int(option.otype) for option in asked[0].options] == [65001]


async def test_a_silent_upstream_ends_with_the_timeout(scripted: Any, serve: Any, tmp_path: Path) -> None:
    asked = asyncio.Event()

    def script(query: dns.message.Message) -> Any:
        asked.set()
        return SILENCE

    port, taken = await scripted(script)
    server = await serve(to(port, tmp_path, "max_connect_attempts 1\nread_timeout 3s\nhealth_check 100s\nhedge off"))
    asking = asyncio.ensure_future(server.ask(QUERY))
    await asyncio.wait_for(asked.wait(), 5)
    await server.clock.advance(3)
    assert address(await asking) == "SERVFAIL"
    assert len(taken) == 1
