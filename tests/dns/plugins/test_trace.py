"""Plugin trace: the spans a collector on loopback gets."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import dns.message
import pytest

HOSTS = "hosts /nonexistent {\n10.0.0.1 a.test\n}\n"


class Collector:
    """Takes spans as Zipkin does."""

    def __init__(self) -> None:
        self.spans: list[dict[str, Any]] = []
        self.batches: list[int] = []
        self.paths: list[str] = []
        self._running: set[asyncio.Task[None]] = set()

    async def start(self) -> int:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = int(head.split("content-length: ")[1].split("\r\n")[0])
                spans = json.loads(await reader.readexactly(length))
                self.paths.append(head.split(" ")[1])
                self.batches.append(len(spans))
                self.spans += spans
                writer.write(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n")
        except (asyncio.IncompleteReadError, asyncio.CancelledError):
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
async def collector() -> Any:
    found = Collector()
    yield found, await found.start()
    await found.stop()


async def until(collector: Collector, count: int) -> None:
    for _ in range(200):
        if len(collector.spans) >= count:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"{len(collector.spans)} spans, not {count}")


async def test_a_query_is_a_trace_of_its_plugins(serve: Any, collector: Any) -> None:
    found, port = collector
    server = await serve(f". {{\nmetadata\ntrace 127.0.0.1:{port} {{\nservice dns\n}}\ncache\n{HOSTS}}}")
    await server.ask(dns.message.make_query("a.test.", "A"))
    await server.clock.advance(1)
    await until(found, 3)
    root, cache, hosts = found.spans
    assert [span["name"] for span in found.spans] == ["servedns", "cache", "hosts"]
    assert "parentId" not in root and cache["parentId"] == root["id"] and hosts["parentId"] == cache["id"]
    assert len({span["traceId"] for span in found.spans}) == 1 and len(root["traceId"]) == 32
    assert root["tags"]["coredns.io/name"] == "a.test." and root["tags"]["coredns.io/rcode"] == "NOERROR"
    assert root["kind"] == "SERVER" and root["localEndpoint"] == {"serviceName": "dns"}
    assert found.paths == ["/api/v2/spans"]


async def test_one_of_many_is_traced_and_batches_are_bounded(serve: Any, collector: Any) -> None:
    found, port = collector
    options = "every 2\nzipkin_max_batch_size 4"
    server = await serve(f". {{\ntrace zipkin http://127.0.0.1:{port}/else {{\n{options}\n}}\n{HOSTS}}}")
    for _ in range(10):
        await server.ask(dns.message.make_query("a.test.", "A"))
    await server.clock.advance(1)
    await until(found, 10)
    assert len(found.spans) == 10 and max(found.batches) == 4 and set(found.paths) == {"/else"}


async def test_a_collector_that_is_away_is_told_once_and_holds_nothing_up(serve: Any, log: list[str]) -> None:
    server = await serve(f". {{\ntrace 127.0.0.1:1\n{HOSTS}}}")
    for _ in range(3):
        assert (await server.ask(dns.message.make_query("a.test.", "A"))).answer
        await server.clock.advance(1)
        await asyncio.sleep(0.05)
    assert len([line for line in log if "spans cannot be sent" in line]) == 1
