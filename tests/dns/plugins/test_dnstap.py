"""Plugin dnstap: what a sink gets, read by a reader of its own (protobuf's, with dnstap.proto's fields)."""

from __future__ import annotations

import asyncio
import struct
from pathlib import Path
from typing import Any

import dns.message
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from seamark.dns.plugins.dnstap.message import ACCEPT, FINISH, READY, START, STOP, parse_control, render_control

HOSTS = "hosts /nonexistent {\n10.0.0.1 a.test\n}\n"
_F = descriptor_pb2.FieldDescriptorProto
FIELDS = {
    "Dnstap": "identity 1 BYTES, version 2 BYTES, extra 3 BYTES, message 14 .t.Message, type 15 UINT32",
    "Message": """type 1 UINT32, family 2 UINT32, protocol 3 UINT32, query_address 4 BYTES, response_address 5 BYTES,
        query_port 6 UINT32, response_port 7 UINT32, query_time_sec 8 UINT64, query_time_nsec 9 FIXED32,
        query_message 10 BYTES, response_time_sec 12 UINT64, response_time_nsec 13 FIXED32,
        response_message 14 BYTES""",
}


def _class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="t.proto", package="t", syntax="proto2")
    for name, fields in FIELDS.items():
        message = file.message_type.add(name=name)
        for field, number, kind in map(str.split, fields.split(",")):
            found = message.field.add(name=field, number=int(number), label=_F.LABEL_OPTIONAL)
            if kind.startswith("."):
                found.type, found.type_name = _F.TYPE_MESSAGE, kind
            else:
                found.type = getattr(_F, f"TYPE_{kind}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("t.Dnstap"))


DNSTAP = _class()


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
    options = 'identity me\nversion v7\nextra "by {/none}{/x}!"'
    server = await serve(f". {{\ndnstap {tmp_path}/sock full {{\n{options}\n}}\n{HOSTS}}}")
    query = dns.message.make_query("a.test.", "A")
    await server.ask(query, protocol="tcp", client="2001:db8::9")
    await until(sink, 2)
    asked, answered = sink.taps
    assert (asked.identity, asked.version, asked.extra, asked.type) == (b"me", b"v7", b"by !", 1)
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
