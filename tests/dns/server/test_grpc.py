"""gRPC, server and plugin: each against the other, and both against what is not gRPC. The peer's are in conformance."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dns.asyncquery
import dns.message
import dns.rcode
import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from seamark.dns.corefile.lexer import CorefileError
from seamark.dns.plugins.grpc.channel import Channel, ChannelError
from seamark.dns.plugins.grpc.config import Upstream
from seamark.dns.wire.packet import parse_packet, render_packet
from seamark.testing.ports import free_port

HOSTS = "hosts /nonexistent {\n10.0.0.1 a.test\n10.0.0.2 b.test\n}\n"
NOT_THERE = "template IN A no.test {\nrcode NXDOMAIN\n}\n"
QUESTION = dns.message.make_query("a.test.", "A")


@pytest.fixture
def start(running: Any, tmp_path: Path) -> Callable[..., Any]:
    return lambda text: running(text.replace("{", f"{{\nroot {tmp_path}\nbind 127.0.0.1\n", 1))


async def ask(port: int, name: str) -> dns.message.Message:
    return await dns.asyncquery.udp(dns.message.make_query(name, "A"), "127.0.0.1", port=port, timeout=5)


async def test_questions_share_a_connection(start: Any, host: Any) -> None:
    far, near, away = free_port(), free_port(), free_port()
    await start(f"grpc://.:{far} {{\n{NOT_THERE}{HOSTS}}}\n")
    options = "policy sequential\nexcept local.test"
    elsewhere = "hosts /nonexistent local.test {\n10.0.0.9 local.test\n}\n"
    await start(f".:{near} {{\nerrors\n{elsewhere}grpc test 127.0.0.1:{away} 127.0.0.1:{far} {{\n{options}\n}}\n}}\n")
    found = await asyncio.gather(*(ask(near, f"{'ab'[n % 2]}.test.") for n in range(40)))
    assert [reply.answer[0][0].to_text() for reply in found] == ["10.0.0.1", "10.0.0.2"] * 20
    assert (await ask(near, "no.test.")).rcode() == dns.rcode.NXDOMAIN
    assert (await ask(near, "local.test.")).answer[0][0].to_text() == "10.0.0.9"
    text = host.metrics.text().decode()
    assert f'coredns_grpc_responses_total{{rcode="NOERROR",to="127.0.0.1:{far}"}} 40.0' in text
    assert f'coredns_grpc_requests_total{{to="127.0.0.1:{away}"}} 41.0' in text


async def test_the_connection_is_secured(start: Any, tmp_path: Path) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("dns.test")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    far, near, other = free_port(), free_port(), free_port()
    await start(f"grpc://.:{far} {{\ntls cert.pem key.pem\n{HOSTS}}}\n")
    trusting = "tls ca.pem\ntls_servername dns.test"
    await start(f".:{near} {{\ngrpc . 127.0.0.1:{far} {{\n{trusting}\n}}\n}}\n")
    await start(f".:{other} {{\ngrpc . 127.0.0.1:{far} {{\ntls ca.pem\n}}\n}}\n")
    assert (await ask(near, "a.test.")).answer
    assert (await ask(other, "a.test.")).rcode() == dns.rcode.SERVFAIL


async def test_a_lost_connection_is_made_anew(start: Any, host: Any) -> None:
    far = free_port()
    text = f"grpc://.:{far} {{\n{HOSTS}}}\n"
    process = await start(text)
    channel = Channel(Upstream("127.0.0.1", far), host.clock, None, "")
    wire = QUESTION.to_wire()
    assert dns.message.from_wire(await channel.ask(wire, 5)).answer
    await process.kill()
    with pytest.raises(ChannelError, match=f"127.0.0.1:{far}: "):
        await channel.ask(wire, 5)
    await start(text)
    assert dns.message.from_wire(await channel.ask(wire, 5)).answer
    await channel.close()


async def test_what_is_no_query_is_a_status_of_its_own(start: Any, host: Any) -> None:
    far = free_port()
    await start(f"grpc://.:{far} {{\n{HOSTS}}}\n")
    channel = Channel(Upstream("127.0.0.1", far), host.clock, None, "")
    with pytest.raises(ChannelError, match="grpc status 2: no response"):
        await channel.ask(b"short", 5)
    assert dns.message.from_wire(await channel.ask(QUESTION.to_wire(), 5)).answer
    await channel.close()
    reader, writer = await asyncio.open_connection("127.0.0.1", far)
    writer.write(b"GET / HTTP/1.1\r\n\r\n" + b"x" * 40)
    await asyncio.wait_for(reader.read(), 5)
    writer.close()


@given(st.binary(max_size=400))
def test_packets_come_back_as_they_went(message: bytes) -> None:
    assert parse_packet(render_packet(message)) == message


@given(st.binary(max_size=40))
def test_any_octets_are_a_packet_or_refused(data: bytes) -> None:
    try:
        parse_packet(data)
    except ValueError as error:
        assert "DnsPacket" in str(error) or "cut off" in str(error)


async def test_upstreams_of_a_file_and_at_a_socket(start: Any, host: Any, tmp_path: Path) -> None:
    far, near = free_port(), free_port()
    await start(f"grpc://.:{far} {{\n{HOSTS}}}\n")

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", far)
        await asyncio.gather(pump(reader, back), pump(there, writer))

    path, file = tmp_path / "g.sock", tmp_path / "resolv.conf"
    file.write_text("nameserver 127.0.0.9\n")
    async with await asyncio.start_unix_server(relay, path):
        await start(f".:{near} {{\ngrpc . {file} unix://{path} {{\npolicy sequential\n}}\n}}\n")
        assert (await ask(near, "a.test.")).answer
    text = host.metrics.text().decode()
    assert 'coredns_grpc_requests_total{to="127.0.0.9:53"} 1.0' in text
    assert f'coredns_grpc_responses_total{{rcode="NOERROR",to="unix://{path}"}} 1.0' in text


async def test_files_that_name_nobody_are_refused(start: Any, tmp_path: Path) -> None:
    (tmp_path / "resolv.conf").write_text("search test\n")
    for file, reason in (("none", "cannot read"), ("resolv.conf", "no nameservers found")):
        with pytest.raises(CorefileError, match=reason):
            await start(f".:{free_port()} {{\ngrpc . {tmp_path / file}\n}}\n")
