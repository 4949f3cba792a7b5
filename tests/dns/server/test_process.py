"""The server on loopback: UDP and TCP, truncation, EDNS, malformed packets, HTTP ports, reload, ending."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import pytest

from seamark.dns.corefile.lexer import CorefileError
from seamark.dns.server.loading import load_corefile
from seamark.dns.server.process import Process
from seamark.testing.clock import settle
from seamark.testing.ports import free_port


class Client(asyncio.DatagramProtocol):
    """A stub resolver over one UDP socket."""

    def __init__(self) -> None:
        self.received: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.received.put_nowait(data)


async def ask_udp(port: int, packet: bytes, *, answered: bool = True) -> bytes:
    loop = asyncio.get_running_loop()
    transport, client = await loop.create_datagram_endpoint(Client, remote_addr=("127.0.0.1", port))
    try:
        transport.sendto(packet)
        if not answered:  # something that is answered behind it proves that it was passed over
            transport.sendto(dns.message.make_query("probe.test.", "A", id=1).to_wire())
        return await asyncio.wait_for(client.received.get(), 5)
    finally:
        transport.close()


async def ask_tcp(port: int, *packets: bytes) -> list[bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    found = []
    try:
        for packet in packets:
            writer.write(struct.pack("!H", len(packet)) + packet)
        for _ in packets:
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            found.append(await reader.readexactly(length))
    finally:
        writer.close()
    return found


async def get(port: int, path: str, method: str = "GET") -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return int(head.split(b" ")[1]), body


async def ask(port: int, name: str, qtype: str = "A", **options: Any) -> dns.message.Message:
    return dns.message.from_wire(await ask_udp(port, dns.message.make_query(name, qtype, **options).to_wire()))


@pytest.fixture
async def start(host: Any, tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """``await start(text)`` -> (process, port); ``PORT`` in the text is a free one."""
    running: list[Process] = []

    async def run(text: str, port: int = 0) -> tuple[Process, int]:
        port = port or free_port()
        file = tmp_path / "Corefile"
        file.write_text(text.replace("PORT", str(port)))
        process = Process(host, partial(load_corefile, file, port=port, environment={}), hosts=("127.0.0.1",))
        await process.start()
        running.append(process)
        await settle()
        return process, port

    yield run
    for process in running:
        await process.kill()


MANY = "\n".join(f"10.0.{n // 250}.{n % 250 + 1} many.test" for n in range(200))
COREFILE = f"test.:PORT {{\nhosts /nonexistent {{\n10.0.0.1 a.test\n{MANY}\n}}\n}}\n"


async def test_udp_and_tcp_answer(start: Any) -> None:
    _, port = await start(COREFILE)
    assert (await ask(port, "a.test.")).answer[0][0].to_text() == "10.0.0.1"
    queries = [dns.message.make_query("a.test.", "A"), dns.message.make_query("A.test.", "AAAA")]
    first, second = (dns.message.from_wire(w) for w in await ask_tcp(port, *(q.to_wire() for q in queries)))
    assert first.id == queries[0].id and first.answer
    assert second.question[0].name.to_text() == "A.test." and not second.answer


async def test_the_port_is_bound_before_the_registry_is_there(start: Any, fake_api: Any, clock: Any) -> None:
    fake_api.available = False
    port = free_port()
    starting = asyncio.ensure_future(start(".:PORT {\nkubernetes cluster.local\n}\n", port))
    await settle()
    asking = asyncio.ensure_future(ask(port, "web.default.svc.cluster.local."))
    await settle()
    assert not starting.done() and not asking.done()
    await clock.advance(5)
    process, _ = await starting
    assert (await asking).rcode() == dns.rcode.SERVFAIL
    await process.kill()


@pytest.mark.parametrize(("payload", "records"), [(None, 30), (100, 29), (1232, 74), (4096, 200)])
async def test_truncation_over_udp_and_the_whole_over_tcp(start: Any, payload: int | None, records: int) -> None:
    _, port = await start(COREFILE)
    query = dns.message.make_query("many.test.", "A", use_edns=payload is not None, payload=payload or 0)
    wire = await ask_udp(port, query.to_wire())
    found = dns.message.from_wire(wire)
    assert len(wire) <= max(512, payload or 0)
    assert len(found.answer[0]) == records
    assert bool(found.flags & dns.flags.TC) == (records < 200)
    (whole,) = await ask_tcp(port, query.to_wire())
    assert len(dns.message.from_wire(whole).answer[0]) == 200


async def test_edns_comes_back_with_the_clients_size_and_do(start: Any) -> None:
    _, port = await start(COREFILE)
    found = await ask(port, "a.test.", payload=3000, want_dnssec=True)
    assert (found.edns, found.payload) == (0, 3000)
    assert found.ednsflags & dns.flags.DO
    assert (await ask(port, "a.test.")).edns == -1
    bad = await ask(port, "a.test.", use_edns=1)
    assert bad.rcode() == dns.rcode.BADVERS and bad.payload == 0 and bad.edns == 0


async def test_what_the_core_refuses(start: Any) -> None:
    _, port = await start(COREFILE)
    elsewhere = await ask(port, "a.other.", want_dnssec=True)
    assert elsewhere.rcode() == dns.rcode.REFUSED and not elsewhere.flags & dns.flags.AA and elsewhere.edns == 0
    assert (await ask(port, "a.test.", rdclass="CH")).rcode() == dns.rcode.REFUSED
    missing = await ask(port, "nosuch.test.")
    assert missing.rcode() == dns.rcode.SERVFAIL and not missing.flags & dns.flags.AA
    assert missing.flags & dns.flags.RD and not missing.flags & dns.flags.RA


@pytest.mark.parametrize(
    ("packet", "rcode"),
    [
        pytest.param(struct.pack("!HHHHHH", 7, 0x0100, 0, 0, 0, 0), dns.rcode.FORMERR, id="no question"),
        pytest.param(
            struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0) + b"\xc0\x0c", dns.rcode.FORMERR, id="pointer to itself"
        ),
        pytest.param(struct.pack("!HHHHHH", 7, 0x0100, 1, 0, 0, 0) + b"\x05ab", dns.rcode.FORMERR, id="cut short"),
        pytest.param(struct.pack("!HHHHHH", 7, 5 << 11, 1, 0, 0, 0), dns.rcode.NOTIMP, id="UPDATE"),
    ],
)
async def test_malformed_packets(start: Any, packet: bytes, rcode: dns.rcode.Rcode) -> None:
    _, port = await start(COREFILE)
    found = dns.message.from_wire(await ask_udp(port, packet))
    assert (found.id, found.rcode()) == (7, rcode)


@pytest.mark.parametrize(
    "packet",
    [b"", b"xy", struct.pack("!HHHHHH", 7, 0x8180, 1, 0, 0, 0) + b"\x01a\x00\x00\x01\x00\x01"],
    ids=["empty", "short", "an answer"],
)
async def test_packets_that_get_no_answer(start: Any, packet: bytes) -> None:
    _, port = await start(COREFILE)
    assert (await ask_udp(port, packet, answered=False))[:2] == b"\0\1"


async def test_notify_is_processed_as_a_query(start: Any) -> None:
    _, port = await start(COREFILE)
    query = dns.message.make_query("a.test.", "A")
    query.set_opcode(dns.opcode.NOTIFY)
    found = dns.message.from_wire(await ask_udp(port, query.to_wire()))
    assert found.opcode() == dns.opcode.NOTIFY and found.answer


async def test_the_longest_zone_answers_and_there_is_no_second_chance(start: Any) -> None:
    block = "{}.:PORT {{\nhosts /nonexistent {{\n{} a.b.test\nfallthrough\n}}\n}}\n"
    text = block.format("test", "10.0.0.1") + block.format("b.test", "10.0.0.2") + "empty.test.:PORT {\n}\n"
    _, port = await start(text)
    assert (await ask(port, "A.B.TEST.")).answer[0][0].to_text() == "10.0.0.2"
    assert (await ask(port, "c.b.test.")).rcode() == dns.rcode.SERVFAIL
    assert (await ask(port, "b.test.", "DS")).rcode() == dns.rcode.SERVFAIL  # the parent's chain, whose end this is
    assert (await ask(port, "x.empty.test.")).rcode() == dns.rcode.REFUSED
    assert (await ask(port, "other.")).rcode() == dns.rcode.REFUSED


async def test_http_ports(start: Any) -> None:
    health, metrics = free_port(), free_port()
    text = (
        f".:PORT {{\nhealth 127.0.0.1:{health}\nready 127.0.0.1:{health}\nprometheus 127.0.0.1:{metrics}\nwhoami\n}}\n"
    )
    await start(text)
    assert await get(health, "/health") == (200, b"OK")
    assert await get(health, "/ready?x=y") == (200, b"OK")
    assert (await get(health, "/metrics"))[0] == 404
    assert (await get(health, "/health", "POST"))[0] == 405
    assert await get(health, "/health", "HEAD") == (200, b"")
    status, body = await get(metrics, "/metrics")
    assert status == 200 and b"coredns_plugin_enabled" in body


def with_address(address: str) -> str:
    return f".:PORT {{\nreload 10s 0s\nhosts /nonexistent {{\n{address} a.test\n}}\n}}\n"


async def test_a_changed_corefile_is_taken_within_a_second(
    start: Any, clock: Any, tmp_path: Path, log: list[str]
) -> None:
    _, port = await start(with_address("10.0.0.1"))
    file = tmp_path / "Corefile"
    for address in ("10.0.0.20", "10.0.0.30"):
        file.write_text(with_address(address).replace("PORT", str(port)))
        await clock.advance(1)
        await settle(200)
        assert (await ask(port, "a.test.")).answer[0][0].to_text() == address
    assert log.count("[INFO] Reloading complete") == 2


async def test_what_no_glance_can_see_is_taken_at_the_interval(start: Any, clock: Any, tmp_path: Path) -> None:
    _, port = await start(with_address("10.0.0.1"))
    file = tmp_path / "Corefile"
    before = file.stat()
    file.write_text(with_address("10.0.0.2").replace("PORT", str(port)))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    await clock.advance(9)
    assert (await ask(port, "a.test.")).answer[0][0].to_text() == "10.0.0.1"
    await clock.advance(1)
    await settle(200)
    assert (await ask(port, "a.test.")).answer[0][0].to_text() == "10.0.0.2"


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        pytest.param(
            ".:PORT {\nreload 10s 0s\nhosts {\nnonsense\n}\n}\n", "Corefile:4:1: hosts: 'nonsense'", id="property"
        ),
        pytest.param(".:PORT {\nreload 10s 0s\nhots\n}\n", "Corefile:3:1: unknown plugin 'hots'", id="plugin"),
        pytest.param(".:PORT {\nreload 10s 0s\n", "Corefile:2:14: the file ends here", id="brace"),
        pytest.param(".:PORT {\nforward . /no/such/file\n}\n", "Corefile:2:11: forward: cannot read", id="at start"),
    ],
)
async def test_a_broken_corefile_keeps_the_last_good_one(
    start: Any, clock: Any, tmp_path: Path, log: list[str], host: Any, broken: str, told: str
) -> None:
    process, port = await start(with_address("10.0.0.1"))
    (tmp_path / "Corefile").write_text(broken.replace("PORT", str(port)))
    await clock.advance(10)
    await settle(200)
    assert (await ask(port, "a.test.")).answer[0][0].to_text() == "10.0.0.1"
    errors = [line for line in log if line.startswith("[ERROR]")]
    assert len(errors) == 1 and told in errors[0] and "the last good one stays in service" in errors[0]
    await clock.advance(50)  # told once, not at every look
    assert [line for line in log if line.startswith("[ERROR]")] == errors
    assert "coredns_reload_failed_total 1.0" in host.metrics.text().decode()
    (tmp_path / "Corefile").write_text(with_address("10.0.0.9").replace("PORT", str(port)))
    assert await process.reload() is True
    assert (await ask(port, "a.test.")).answer[0][0].to_text() == "10.0.0.9"


async def test_a_busy_port_at_reload_changes_nothing(start: Any, tmp_path: Path, log: list[str]) -> None:
    process, port = await start(with_address("10.0.0.1"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        busy = taken.getsockname()[1]
        (tmp_path / "Corefile").write_text(f".:{port} {{\nwhoami\nhealth 127.0.0.1:{busy}\n}}\n")
        assert await process.reload() is False
    assert any("cannot listen on" in line for line in log)
    assert (await ask(port, "a.test.")).answer[0][0].to_text() == "10.0.0.1"


async def test_a_broken_corefile_is_an_event_on_the_pod(start: Any, tmp_path: Path, host: Any, fake_api: Any) -> None:
    host.environment = {"POD_NAME": "coredns-x", "POD_NAMESPACE": "kube-system"}
    process, port = await start(".:PORT {\nkubernetes a.b\n}\n")
    (tmp_path / "Corefile").write_text(f".:{port} {{\nkubernets a.b\n}}\n")
    assert await process.reload() is False
    (event,) = fake_api.created
    assert (event["reason"], event["type"]) == ("CorefileInvalid", "Warning")
    assert "Corefile:2:1: unknown plugin 'kubernets'" in event["message"]
    assert event["involvedObject"]["name"] == "coredns-x" and event["involvedObject"]["uid"] == "pod-uid"


async def test_ports_come_and_go_with_the_corefile(start: Any, tmp_path: Path) -> None:
    process, port = await start(with_address("10.0.0.1"))
    other = free_port()
    (tmp_path / "Corefile").write_text(with_address("10.0.0.2").replace("PORT", str(other)))
    assert await process.reload() is True
    assert (await ask(other, "a.test.")).answer[0][0].to_text() == "10.0.0.2"
    with pytest.raises(ConnectionRefusedError):
        await ask_tcp(port, b"")


async def test_at_the_end_ready_closes_first_and_all_else_goes_on_for_lameduck(start: Any, clock: Any) -> None:
    health, ready = free_port(), free_port()
    text = f".:PORT {{\nhealth 127.0.0.1:{health} {{\nlameduck 5s\n}}\nready 127.0.0.1:{ready}\nwhoami\n}}\n"
    process, port = await start(text)
    ending = asyncio.ensure_future(process.stop())
    await settle()
    with pytest.raises(ConnectionRefusedError):
        await get(ready, "/ready")
    assert await get(health, "/health") == (200, b"OK")
    assert (await ask(port, "a.test.")).additional
    await clock.advance(5)
    await ending
    with pytest.raises(ConnectionRefusedError):
        await get(health, "/health")


async def test_a_start_that_fails_leaves_nothing_open(start: Any, host: Any, tmp_path: Path) -> None:
    port = free_port()
    with pytest.raises(CorefileError):
        await start(".:PORT {\nnonsense\n}\n", port)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        busy = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"cannot listen on 127.0.0.1:{busy}"):
            await start(f".:PORT {{\nwhoami\n}}\nx.:{busy} {{\nwhoami\n}}\n", port)
    await start(COREFILE, port)
    assert (await ask(port, "a.test.")).answer
