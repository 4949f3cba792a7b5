"""The forwarder on loopback: bytes, half-closed connections, refusals, datagrams."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import uvloop

from seamark.linux.listener import open_listener, open_outgoing
from seamark.proxy.forwarding import Place, TcpForwarder, UdpForwarder

HOST = "127.0.0.1"


@asynccontextmanager
async def echo_to_the_end() -> AsyncIterator[Place]:
    """Answers once the client has said everything: only over a half-closed connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read())
        writer.close()

    async with await asyncio.start_server(serve, HOST, 0) as server:
        yield server.sockets[0].getsockname()


@asynccontextmanager
async def forwarding(place: Place | None) -> AsyncIterator[int]:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    forwarder = TcpForwarder(None, HOST, port, lambda _client, _destination: place)
    try:
        yield port
    finally:
        forwarder.close()
        await asyncio.sleep(0)


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_megabyte_there_and_back(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(there_and_back(bytes(range(256)) * 4096))


async def there_and_back(data: bytes) -> None:
    async with echo_to_the_end() as place, forwarding(place) as port:
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(data)
        writer.write_eof()
        assert await reader.read() == data
        writer.close()
        await writer.wait_closed()


async def test_what_one_side_says_is_not_held_back() -> None:
    """Both sides of a forwarded connection are without Nagle's algorithm, also on a loop that asks the socket first."""
    with open_listener(None, HOST, 0) as listener, open_outgoing(None, HOST, socket.SOCK_STREAM) as out:
        loop = asyncio.get_running_loop()
        await loop.sock_connect(out, listener.getsockname())
        accepted, _ = await loop.sock_accept(listener)
        for side in (accepted, out):
            transport, _ = await loop.create_connection(asyncio.Protocol, sock=side)
            assert side.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            transport.close()


@pytest.mark.parametrize("place", [None, (HOST, 1)], ids=["none", "refusing"])
async def test_without_an_endpoint_the_client_is_reset(place: Place | None) -> None:
    async with forwarding(place) as port:
        reader, writer = await asyncio.open_connection(HOST, port)
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)
        writer.close()


async def test_established_connections_outlive_the_forwarder() -> None:
    async with echo_to_the_end() as place:
        async with forwarding(place) as port:
            reader, writer = await asyncio.open_connection(HOST, port)
            writer.write(b"before ")
            await asyncio.sleep(0.05)
        writer.write(b"after")
        writer.write_eof()
        assert await reader.read() == b"before after"
        writer.close()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(HOST, port)


async def test_a_client_that_breaks_breaks_the_server_side() -> None:
    broken: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            broken.set_result(await reader.read() == b"")
        except ConnectionResetError:
            broken.set_result(True)
        writer.close()

    async with (
        await asyncio.start_server(serve, HOST, 0) as server,
        forwarding(server.sockets[0].getsockname()) as port,
    ):
        with socket.create_connection((HOST, port)) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        async with asyncio.timeout(5):
            assert await broken


async def test_datagrams_keep_their_flow_until_the_endpoint_stops_serving() -> None:
    loop = asyncio.get_running_loop()
    with socket.socket(type=socket.SOCK_DGRAM) as one, socket.socket(type=socket.SOCK_DGRAM) as two:
        for server in (one, two):
            server.bind((HOST, 0))
            server.setblocking(False)
        serving, order = {one.getsockname(), two.getsockname()}, iter([one.getsockname(), two.getsockname()])
        with socket.socket(type=socket.SOCK_DGRAM) as probe:
            probe.bind((HOST, 0))
            at = probe.getsockname()
        forwarder = UdpForwarder(None, at, lambda *_: next(order), lambda place: place in serving)
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.connect(at)
            client.setblocking(False)
            for said in (b"one", b"two"):
                client.send(said)
                assert await loop.sock_recv(one, 100) == said
            serving.discard(one.getsockname())
            forwarder.retarget()
            client.send(b"three")
            data, peer = await loop.sock_recvfrom(two, 100)
            two.sendto(b"answer to " + data, peer)
            assert await loop.sock_recv(client, 100) == b"answer to three"
        forwarder.close()
