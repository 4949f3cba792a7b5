"""Plugin dnstap beside Debian's fstrm_capture, in every mode: it listens, by path, TCP and TLS, and connects likewise.

fstrm_capture only listens, and without TLS: where Seamark listens, or speaks TLS, a relay of plain octets stands
between them, so that what is spoken is still Seamark's and fstrm_capture's alone.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import dns.message
import pytest
import trustme

from seamark.testing.dnstap import read_taps
from seamark.testing.ports import free_port

PROGRAM = shutil.which("fstrm_capture")
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="fstrm_capture is missing (Debian: fstrm-bin)")
HOSTS = "hosts /nonexistent {\n10.0.0.1 a.test\n}\n"
TRIES = 500
Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Capture:
    """fstrm_capture, listening at a path and writing to a file."""

    def __init__(self, folder: Path) -> None:
        self.path, self.file = folder / "capture.sock", folder / "taps"

    async def start(self, port: int = 0) -> None:
        """It takes connections when this returns; it says that it does a little too early."""
        where = ("-a", "127.0.0.1", "-p", str(port)) if port else ("-u", str(self.path))
        self.process = await asyncio.create_subprocess_exec(
            PROGRAM or "",
            *("-dddd", "-t", "protobuf:dnstap.Dnstap", "-w", str(self.file), *where),
            stderr=asyncio.subprocess.PIPE,
        )
        self.told = b""
        for _ in range(TRIES):
            try:
                _, writer = await (
                    asyncio.open_connection("127.0.0.1", port) if port else asyncio.open_unix_connection(self.path)
                )
                break
            except OSError:
                await asyncio.sleep(0.01)
        else:
            raise AssertionError("fstrm_capture does not listen")
        writer.close()

    async def tells(self, words: bytes) -> None:
        assert self.process.stderr is not None
        while words not in self.told:
            line = await self.process.stderr.readline()
            assert line, self.told
            self.told += line

    async def taps(self) -> list[Any]:
        """What it got, once it has ended."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        await self.process.communicate()
        return read_taps(self.file)


@pytest.fixture
async def capture(tmp_path: Path) -> AsyncIterator[Capture]:
    found = Capture(tmp_path)
    yield found
    if found.process.returncode is None:
        found.process.kill()
        await found.process.communicate()


@pytest.fixture
async def relay() -> AsyncIterator[Callable[[Ends, Ends], None]]:
    """Octets from each to the other, until one side ends."""
    running: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
        except OSError:
            pass
        writer.close()

    def join(one: Ends, other: Ends) -> None:
        for reader, writer in ((one[0], other[1]), (other[0], one[1])):
            running.add(asyncio.create_task(pump(reader, writer)))

    yield join
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await asyncio.sleep(0)


async def told(server: Any, capture: Capture) -> None:
    """A query once frames flow; then the server ends, which fstrm_capture answers, and so has everything."""
    await capture.tells(b"received FSTRM_CONTROL_START")
    query = dns.message.make_query("a.test.", "A")
    assert (await server.ask(query)).answer
    await server.instance.stop()
    taps = await capture.taps()
    assert [tap.message.type for tap in taps] == [5, 6]
    assert taps[0].message.query_message == query.to_wire()
    assert dns.message.from_wire(taps[1].message.response_message).answer
    await server.instance.start()  # so that the fixture's end has something to stop


@pytest.mark.parametrize("scheme", ["", "unix://"])
async def test_it_listens_at_a_path(scheme: str, serve: Any, capture: Capture) -> None:
    await capture.start()
    await told(await serve(f". {{\ndnstap {scheme}{capture.path} full\n{HOSTS}}}"), capture)


async def test_it_listens_at_a_port(serve: Any, capture: Capture) -> None:
    port = free_port()
    await capture.start(port)
    await told(await serve(f". {{\ndnstap tcp://127.0.0.1:{port} full 2 3\n{HOSTS}}}"), capture)


async def test_it_listens_behind_tls(serve: Any, capture: Capture, relay: Any) -> None:
    """Its certificate is one that nobody knows, so that ``skipverify`` counts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    await capture.start()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        relay((reader, writer), await asyncio.open_unix_connection(capture.path))

    front = await asyncio.start_server(take, "127.0.0.1", 0, ssl=context)
    port = front.sockets[0].getsockname()[1]
    await told(await serve(f". {{\ndnstap tls://127.0.0.1:{port} full {{\nskipverify\n}}\n{HOSTS}}}"), capture)
    front.close()


async def test_it_connects_to_a_path(serve: Any, capture: Capture, relay: Any, tmp_path: Path) -> None:
    path = tmp_path / "own.sock"
    await capture.start()
    server = await serve(f". {{\ndnstap listen unix://{path} full\n{HOSTS}}}")
    relay(await asyncio.open_unix_connection(path), await asyncio.open_unix_connection(capture.path))
    await told(server, capture)


async def test_it_connects_to_a_port(serve: Any, capture: Capture, relay: Any) -> None:
    port = free_port()
    await capture.start()
    server = await serve(f". {{\ndnstap listen tcp://127.0.0.1:{port} full\n{HOSTS}}}")
    relay(await asyncio.open_connection("127.0.0.1", port), await asyncio.open_unix_connection(capture.path))
    await told(server, capture)


async def test_it_connects_by_tls_with_a_certificate(serve: Any, capture: Capture, relay: Any, tmp_path: Path) -> None:
    authority, port = trustme.CA(), free_port()
    own = authority.issue_cert("127.0.0.1")
    own.private_key_pem.write_to_path(tmp_path / "key.pem")
    own.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    client = ssl.create_default_context()
    authority.configure_trust(client)
    authority.issue_cert("collector").configure_cert(client)
    await capture.start()
    options = "tls cert.pem key.pem ca.pem"
    words = f"root {tmp_path}\ndnstap listen tls://127.0.0.1:{port} full {{\n{options}\n}}\n"
    server = await serve(f". {{\n{words}{HOSTS}}}")
    ends = await asyncio.open_connection("127.0.0.1", port, ssl=client)
    relay(ends, await asyncio.open_unix_connection(capture.path))
    await told(server, capture)
