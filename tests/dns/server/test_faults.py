"""A server on loopback whose surroundings misbehave: own zones keep answering.

Loops, upstreams that are silent, lie, truncate or flood, TCP clients that are slow, silent or many, objects that make
no sense, and files that change while it runs.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import dns.message
import dns.rcode
import pytest

from seamark.dns.server.loading import load_corefile
from seamark.dns.server.process import Process
from seamark.testing.clock import settle
from seamark.testing.dnsupstream import good, silent
from seamark.testing.ports import free_port

WEB = "web.default.svc.cluster.local."


class Client(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.received: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.received.put_nowait(data)


async def ask(port: int, name: str, qtype: str = "A") -> dns.message.Message:
    loop = asyncio.get_running_loop()
    transport, client = await loop.create_datagram_endpoint(Client, remote_addr=("127.0.0.1", port))
    try:
        transport.sendto(dns.message.make_query(name, qtype).to_wire())
        return dns.message.from_wire(await asyncio.wait_for(client.received.get(), 10))
    finally:
        transport.close()


async def turn(until: Callable[[], bool], clock: Any, step: float = 0.5) -> None:
    """Real sockets and the test's clock, both a little at a time."""
    for _ in range(400):
        for _ in range(50):
            await asyncio.sleep(0)
        if until():
            return
        await clock.advance(step)
    raise AssertionError("it did not happen")


