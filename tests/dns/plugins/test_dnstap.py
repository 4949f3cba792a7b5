"""Plugin dnstap: what a sink gets, read by a reader of its own (protobuf's, with dnstap.proto's fields)."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path
from typing import Any

import dns.message
import pytest

from seamark.dns.corefile.lexer import CorefileError
from seamark.dns.plugins.dnstap.collectors import SLOW
from seamark.dns.plugins.dnstap.message import ACCEPT, FINISH, READY, START, STOP, parse_control, render_control
from seamark.testing.dnstap import DNSTAP

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]
HOSTS = "hosts /nonexistent {\n10.0.0.1 a.test\n}\n"


class Sink:
    """Listens as fstrm_capture does."""

    def __init__(self) -> None:
        self.taps: list[Any] = []
        self.controls: list[int] = []
        self._running: set[asyncio.Task[Any]] = set()

    async def start(self, path: Path) -> None:
        self._server = await asyncio.start_unix_server(self._take, path)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        try:
            while True:
                (length,) = struct.unpack("!I", await reader.readexactly(4))
                if length:
                    self.taps.append(DNSTAP.FromString(await reader.readexactly(length)))
                    continue
                (length,) = struct.unpack("!I", await reader.readexactly(4))
                kind, types = parse_control(await reader.readexactly(length))
                self.controls.append(kind)
                if kind in (READY, STOP):
                    assert kind == STOP or types == (b"protobuf:dnstap.Dnstap",)
                    writer.write(render_control(ACCEPT if kind == READY else FINISH, typed=kind == READY))
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    async def stop(self) -> None:
        self._server.close()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        await asyncio.sleep(0)


@pytest.fixture
async def sink(tmp_path: Path) -> Any:
    found = Sink()
    await found.start(tmp_path / "sock")
    yield found
    await found.stop()


async def until(sink: Sink, count: int) -> None:
    for _ in range(300):
        if len(sink.taps) >= count:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{len(sink.taps)} messages, not {count}")


async def test_clients_are_told_of(serve: Any, sink: Any, tmp_path: Path) -> None:
    options = 'identity me\nversion v7\nextra "{name} {type} {rcode} {/none} {this}"'
    server = await serve(f". {{\ndnstap {tmp_path}/sock full {{\n{options}\n}}\n{HOSTS}}}")
    query = dns.message.make_query("a.test.", "A")
    await server.ask(query, protocol="tcp", client="2001:db8::9")
    await until(sink, 2)
    asked, answered = sink.taps
    assert (asked.identity, asked.version, asked.extra, asked.type) == (b"me", b"v7", b"a.test. A - - {this}", 1)
    assert (asked.message.type, answered.message.type) == (5, 6)
    assert (asked.message.family, asked.message.protocol, asked.message.query_port) == (2, 2, 40212)
    assert asked.message.query_address.hex() == "20010db8" + "0" * 22 + "09"
    assert asked.message.query_message == query.to_wire()
    assert dns.message.from_wire(answered.message.response_message).answer
    assert answered.message.query_time_sec == int(server.clock.time()) == answered.message.response_time_sec
    assert sink.controls == [READY, START]
    await server.instance.stop()
    assert sink.controls == [READY, START, STOP]
    await server.instance.start()  # so that the fixture's end has something to stop


async def test_upstreams_are_told_of(serve: Any, sink: Any, tmp_path: Path, upstream: Any) -> None:
    up = await upstream(lambda query, protocol: [dns.message.make_response(query)])
    server = await serve(f". {{\ndnstap unix://{tmp_path}/sock\nforward . 127.0.0.1:{up.port}\n}}")
    await server.ask(dns.message.make_query("b.test.", "A"))
    await until(sink, 4)
    assert [tap.message.type for tap in sink.taps] == [5, 7, 8, 6]
    told = sink.taps[1].message
    assert (told.response_address, told.response_port) == (bytes([127, 0, 0, 1]), up.port)
    assert not told.query_message, "not full"


async def test_a_sink_that_comes_late_or_goes_is_connected_again(serve: Any, tmp_path: Path, log: list[str]) -> None:
    server = await serve(f". {{\ndnstap {tmp_path}/sock\n{HOSTS}}}")
    assert (await server.ask(dns.message.make_query("a.test.", "A"))).answer
    assert len([line for line in log if "No connection to dnstap endpoint" in line]) == 1
    late = Sink()
    await late.start(tmp_path / "sock")
    await server.clock.advance(1)
    await until(late, 2)
    await late.stop()


async def test_what_is_too_much_is_dropped(serve: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seamark.dns.plugins.dnstap.config.QUEUE", 3)
    server = await serve(f". {{\ndnstap {tmp_path}/sock\n{HOSTS}}}")
    for _ in range(5):
        assert (await server.ask(dns.message.make_query("a.test.", "A"))).answer
    late = Sink()
    await late.start(tmp_path / "sock")
    await server.clock.advance(1)
    await until(late, 3)
    await late.stop()
    assert len(late.taps) == 3
    assert "[WARNING] plugin/dnstap: Dropped dnstap messages: 7" in server.log


async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """As a sink that connects does: it is asked whether it is ready, and told that frames begin."""
    kinds = []
    for _ in range(2):
        _, length = struct.unpack("!II", await reader.readexactly(8))
        kinds.append(parse_control(await reader.readexactly(length))[0])
        writer.write(render_control(ACCEPT, typed=True)) if kinds == [READY] else None
    assert kinds == [READY, START]


async def frame(reader: asyncio.StreamReader) -> Any:
    (length,) = struct.unpack("!I", await reader.readexactly(4))
    assert length
    return DNSTAP.FromString(await reader.readexactly(length))


async def test_sinks_that_connect_are_all_told(serve: Any, tmp_path: Path, log: list[str]) -> None:
    path = tmp_path / "sock"
    server = await serve(f". {{\ndnstap listen {path}\n{HOSTS}}}")
    assert (await server.ask(dns.message.make_query("a.test.", "A"))).answer, "with nobody there"
    stranger = await asyncio.open_unix_connection(path)
    stranger[1].write(b"GET / HTTP/1.1\r\n\r\n")
    sinks: list[Ends] = [await asyncio.open_unix_connection(path) for _ in range(2)]
    for reader, writer in sinks:
        await greet(reader, writer)
    assert (await server.ask(dns.message.make_query("a.test.", "A"))).answer
    for reader, _ in sinks:
        assert [(await frame(reader)).message.type for _ in range(2)] == [5, 6]
    assert any("plugin/dnstap: Error creating encoder for dnstap client" in line for line in log)
    for _, writer in (stranger, *sinks):
        writer.close()


async def test_a_sink_that_does_not_read_is_let_go(serve: Any, tmp_path: Path) -> None:
    path = tmp_path / "sock"
    server = await serve(f'. {{\ndnstap listen {path} {{\nextra "{"x" * 60000}"\n}}\n{HOSTS}}}')
    slow, quick = [await asyncio.open_unix_connection(path) for _ in range(2)]
    await greet(*slow)
    await greet(*quick)
    count = 2 * SLOW // 60000
    for _ in range(count):
        assert (await server.ask(dns.message.make_query("a.test.", "A"))).answer
        assert [(await frame(quick[0])).message.type for _ in range(2)] == [5, 6]
    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        for _ in range(2 * count):
            await frame(slow[0])
    for _, writer in (slow, quick):
        writer.close()


async def test_an_address_that_is_taken_costs_the_taps_alone(serve: Any, log: list[str]) -> None:
    taken = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    server = await serve(f". {{\ndnstap listen tcp://127.0.0.1:{port}\n{HOSTS}}}")
    assert (await server.ask(dns.message.make_query("a.test.", "A"))).answer
    assert any(f"[ERROR] plugin/dnstap: Failed to start dnstap listener: 127.0.0.1:{port}: " in line for line in log)
    taken.close()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dnstap listen", "takes 2 to 3 arguments"),
        ("dnstap listen /sock full 2", "takes 2 to 3 arguments"),
        ("dnstap listen tls://127.0.0.1:1", "needs 'tls' with the files"),
        ("dnstap listen tcp://127.0.0.1:1 {\ntls cert key\n}", "does nothing for 'tcp://127.0.0.1:1'"),
        ("dnstap /sock {\ntls cert key\n}", "is for 'dnstap listen'"),
        ("dnstap listen tls://127.0.0.1:1 {\ntls cert key\n}", "certificate and key cannot be used"),
        ("dnstap tcp://:1", "is not a host and a port"),
    ],
)
async def test_listening_is_checked_at_its_words(text: str, message: str, serve: Any) -> None:
    with pytest.raises(CorefileError, match=message):
        await serve(f". {{\n{text}\nwhoami\n}}")
