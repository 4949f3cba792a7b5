"""Questions under way while the server reloads or ends: every transport, asked by clients that are not ours."""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable
from functools import partial
from pathlib import Path
from typing import Any

import dns.asyncquery
import dns.flags
import dns.message
import dns.rrset
import pytest
import trustme
from aioquic.asyncio.client import connect
from aioquic.quic.configuration import QuicConfiguration

from seamark.dns.server.loading import load_corefile
from seamark.dns.server.process import Process
from seamark.testing.clock import settle
from seamark.testing.ports import free_port

TRANSPORTS = ("dns", "tcp", "tls", "https", "quic")
MANY = "\n".join(f"10.0.{n // 250}.{n % 250 + 1} many.test" for n in range(200))
COREFILE = """(common) {
    root ROOT
    bind 127.0.0.1
    hosts /nonexistent {
        MANY
        fallthrough
    }
    prometheus 127.0.0.1:METRICS
    forward . 127.0.0.1:UPSTREAM {
        prefer_udp
        hedge off
        read_timeout 60s
    }
}
.:DNS {
    import common
}
"""
SECURED = """
{0}://.:{1} {{
    import common
    tls cert.pem key.pem
}}
"""


class Holding(asyncio.DatagramProtocol):
    """An upstream that answers when it is told to."""

    def __init__(self) -> None:
        self._held: list[tuple[dns.message.Message, Any]] = []
        self._transport: Any = None
        self._wanted = 0
        self._there = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._held.append((dns.message.from_wire(data), addr))
        if len(self._held) == self._wanted:
            self._there.set()

    async def until(self, number: int) -> None:
        """So many questions have come."""
        self._wanted = number
        await self._there.wait()

    def release(self) -> None:
        for query, addr in self._held:
            reply = dns.message.make_response(query)
            reply.answer = [dns.rrset.from_text(query.question[0].name, 30, "IN", "A", "192.0.2.1")]
            self._transport.sendto(reply.to_wire(), addr)

    def close(self) -> None:
        self._transport.close()


async def ask_quic(query: dns.message.Message, port: int, authority: str) -> dns.message.Message:
    configuration = QuicConfiguration(alpn_protocols=["doq"], server_name="dns.test")
    configuration.load_verify_locations(authority)
    wire = query.to_wire()
    async with connect("127.0.0.1", port, configuration=configuration) as connection:
        reader, writer = await connection.create_stream()
        writer.write(struct.pack("!H", len(wire)) + wire)
        writer.write_eof()
        return dns.message.from_wire((await reader.read())[2:])


class Served:
    def __init__(self, process: Process, file: Path, ports: dict[str, int], upstream: Holding) -> None:
        self.process = process
        self.file = file
        self.ports = ports
        self.upstream = upstream

    def ask(self, transport: str, name: str) -> Awaitable[dns.message.Message]:
        query = dns.message.make_query(name, "A", id=0)
        port, trusted = self.ports[transport], str(self.file.with_name("ca.pem"))
        named = {"port": port, "timeout": 20, "verify": trusted, "server_hostname": "dns.test"}
        if transport == "tls":
            return dns.asyncquery.tls(query, "127.0.0.1", **named)
        if transport == "quic":
            return ask_quic(query, port, trusted)
        if transport == "https":
            context = ssl.create_default_context(cafile=trusted)
            return dns.asyncquery.https(query, f"https://127.0.0.1:{port}/dns-query", timeout=20, verify=context)
        ask = dns.asyncquery.udp if transport == "dns" else dns.asyncquery.tcp
        return ask(query, "127.0.0.1", port=port, timeout=20)


@pytest.fixture
async def served(host: Any, tmp_path: Path) -> AsyncIterator[Served]:
    authority = trustme.CA()
    issued = authority.issue_cert("dns.test", "127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    loop = asyncio.get_running_loop()
    _, upstream = await loop.create_datagram_endpoint(Holding, local_addr=("127.0.0.1", 0))
    ports = {name: free_port() for name in (*TRANSPORTS, "metrics")}
    ports["tcp"] = ports["dns"]
    text = COREFILE.replace("MANY", MANY).replace("ROOT", str(tmp_path)).replace("UPSTREAM", str(upstream.port))
    text = text.replace("DNS", str(ports["dns"])).replace("METRICS", str(ports["metrics"]))
    text += "".join(SECURED.format(name, ports[name]) for name in ("tls", "https", "quic"))
    file = tmp_path / "Corefile"
    file.write_text(text)
    process = Process(host, partial(load_corefile, file, port=53, environment={}))
    await process.start()
    await settle()
    yield Served(process, file, ports, upstream)
    await process.kill()
    upstream.close()


async def asked_everywhere(served: Served) -> asyncio.Future[list[dns.message.Message]]:
    """One question over each transport, all of them waiting for the upstream."""
    asking = asyncio.gather(*(served.ask(name, f"{name}.example.") for name in TRANSPORTS))
    await asyncio.wait_for(served.upstream.until(len(TRANSPORTS)), 20)
    return asking


def addresses(reply: dns.message.Message) -> list[str]:
    return [rdata.address for rrset in reply.answer for rdata in rrset]


@pytest.mark.parametrize("change", ["other text", "SIGUSR1"])
async def test_a_reload_costs_no_question_its_answer(served: Served, clock: Any, change: str) -> None:
    asking = await asked_everywhere(served)
    if change == "other text":
        served.file.write_text(served.file.read_text() + "# changed\n")
    assert await served.process.reload(anew=change == "SIGUSR1")
    await clock.advance(1)
    served.upstream.release()
    assert [addresses(reply) for reply in await asking] == [["192.0.2.1"]] * len(TRANSPORTS)
    await clock.advance(10)
    assert len(addresses(await served.ask("tcp", "many.test."))) == 200


async def test_an_instance_out_of_service_does_not_wait_for_ever(served: Served, clock: Any, log: list[str]) -> None:
    asking = asyncio.ensure_future(served.ask("dns", "held.example."))
    await served.upstream.until(1)
    assert await served.process.reload(anew=True)
    await clock.advance(1)
    assert served.process.retiring
    await clock.advance(30)
    assert not served.process.retiring
    asking.cancel()


async def test_the_end_waits_for_what_was_asked(served: Served, clock: Any) -> None:
    asking = await asked_everywhere(served)
    ending = asyncio.ensure_future(served.process.stop())
    await clock.advance(1)
    assert not ending.done()
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", served.ports["tcp"])
    served.upstream.release()
    await settle(400)
    assert [addresses(reply) for reply in await asking] == [["192.0.2.1"]] * len(TRANSPORTS)
    await clock.advance(1)
    await ending


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_an_answer_is_cut_for_datagrams_alone(served: Served, host: Any, transport: str) -> None:
    reply = await served.ask(transport, "many.test.")
    whole = transport != "dns"
    assert (len(addresses(reply)) == 200) is whole
    assert bool(reply.flags & dns.flags.TC) is not whole


async def test_metrics_know_two_networks(served: Served, host: Any) -> None:
    """As CoreDNS's: what is asked over TLS, HTTPS or QUIC is not a protocol of its own in ``proto``."""
    for transport in TRANSPORTS:
        await served.ask(transport, "many.test.")
    lines = [
        line for line in host.metrics.text().decode().splitlines() if line.startswith("coredns_dns_requests_total")
    ]
    seen = {line.split('server="')[1].split(":")[0]: line.split('proto="')[1].split('"')[0] for line in lines}
    assert seen == {"dns": "tcp", "tls": "tcp", "https": "tcp", "quic": "tcp"} and len(lines) == 5
