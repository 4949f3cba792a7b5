"""Plugin trace: the spans a collector on loopback gets."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import dns.message
import httpx2
import msgspec
import pytest
import trustme

from seamark.dns.corefile.lexer import CorefileError
from seamark.dns.plugins.trace.b3 import Carried, parse_b3
from seamark.dns.server.loading import load_corefile
from seamark.dns.server.process import Process
from seamark.testing.ports import free_port

HOSTS = "hosts /nonexistent {\n10.0.0.1 a.test\n}\n"


class Collector:
    """Takes spans as Zipkin does, and traces as Datadog's agent does. ``answer`` says how a path is answered."""

    def __init__(self) -> None:
        self.spans: list[dict[str, Any]] = []
        self.batches: list[int] = []
        self.paths: list[str] = []
        self.heads: list[str] = []
        self.answer: Callable[[str], bytes] = lambda path: b"202 Accepted\r\ncontent-length: 0\r\n\r\n"
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
                self._read(head, await reader.readexactly(length))
                writer.write(b"HTTP/1.1 " + self.answer(self.paths[-1]))
        except (asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    def _read(self, head: str, body: bytes) -> None:
        self.paths.append(head.split(" ")[1])
        self.heads.append(head)
        is_packed = "content-type: application/msgpack" in head
        found = msgspec.msgpack.decode(body) if is_packed else json.loads(body)
        self.batches.append(len(found))
        self.spans += [span for trace in found for span in trace] if is_packed else found

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
    assert len({span["traceId"] for span in found.spans}) == 1 and root["traceId"] == root["id"]
    assert root["tags"]["coredns.io/name"] == "a.test." and root["tags"]["coredns.io/rcode"] == "NOERROR"
    assert root["kind"] == "SERVER" and root["localEndpoint"] == {"serviceName": "dns"}
    assert {span["localEndpoint"]["serviceName"] for span in found.spans} == {"dns"}
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
    assert len([line for line in log if "plugin/trace: failed to send the request: " in line]) == 1


OK = b"200 OK\r\ncontent-length: %d\r\n\r\n%s"


def telling(**rates: float) -> Callable[[str], bytes]:
    body = json.dumps({"rate_by_service": {f"service:{name},env:": rate for name, rate in rates.items()}}).encode()
    return lambda path: OK % (len(body), body)


async def test_datadogs_agent_gets_traces(serve: Any, collector: Any, log: list[str]) -> None:
    found, port = collector
    found.answer = telling(dns=1.0)
    options = "service dns\ndatadog_analytics_rate 0.5"
    rest = 'log . "{/trace/traceid}"\n' + HOSTS
    server = await serve(f". {{\nmetadata\ntrace datadog 127.0.0.1:{port} {{\n{options}\n}}\n{rest}}}")
    await server.ask(dns.message.make_query("a.test.", "A"))
    await server.clock.advance(2)
    await until(found, 3)
    root, logging, hosts = found.spans
    assert (root["name"], root["service"], root["resource"], root["error"]) == ("servedns", "dns", "servedns", 0)
    assert root["start"] == int(server.clock.time() - 2) * 10**9 and root["duration"] > 0
    assert root["trace_id"] == root["span_id"] == logging["parent_id"] and root["parent_id"] == 0
    assert hosts["parent_id"] == logging["span_id"] and hosts["trace_id"] == root["trace_id"]
    told = {name: root["meta"][f"coredns.io@{name}"] for name in ("name", "type", "rcode", "proto", "remote")}
    assert list(told.values()) == ["a.test.", "A", "NOERROR", "udp", "192.0.2.7"]
    assert root["metrics"] == {
        "_dd.top_level": 1.0,
        "_sampling_priority_v1": 1.0,
        "_dd.agent_psr": 1.0,
        "_dd1.sr.eausr": 0.5,
    }
    assert found.paths == ["/v0.4/traces"] and "x-datadog-trace-count: 1\r\n" in found.heads[0]
    whole = f"{root['meta']['_dd.p.tid']}{root['trace_id']:016x}"
    assert f"[INFO] {whole}" in log and len(whole) == 32


async def test_an_old_agent_is_spoken_to_as_it_wants(serve: Any, collector: Any) -> None:
    found, port = collector
    found.answer = lambda path: b"404 Not Found\r\ncontent-length: 0\r\n\r\n" if "0.4" in path else OK % (2, b"OK")
    server = await serve(f". {{\ntrace datadog 127.0.0.1:{port}\n{HOSTS}}}")
    for _ in range(2):
        await server.ask(dns.message.make_query("a.test.", "A"))
        count = len(found.spans)
        await server.clock.advance(2)
        await until(found, count + 2)
    await until(found, 6)
    assert found.paths == ["/v0.4/traces", "/v0.3/traces", "/v0.3/traces"]


async def test_the_agent_says_what_share_it_wants(serve: Any, collector: Any) -> None:
    found, port = collector
    found.answer = telling(coredns=0.0)
    server = await serve(f". {{\ntrace datadog 127.0.0.1:{port}\nerrors\nforward . 127.0.0.1:1\n}}")
    for count in (3, 6):
        asking = asyncio.ensure_future(server.ask(dns.message.make_query("a.test.", "A")))
        while not asking.done():
            await server.clock.advance(1)
            await asyncio.sleep(0)
        await server.clock.advance(2)
        await until(found, count)
    first, second = (span for span in found.spans if span["name"] == "servedns")
    assert [span["metrics"]["_sampling_priority_v1"] for span in (first, second)] == [1.0, 0.0]
    assert first["error"] == 1 and first["meta"]["error.type"] == "dns_error"
    assert "connection refused" in first["meta"]["error.message"]


async def test_a_failure_is_told(serve: Any, collector: Any) -> None:
    found, port = collector
    server = await serve(f". {{\ntrace 127.0.0.1:{port}\n{HOSTS}}}")
    await server.ask(dns.message.make_query("b.test.", "A"))
    await server.clock.advance(1)
    await until(found, 2)
    root = found.spans[0]
    assert root["tags"]["error"] == "true" and root["tags"]["coredns.io/rcode"] == "SERVFAIL"
    assert [note["value"] for note in root["annotations"]] == [
        "event:error",
        "error.object:plugin/hosts: no entry for b.test. and no fallthrough",
    ]


TRACE, SPAN, PARENT = "80f198ee56343ba864fe8b2a57d3eff7", "e457b5a2e4d86bd1", "05e3ac9a4f6e3b90"
SEVERAL = {"x-b3-traceid": TRACE.upper(), "x-b3-spanid": SPAN, "x-b3-parentspanid": PARENT}


@pytest.mark.parametrize(
    ("headers", "carried"),
    [
        ({}, Carried()),
        (SEVERAL, Carried(TRACE, SPAN, PARENT)),
        (SEVERAL | {"x-b3-sampled": "0"}, Carried(TRACE, SPAN, PARENT, sampled=False)),
        (SEVERAL | {"x-b3-flags": "1"}, Carried(TRACE, SPAN, PARENT, sampled=True, debug=True)),
        (SEVERAL | {"x-b3-spanid": "short"}, Carried()),
        ({"x-b3-sampled": "1"}, Carried(sampled=True)),
        ({"b3": f"{TRACE}-{SPAN}"}, Carried(TRACE, SPAN)),
        ({"b3": f"{TRACE[16:]}-{SPAN}-1-{PARENT}"}, Carried(TRACE[16:], SPAN, PARENT, sampled=True)),
        ({"b3": f"{TRACE}-{SPAN}-d"}, Carried(TRACE, SPAN, sampled=True, debug=True)),
        ({"b3": "0"}, Carried(sampled=False)),
        ({"b3": "garbage"} | SEVERAL, Carried(TRACE, SPAN, PARENT)),
        ({"b3": f"{TRACE}-{SPAN}-maybe"}, Carried()),
    ],
)
def test_clients_tell_of_their_spans(headers: dict[str, str], carried: Carried) -> None:
    assert parse_b3(headers) == carried


@pytest.mark.parametrize("http2", [True, False])
@pytest.mark.parametrize("shared", [True, False])
async def test_a_span_of_a_client_over_https_is_gone_on_with(
    shared: bool, http2: bool, host: Any, collector: Any, tmp_path: Path
) -> None:
    found, port = collector
    own, file = free_port(), tmp_path / "Corefile"
    options = "client_server" if shared else ""
    authority, client_tls = trustme.CA(), ssl.create_default_context()
    authority.configure_trust(client_tls)
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "pem")
    tracing = f"trace 127.0.0.1:{port} {{\n{options}\nzipkin_max_batch_size 1\n}}\n"
    words = f"root {tmp_path}\ntls pem pem\nbind 127.0.0.1\n{tracing}{HOSTS}"
    file.write_text(f"https://.:{own} {{\n{words}}}\n")
    process = Process(host, partial(load_corefile, file, port=53, environment={}))
    await process.start()
    try:
        async with httpx2.AsyncClient(http1=not http2, http2=http2, verify=client_tls) as client:
            for sampled in ("0", "1"):
                answer = await client.post(
                    f"https://127.0.0.1:{own}/dns-query",
                    content=dns.message.make_query("a.test.", "A").to_wire(),
                    headers=SEVERAL | {"x-b3-sampled": sampled},
                )
                assert dns.message.from_wire(answer.content).answer
        await until(found, 2)
    finally:
        await process.kill()
    root, hosts = found.spans
    assert root["traceId"] == hosts["traceId"] == TRACE and hosts["parentId"] == root["id"]
    if shared:
        assert (root["id"], root["parentId"], root["shared"]) == (SPAN, PARENT, True)
    else:
        assert root["id"] != SPAN and root["parentId"] == SPAN and "shared" not in root
    assert root["localEndpoint"] == {"serviceName": "coredns", "ipv4": "127.0.0.1", "port": own}
    assert root["tags"]["coredns.io/proto"] == "tcp"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trace jaeger host:1", "'jaeger' is not supported"),
        ("trace datadog http://host:1", "is not an address such as localhost:8126"),
        ("trace datadog {\nzipkin_max_batch_size 1\n}", "is for 'zipkin'"),
        ("trace {\ndatadog_analytics_rate 1\n}", "is for 'datadog'"),
        ("trace datadog {\ndatadog_analytics_rate 1.5\n}", "must be between 0 and 1"),
        ("trace {\nclient_server maybe\n}", "neither true nor false"),
    ],
)
async def test_what_does_not_fit_is_told_at_its_word(text: str, message: str, serve: Any) -> None:
    with pytest.raises(CorefileError, match=message):
        await serve(f". {{\n{text}\nwhoami\n}}")


async def test_no_query_is_traced_where_none_is_wanted(serve: Any, collector: Any) -> None:
    found, port = collector
    server = await serve(f". {{\ntrace 127.0.0.1:{port} {{\nevery 0\nclient_server false\n}}\n{HOSTS}}}")
    assert (await server.ask(dns.message.make_query("a.test.", "A"))).answer
    await server.clock.advance(2)
    assert not found.spans