@pytest.fixture
async def start(host: Any, tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    running: list[Process] = []

    async def run(text: str) -> tuple[Process, int]:
        port = free_port()
        (tmp_path / "Corefile").write_text(text.replace("PORT", str(port)))
        load = partial(load_corefile, tmp_path / "Corefile", port=port, environment={})
        process = Process(host, load, hosts=("127.0.0.1",))
        running.append(process)
        await process.start()
        await settle()
        return process, port

    yield run
    for process in running:
        await process.kill()


@pytest.fixture
def registry(fake_api: Any) -> Any:
    fake_api.put("namespaces", {"metadata": {"name": "default"}})
    service = {"clusterIP": "10.96.0.5", "clusterIPs": ["10.96.0.5"]}
    fake_api.put("services", {"metadata": {"name": "web", "namespace": "default"}, "spec": service})
    return fake_api


CLUSTER = ".:PORT {\nerrors\nkubernetes cluster.local\n%s\n}\n"


async def own_zone_answers(port: int) -> None:
    assert (await ask(port, WEB)).answer[0][0].to_text() == "10.96.0.5"
    assert (await ask(port, f"no{WEB}")).rcode() == dns.rcode.NXDOMAIN


async def test_a_loop_puts_its_upstream_out_of_use_and_the_cluster_goes_on(
    start: Any, registry: Any, host: Any, upstream: Any
) -> None:
    host.environment = {"POD_NAME": "coredns-1", "POD_NAMESPACE": "kube-system"}
    up = await upstream(good("192.0.2.1"))
    more = "loop\nforward . 127.0.0.1:PORT 127.0.0.1:UP {\npolicy sequential\n}".replace("UP", str(up.port))
    process, port = await start(CLUSTER % more)
    forward = next(h for name, h in process._serving.plugins() if name == "forward")
    looping, sound = forward.upstreams
    await turn(lambda: bool(looping.disabled), host.clock)
    assert not sound.disabled
    assert any("plugin/loop: Loop (127.0.0.1:" in line for line in host.log.__self__)
    assert (await ask(port, "outside.example.")).answer[0][0].to_text() == "192.0.2.1"
    await own_zone_answers(port)
    await turn(lambda: bool(registry.created), host.clock)
    (event,) = registry.created
    assert (event["reason"], event["involvedObject"]["name"]) == ("ForwardingLoop", "coredns-1")
    assert f"127.0.0.1:{port}" in event["message"]
    assert f'seamark_dns_upstream_disabled{{to="127.0.0.1:{port}"}} 1.0' in host.metrics.text().decode()
    looping._where = ("127.0.0.1", up.port)  # as if somebody had changed where it leads
    await turn(lambda: not looping.disabled, host.clock, step=10)


async def test_a_loop_of_the_only_upstream_is_told_to_whoever_asks(start: Any, registry: Any, host: Any) -> None:
    process, port = await start(CLUSTER % "loop\nforward . 127.0.0.1:PORT")
    forward = next(h for name, h in process._serving.plugins() if name == "forward")
    await turn(lambda: bool(forward.upstreams[0].disabled), host.clock)
    assert (await ask(port, "outside.example.")).rcode() == dns.rcode.SERVFAIL
    assert "leads back to this server and is out of use" in host.log.__self__[-1]
    await own_zone_answers(port)


async def test_a_silent_upstream_holds_up_nobody_else(start: Any, registry: Any, host: Any, upstream: Any) -> None:
    mute = await upstream(silent)
    _, port = await start(CLUSTER % f"forward . 127.0.0.1:{mute.port}\ncache 30")
    outside = [asyncio.ensure_future(ask(port, f"n{n}.example.")) for n in range(200)]
    await turn(lambda: len(mute.queries) >= 200, host.clock, step=0)
    await own_zone_answers(port)
    await turn(lambda: all(task.done() for task in outside), host.clock)
    assert {(await task).rcode() for task in outside} == {dns.rcode.SERVFAIL}
    await own_zone_answers(port)


def lies(query: dns.message.Message, protocol: str) -> list[dns.message.Message]:
    """An alias into the cluster, and what it pretends to be there."""
    reply = dns.message.make_response(query)
    reply.answer = [dns.rrset.from_text(WEB, 3600, "IN", "A", "10.6.6.6")]
    return [reply]


def truncated(query: dns.message.Message, protocol: str) -> list[dns.message.Message]:
    reply = dns.message.make_response(query)
    reply.flags |= dns.flags.TC
    return [reply]


def flood(query: dns.message.Message, protocol: str) -> list[dns.message.Message]:
    reply = dns.message.make_response(query)
    reply.id ^= 1
    return [reply] * 300


@pytest.mark.parametrize("script", [lies, truncated, flood], ids=lambda script: str(script.__name__))
async def test_whatever_an_upstream_says_own_names_stay(
    script: Any, start: Any, registry: Any, host: Any, upstream: Any
) -> None:
    up = await upstream(script)
    _, port = await start(CLUSTER % f"forward . 127.0.0.1:{up.port}\ncache 30")
    outside = [asyncio.ensure_future(ask(port, f"n{n}.example.")) for n in range(20)]
    await turn(lambda: all(task.done() for task in outside), host.clock)
    found = [await task for task in outside]
    assert {bool(reply.flags & dns.flags.TC) for reply in found} == {script is truncated}
    assert not any(reply.answer for reply in found)
    await own_zone_answers(port)


async def test_tcp_clients_slow_silent_and_many(start: Any, registry: Any, host: Any) -> None:
    process, port = await start(CLUSTER % "timeouts {\nread 5s\nidle 10s\n}")
    connections = [await asyncio.open_connection("127.0.0.1", port) for _ in range(300)]
    for number, (_, writer) in enumerate(connections):
        writer.write((b"", b"\0", b"\0\x20half")[number % 3])
    await own_zone_answers(port)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    query = dns.message.make_query(WEB, "A").to_wire()
    writer.write(struct.pack("!H", len(query)) + query)
    (length,) = struct.unpack("!H", await reader.readexactly(2))
    assert dns.message.from_wire(await reader.readexactly(length)).answer
    ((port_of_process),) = process._ports.values()
    await turn(lambda: not port_of_process.streams[0]._connections, host.clock, step=1)
    for _, each in [*connections, (reader, writer)]:
        each.close()


async def test_more_tcp_connections_than_there_may_be_close_the_oldest(
    start: Any, registry: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seamark.dns.server.tcp.MAX_CONNECTIONS", 20)
    process, port = await start(CLUSTER % "")
    held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(30)]
    (listener,) = process._ports.values()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    query = dns.message.make_query(WEB, "A").to_wire()
    writer.write(struct.pack("!H", len(query)) + query)
    assert await reader.readexactly(2), "whoever comes last is served"
    assert len(listener.streams[0]._connections) <= 20
    assert await held[0][0].read() == b"", "the first one was closed"
    for _, each in [*held, (reader, writer)]:
        each.close()


MALFORMED: list[tuple[str, dict[str, Any]]] = [
    ("services", {"spec": {"clusterIP": 7}}),
    ("services", {"spec": {"clusterIP": "not-an-address", "clusterIPs": ["300.1.1.1", ""]}}),
    ("services", {"spec": {"ports": [{"name": "http", "port": "eighty"}]}}),
    ("services", {"spec": {"type": "ExternalName", "externalName": "a..b"}}),
    ("services", {"spec": {"type": "ExternalName", "externalName": "x" * 70 + ".example"}}),
    ("services", {"spec": None}),
    ("endpointslices", {"endpoints": [{"addresses": None}], "ports": None}),
    ("endpointslices", {"endpoints": [{"addresses": ["10.0.0.300", "", "::g"]}], "ports": [{"port": -5}]}),
    ("endpointslices", {"endpoints": [{"addresses": ["10.9.9.9"], "hostname": "h" * 80}], "ports": []}),
    ("endpointslices", {"endpoints": [{"addresses": ["10.9.9.8"], "hostname": "a.b"}], "ports": []}),
    ("endpointslices", {"endpoints": "none"}),
]


@pytest.mark.parametrize(("resource", "body"), MALFORMED)
@pytest.mark.parametrize("when", ["at-start", "in-the-watch"])
async def test_a_malformed_object_spoils_one_name_at_most(
    resource: str, body: dict[str, Any], when: str, start: Any, registry: Any
) -> None:
    meta = {"name": "odd", "namespace": "default", "labels": {"kubernetes.io/service-name": "odd"}}
    if resource == "endpointslices":
        spec = {"clusterIP": "None", "clusterIPs": ["None"]}
        registry.put("services", {"metadata": {"name": "odd", "namespace": "default"}, "spec": spec})
    if when == "at-start":
        registry.put(resource, {"metadata": meta, **body})
    _, port = await start(CLUSTER % "")
    if when == "in-the-watch":
        registry.put(resource, {"metadata": meta, **body})
        await settle()
    await own_zone_answers(port)
    for qtype in ("A", "AAAA", "SRV", "CNAME"):
        found = await ask(port, "odd.default.svc.cluster.local.", qtype)
        assert found.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN, dns.rcode.SERVFAIL)
    spec = {"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9"]}
    registry.put("services", {"metadata": {"name": "after", "namespace": "default"}, "spec": spec})
    await settle()
    assert (await ask(port, "after.default.svc.cluster.local.")).answer[0][0].to_text() == "10.96.0.9"


