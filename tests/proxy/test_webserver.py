"""The small HTTP ports, byte for byte as kube-proxy 1.36.3 answers (recorded from it)."""

from __future__ import annotations

import asyncio
import socket

import pytest

from seamark.client.base import TransportError
from seamark.machinery.wire import Request, Response
from seamark.proxy.config import Address
from seamark.proxy.monitor import Monitor
from seamark.proxy.restmetrics import CountedTransport
from seamark.proxy.serving import AGAIN_SECONDS, health_handler, metrics_handler, open_ports
from seamark.proxy.webserver import Handler, WebServer
from seamark.testing.clock import FakeClock

HEALTHZ = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nX-Content-Type-Options: nosniff\r\n"
    b"Date: Tue, 24 Nov 2026 16:17:20 GMT\r\nContent-Length: 204\r\nConnection: close\r\n\r\n"
    b'{"lastUpdated":"2026-11-24T16:17:20.000000Z","currentTime":"2026-11-24T16:17:20.000000Z","nodeEligible":false,'
    b'"healthy":true,"status":{"IPv4":{"lastUpdated":"2026-11-24T16:17:20.000000Z","healthy":true}}}'
)
NOT_FOUND = (
    b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\n"
    b"Date: Tue, 24 Nov 2026 16:17:20 GMT\r\nContent-Length: 19\r\nConnection: close\r\n\r\n404 page not found\n"
)
AT = 1795537040.0


async def ask(handler: Handler, line: str) -> bytes:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    server = WebServer(listener, handler, FakeClock(AT))
    await server.start()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(f"{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        found = await reader.read()
        writer.close()
        return found
    finally:
        server.close()


async def test_health_byte_for_byte() -> None:
    monitor = Monitor(FakeClock(AT), ["IPv4"], mode="nftables")
    monitor.applied(monitor.take(), {})
    answer = health_handler(monitor)
    for line in ("GET /healthz", "GET /healthz?verbose", "POST /healthz", "PUT /healthz"):
        assert await ask(answer, line) == HEALTHZ
    head = HEALTHZ.partition(b"{")[0]
    assert await ask(answer, "HEAD /healthz") == head
    assert await ask(answer, "GET /") == NOT_FOUND
    assert (await ask(answer, "GET /livez")).startswith(b"HTTP/1.1 200 OK\r\n"), "the node's fate is none of its"


async def test_the_port_of_the_metrics() -> None:
    monitor = Monitor(FakeClock(AT), ["IPv4"], mode="iptables")
    answer = metrics_handler(monitor, "iptables", lambda: {"a": [1, 2]})
    for path, body in (("/healthz", b"ok"), ("/proxyMode", b"iptables"), ("/configz", b'{"a":[1,2]}')):
        assert (await ask(answer, f"GET {path}")).partition(b"\r\n\r\n")[2] == body
    assert await ask(answer, "GET /livez") == NOT_FOUND
    slis = await ask(answer, "GET /metrics/slis")
    assert b'kubernetes_healthchecks_total{name="ping",status="success",type="healthz"} 1' in slis
    assert b'kubernetes_healthcheck{name="ping",type="healthz"} 1' in slis


class Server:
    async def __call__(self, request: Request) -> Response:
        if request.path == "/gone":
            raise TransportError("gone")
        return Response(201)

    async def close(self) -> None: ...


async def test_requests_to_the_api_server_are_counted_by_client_gos_names() -> None:
    clock = FakeClock(AT)
    monitor = Monitor(clock, ["IPv4"], mode="nftables")
    transport = CountedTransport(Server(), "https://127.0.0.1:6443", clock)
    transport.register(monitor.metrics.registry)
    await transport(Request("POST", "/api"))
    with pytest.raises(TransportError):
        await transport(Request("GET", "/gone"))
    told = monitor.metrics.render().decode()
    assert 'rest_client_requests_total{code="201",host="127.0.0.1:6443",method="POST"} 1.0' in told
    assert 'rest_client_requests_total{code="<error>",host="127.0.0.1:6443",method="GET"} 1.0' in told
    assert 'rest_client_request_duration_seconds_count{host="127.0.0.1:6443",verb="POST"} 1.0' in told


async def get_from(host: str, port: int) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(b"GET /proxyMode HTTP/1.0\r\n\r\n")
    found = await reader.read()
    writer.close()
    return found.partition(b"\r\n\r\n")[2]


async def test_a_port_that_is_taken_is_tried_again(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """An old proxy may still have it; and ``::`` is every address of both families, as Go has it."""
    handler = metrics_handler(Monitor(clock, ["IPv4"], mode="nftables"), "nftables")
    with socket.create_server(("127.0.0.1", 0)) as other:
        port: int = other.getsockname()[1]
        with pytest.raises(OSError, match="Address already in use"):
            async with open_ports([(Address("127.0.0.1", port), handler)], clock=clock, hard_fail=True):
                pass
        async with open_ports([(Address("127.0.0.1", port), handler), (None, handler)], clock=clock):
            await clock.advance(AGAIN_SECONDS + 1)
            other.close()
            await clock.advance(AGAIN_SECONDS)
            assert await get_from("127.0.0.1", port) == b"nftables"
    assert caplog.messages == [f"cannot listen on 127.0.0.1:{port}: Address already in use; trying again"]
    async with open_ports([(Address("::", port), handler)], clock=clock):
        assert await get_from("127.0.0.1", port) == await get_from("::1", port) == b"nftables"
