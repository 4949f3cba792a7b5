"""SIGTERM waits for the proxies and for DNS, and for nobody that cannot be asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from seamark.agent.connect import Streams
from seamark.cli.leaving import Leaving
from seamark.client.client import Client
from seamark.machinery.gvr import ENDPOINTSLICES
from seamark.testing.clock import FakeClock, settle

POD, DNS = "10.244.0.5", "10.244.0.2"


class Proxy:
    slice_revision = "7"

    def __init__(self) -> None:
        self.unrouted = asyncio.Event()

    async def wait_unrouted(self, ip: str) -> None:
        await self.unrouted.wait()


class DnsServer:
    """Answers ``/visible`` once the test lets it."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.was_asked = asyncio.Event()
        self.answers = asyncio.Event()
        self.away = False
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def connect(self, host: str, port: int, *, tls: bool) -> Streams:
        assert (host, port, tls) == (DNS, 8080, False)
        if self.away or self._server is None:
            raise ConnectionRefusedError
        return await asyncio.open_connection(*self._server.sockets[0].getsockname())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append((await reader.readuntil(b"\r\n\r\n")).decode().split()[1])
        self.was_asked.set()
        await self.answers.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()


def make_slice(name: str, namespace: str, labels: dict[str, str], address: str, **conditions: bool) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": conditions}],
        "ports": [],
    }


@pytest.fixture
async def dns() -> AsyncIterator[DnsServer]:
    server = DnsServer()
    await server.start()
    yield server
    server.answers.set()
    await server.stop()


@pytest.fixture
async def leaving(client: Client, clock: FakeClock, dns: DnsServer) -> AsyncIterator[tuple[Leaving, Proxy]]:
    labels = {"kubernetes.io/service-name": "kube-dns"}
    await client.create(ENDPOINTSLICES, make_slice("dns", "kube-system", labels, DNS, ready=True))
    proxy = Proxy()
    made = Leaving(client, [proxy], dns.connect, clock=clock)  # type: ignore[list-item]
    task = asyncio.create_task(made.run())
    yield made, proxy
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_proxies_then_dns(leaving: tuple[Leaving, Proxy], dns: DnsServer) -> None:
    made, proxy = leaving
    wait = asyncio.create_task(made.wait_unrouted(POD))
    await settle(50)
    assert dns.asked == []
    proxy.unrouted.set()
    await dns.was_asked.wait()
    assert dns.asked == ["/visible?revision=7&timeout=1s"] and not wait.done()
    dns.answers.set()
    await wait


async def test_a_headless_service_that_still_lists_the_pod(
    leaving: tuple[Leaving, Proxy], dns: DnsServer, client: Client
) -> None:
    made, proxy = leaving
    proxy.unrouted.set()
    dns.answers.set()
    labels = {"kubernetes.io/service-name": "db", "service.kubernetes.io/headless": ""}
    await client.create(ENDPOINTSLICES, make_slice("db", "default", labels, POD, ready=True))
    await settle(50)
    wait = asyncio.create_task(made.wait_unrouted(POD))
    await settle(200)
    assert dns.asked == [] and not wait.done()
    gone = [{"addresses": [POD], "conditions": {"ready": False, "terminating": True}}]
    written = await client.patch(ENDPOINTSLICES, "db", {"endpoints": gone}, namespace="default")
    await wait
    assert dns.asked == [f"/visible?revision={written['metadata']['resourceVersion']}&timeout=1s"]


async def test_a_dns_server_that_is_away_or_leaves_itself_is_not_waited_for(
    leaving: tuple[Leaving, Proxy], dns: DnsServer
) -> None:
    made, proxy = leaving
    proxy.unrouted.set()
    await made.wait_unrouted(DNS)
    dns.away = True
    await made.wait_unrouted(POD)
    assert dns.asked == []
