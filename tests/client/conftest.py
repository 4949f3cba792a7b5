"""A scripted API server: each request is checked against the script and answered from it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
import uvloop

from seamark.client.base import TransportError
from seamark.client.client import Client
from seamark.machinery.wire import Request, Response

Obj = dict[str, Any]


def pod(name: str, revision: int, *, uid: str = "", namespace: str = "default", **meta: Any) -> Obj:
    found = {
        "name": name,
        "namespace": namespace,
        "uid": uid or f"uid-{name}",
        "resourceVersion": str(revision),
        **meta,
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": found, "spec": {}, "status": {}}


class Wire:
    """One open watch: ``send`` events, then ``end`` it or ``snap`` the connection."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.closed = False
        self._chunks: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()

    def send(self, type: str, obj: Obj) -> None:
        self._chunks.put_nowait(msgspec.json.encode({"type": type, "object": obj}) + b"\n")

    def send_bytes(self, data: bytes) -> None:
        self._chunks.put_nowait(data)

    def end(self) -> None:
        self._chunks.put_nowait(None)

    def snap(self) -> None:
        self._chunks.put_nowait(TransportError("connection reset"))

    async def stream(self) -> AsyncIterator[bytes]:
        try:
            while (chunk := await self._chunks.get()) is not None:
                if isinstance(chunk, Exception):
                    raise chunk
                yield chunk
        finally:
            self.closed = True


class ScriptedServer:
    """Answers GETs in the order given, and waits where nothing is given yet."""

    def __init__(self) -> None:
        self._answers: asyncio.Queue[Obj | Exception | Response] = asyncio.Queue()
        self.requests: list[Request] = []
        self.watches: list[Wire] = []

    def answer(self, answer: Obj | Exception | Response) -> None:
        self._answers.put_nowait(answer)

    def list(self, revision: int, *items: Obj) -> None:
        self.answer({"kind": "PodList", "metadata": {"resourceVersion": str(revision)}, "items": items})

    async def __call__(self, request: Request) -> Response:
        self.requests.append(request)
        if request.flag("watch"):
            self.watches.append(Wire(request))
            return Response(200, stream=self.watches[-1].stream())
        answer = await self._answers.get()
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Response) else Response(200, msgspec.json.encode(answer))

    async def close(self) -> None: ...


@pytest.fixture
def server() -> ScriptedServer:
    return ScriptedServer()


@pytest.fixture
def scripted(server: ScriptedServer) -> Client:
    return Client(server)


@pytest.fixture
def make_pod() -> Any:
    return pod


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """What touches sockets must hold on both loops; the rest needs one."""
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    if item.path.name in ("test_http.py", "test_http_api.py"):
        factories["uvloop"] = uvloop.new_event_loop
    return factories
