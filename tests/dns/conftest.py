"""A fake API server for the informers, and a DNS server in memory: Corefile text in, packets in, packets out."""

from __future__ import annotations

import asyncio
import json
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import dns.message
import pytest

from seamark.client.base import TransportError
from seamark.client.client import Client
from seamark.client.informer import INITIAL_END
from seamark.dns.corefile.parser import parse_corefile
from seamark.dns.host import Host
from seamark.dns.listener import Listener, Source
from seamark.dns.server.core import Core
from seamark.dns.server.instance import Instance, parse_server
from seamark.dns.server.loading import load_corefile
from seamark.dns.server.process import Process
from seamark.machinery.status import StatusError
from seamark.machinery.wire import Request, Response
from seamark.testing.clock import FakeClock, settle
from seamark.testing.dnsupstream import Script, ScriptedUpstream

Obj = dict[str, Any]


class FakeApi:
    """List and watch of whatever was put in; ``available`` False refuses everything, ``streaming`` False such lists."""

    def __init__(self) -> None:
        self.streaming = True
        self.objects: dict[str, dict[str, Obj]] = {}
        self.revision = 100
        self.available = True
        self.requests: list[Request] = []
        self.created: list[Obj] = []
        self._watches: list[tuple[str, asyncio.Queue[bytes]]] = []

    def put(self, resource: str, obj: Obj) -> None:
        self.revision += 1
        meta = obj["metadata"]
        key = f"{meta.get('namespace', '')}/{meta['name']}"
        known = key in self.objects.setdefault(resource, {})
        stamped = {**obj, "metadata": {"uid": key, **meta, "resourceVersion": str(self.revision)}}
        self.objects[resource][key] = stamped
        self._tell(resource, "MODIFIED" if known else "ADDED", stamped)

    def delete(self, resource: str, name: str, namespace: str = "default") -> None:
        self.revision += 1
        gone = self.objects[resource].pop(f"{namespace}/{name}")
        gone["metadata"]["resourceVersion"] = str(self.revision)
        self._tell(resource, "DELETED", gone)

    async def __call__(self, request: Request) -> Response:
        self.requests.append(request)
        if not self.available:
            raise TransportError("https://fake: refused")
        resource = request.path.rsplit("/", 1)[-1]
        if request.method == "POST":
            self.created.append(json.loads(request.body))
            return Response(201, request.body)
        if "/pods/" in request.path:
            return Response(200, json.dumps({"metadata": {"name": resource, "uid": "pod-uid"}}).encode())
        if request.flag("watch"):
            initial = request.flag("sendInitialEvents")
            if initial and not self.streaming:
                raise StatusError(422, "Invalid", "sendInitialEvents is forbidden for watch", details={})
            return Response(200, stream=self._stream(resource, initial=initial))
        items = list(self.objects.get(resource, {}).values())
        start, limit = int(request.param("continue") or 0), int(request.param("limit") or len(items))
        more = str(start + limit) if start + limit < len(items) else ""
        meta = {"resourceVersion": str(self.revision), "continue": more}
        body = {"kind": "List", "metadata": meta, "items": items[start : start + limit]}
        return Response(200, json.dumps(body).encode())

    async def close(self) -> None:
        self._watches.clear()

    async def _stream(self, resource: str, *, initial: bool) -> AsyncIterator[bytes]:
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        self._watches.append((resource, queue))
        if initial:
            for obj in self.objects.get(resource, {}).values():
                yield json.dumps({"type": "ADDED", "object": obj}).encode() + b"\n"
            meta = {"resourceVersion": str(self.revision), "annotations": {INITIAL_END: "true"}}
            yield json.dumps({"type": "BOOKMARK", "object": {"metadata": meta}}).encode() + b"\n"
        while True:
            yield await queue.get()

    def _tell(self, resource: str, kind: str, obj: Obj) -> None:
        line = json.dumps({"type": kind, "object": obj}).encode() + b"\n"
        for watched, queue in self._watches:
            if watched == resource:
                queue.put_nowait(line)


@dataclass
class Server:
    """One loaded Corefile without sockets."""

    instance: Instance
    core: Core
    clock: FakeClock
    log: list[str] = field(default_factory=list)

    async def ask(
        self, query: dns.message.Message, *, protocol: str = "udp", port: int = 53, client: str = "192.0.2.7"
    ) -> dns.message.Message:
        found = await self.core.answer(Listener(port), query.to_wire(), Source(client, 40212), protocol)
        assert found is not None
        return dns.message.from_wire(found)

    def plugin(self, name: str) -> Any:
        return next(handler for found, handler in self.instance.plugins() if found == name)


@pytest.fixture
def fake_api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture
def host(clock: FakeClock, fake_api: FakeApi, log: list[str]) -> Host:
    def fatal(message: str) -> None:
        log.append(message)

    return Host(
        clock=clock,
        environment={},
        random=random.Random(7),
        log=log.append,
        fatal=fatal,
        addresses=lambda: ("10.244.9.9",),
        connect=lambda config: Client(fake_api),
    )


@pytest.fixture
async def serve(host: Host, clock: FakeClock, log: list[str]) -> AsyncIterator[Callable[..., Any]]:
    """``await serve(corefile)`` -> a started Server; stopped at the end of the test."""
    running: list[Instance] = []

    async def start(text: str) -> Server:
        corefile = parse_corefile(text, file="Corefile", environment=host.environment)
        instance = Instance(parse_server(corefile), host)
        starting = asyncio.ensure_future(instance.start())
        await settle()
        if not starting.done():
            await clock.advance(5.0)
        await starting
        running.append(instance)
        return Server(instance, Core(host, lambda: instance), clock, log)

    yield start
    for instance in running:
        await instance.stop()


@pytest.fixture
async def upstream() -> AsyncIterator[Callable[..., Any]]:
    running: list[ScriptedUpstream] = []

    async def start(script: Script, tls: ssl.SSLContext | None = None) -> ScriptedUpstream:
        running.append(await ScriptedUpstream(script).start(tls))
        return running[-1]

    yield start
    for found in running:
        found.stop()
    await asyncio.sleep(0)


@pytest.fixture
async def running(host: Any, tmp_path: Path) -> AsyncIterator[Callable[[str], Awaitable[Process]]]:
    """``await running(corefile)``: a server with sockets of its own, until the test ends."""
    started: list[Process] = []

    async def start(text: str) -> Process:
        file = tmp_path / f"Corefile.{len(started)}"
        file.write_text(text)
        process = Process(host, partial(load_corefile, file, port=53, environment={}))
        await process.start()
        started.append(process)
        await settle()
        return process

    yield start
    for process in reversed(started):
        await process.kill()