async def test_other_upstreams_in_resolv_conf_are_taken_without_a_lost_packet(
    start: Any, registry: Any, host: Any, upstream: Any, tmp_path: Path
) -> None:
    one, two = await upstream(good("192.0.2.1")), await upstream(good("192.0.2.2"))
    file = tmp_path / "resolv.conf"
    file.write_text(f"nameserver 127.0.0.1:{one.port}\n")
    _, port = await start(CLUSTER % f"reload 2s 0s\nforward . {file}")
    assert (await ask(port, "a.example.")).answer[0][0].to_text() == "192.0.2.1"
    lost: list[str] = []

    async def keep_asking() -> None:
        while True:
            try:
                await own_zone_answers(port)
            except (TimeoutError, AssertionError) as error:
                lost.append(repr(error))

    asking = asyncio.ensure_future(keep_asking())
    file.write_text(f"nameserver 127.0.0.1:{two.port}\n")
    await turn(lambda: "[INFO] Reloading complete" in host.log.__self__, host.clock)
    assert (await ask(port, "a.example.")).answer[0][0].to_text() == "192.0.2.2"
    await settle(200)
    asking.cancel()
    assert lost == []


async def test_an_imported_file_that_changes_is_taken(start: Any, host: Any, tmp_path: Path) -> None:
    extra = tmp_path / "extra.conf"
    extra.write_text("hosts /nonexistent {\n192.0.2.1 a.test\n}\n")
    _, port = await start(f"test.:PORT {{\nreload 2s 0s\nimport {extra}\n}}\n")
    assert (await ask(port, "a.test.")).answer[0][0].to_text() == "192.0.2.1"
    extra.write_text("hosts /nonexistent {\n192.0.2.22 a.test\n}\n")
    await turn(lambda: "[INFO] Reloading complete" in host.log.__self__, host.clock)
    assert (await ask(port, "a.test.")).answer[0][0].to_text() == "192.0.2.22"
