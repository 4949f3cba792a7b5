"""pods/NAME/log: what a container wrote, as it is on its node; with ``follow`` until it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from seamark.api.containers import find_node, find_pod, select_container
from seamark.api.core import Call, Core
from seamark.api.respond import close_stream
from seamark.api.streaming.command import run_beside
from seamark.api.subresources.exec import select_subprotocol
from seamark.api.websocket import Duplex, Upgrade, wants_websocket
from seamark.machinery.clock import parse_time
from seamark.machinery.fielderrors import forbidden
from seamark.machinery.fielderrors import invalid as invalid_cause
from seamark.machinery.status import Cause, invalid
from seamark.machinery.streams import LogRequest, NodeStreams
from seamark.machinery.wire import Request, Response

_FIRST_WAIT = 0.25  # real seconds for a node to refuse before the answer begins


async def log(core: Core, call: Call) -> Response:
    pod = await find_pod(core, call)
    request = parse_log_request(call, container=select_container(pod, call.request.param("container")))
    if not (pod.get("spec") or {}).get("nodeName"):
        return Response(204)
    return await respond_log(find_node(core, pod), request)


async def open_log(core: Core, call: Call) -> Response | Upgrade | None:
    """The same over a WebSocket, a message a chunk; the end of the log closes it."""
    if not wants_websocket(call.request):
        return None
    response = await log(core, call)
    lines = response.stream
    if lines is None:
        return response
    chosen = select_subprotocol(call.request, ("binary.k8s.io",))

    async def run(socket: Duplex) -> None:
        async def send() -> dict[str, Any]:
            async for chunk in lines:
                await socket.send(chunk)
            return {}

        try:
            if await run_beside(_drain(socket), send()) is not None:
                await socket.close()
        finally:
            await close_stream(lines)

    return Upgrade(chosen, run)


async def _drain(socket: Duplex) -> None:
    while await socket.receive() is not None:
        pass


async def respond_log(node: NodeStreams, request: LogRequest) -> Response:
    lines = node.logs(request)
    first = asyncio.ensure_future(anext(lines, None))
    await asyncio.wait({first}, timeout=_FIRST_WAIT)
    if first.done() and first.exception() is not None:
        await first  # raises what the node says: it becomes a Status, since nothing is sent yet
    headers = {"content-type": "text/plain", "cache-control": "no-cache, private"}
    return Response(200, headers=headers, stream=_stream(first, lines), patient=True)


async def _stream(first: asyncio.Future[bytes | None], lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    try:
        chunk = await first
        while chunk is not None:
            yield chunk
            chunk = await anext(lines, None)
    finally:
        first.cancel()
        await close_stream(lines)


def parse_log_request(call: Call, *, container: str) -> LogRequest:
    """PodLogOptions of the query. Raises 422 for values they may not have."""
    request, causes = call.request, list[Cause]()
    since_time = request.param("sinceTime")
    if since_time:
        try:
            parse_time(since_time)
        except ValueError:
            causes.append(invalid_cause("sinceTime", since_time, "must be an RFC 3339 time"))
        if request.param("sinceSeconds"):
            causes.append(forbidden("sinceSeconds", "at most one of `sinceTime` or `sinceSeconds` may be specified"))
    tail = _number(request, "tailLines", 0, causes)
    since = _number(request, "sinceSeconds", 1, causes)
    limit = _number(request, "limitBytes", 1, causes)
    if causes:
        raise invalid("PodLogOptions", call.target.name, causes)
    return LogRequest(
        call.target.namespace,
        call.target.name,
        container,
        follow=request.flag("follow"),
        previous=request.flag("previous"),
        timestamps=request.flag("timestamps"),
        tail_lines=tail,
        since_seconds=since,
        since_time=since_time,
        limit_bytes=limit or 0,
    )


def _number(request: Request, name: str, least: int, causes: list[Cause]) -> int | None:
    text = request.param(name)
    if not text:
        return None
    try:
        value = int(text)
    except ValueError:
        causes.append(invalid_cause(name, text, "must be a whole number"))
        return None
    if value < least:
        detail = "must be greater than or equal to 0" if least == 0 else "must be greater than 0"
        causes.append(invalid_cause(name, value, detail))
    return value
