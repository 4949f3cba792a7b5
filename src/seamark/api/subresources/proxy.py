"""pods, services and nodes ``/proxy/…``: any request to what runs there, and the answer with its links put right.

One connection per request, made on the node where the target is. Bodies of requests are whole, as everywhere in this
server; those of answers are streamed, but for HTML up to a size that a page may have.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import cast

from seamark.api.core import Call, Core
from seamark.api.proxying.exchange import Answer, Exchange, UpstreamError, passed_headers, render_request
from seamark.api.proxying.kubelet import answer_kubelet
from seamark.api.proxying.links import Place as LinkPlace
from seamark.api.proxying.links import rewrite_body, rewrite_url
from seamark.api.proxying.target import Place, find_place, parse_name
from seamark.api.streaming.channel import RawUpgrade
from seamark.machinery.status import StatusError
from seamark.machinery.streams import ByteStream
from seamark.machinery.wire import Request, Response

_PAGE_MAX = 8 << 20  # HTML beyond that goes through with its links as they are


async def proxy(core: Core, call: Call) -> Response:
    request = call.request
    prefix, path = split_path(call)
    if not path and request.method in ("GET", "HEAD"):
        query = f"?{request.raw_query}" if request.raw_query else ""
        return Response(301, headers={"location": f"{prefix}/{query}"})
    place = await find_place(core, call)
    if not place.host:
        return await _ask_kubelet(core, call, place, path)
    exchange, answer = await _begin(request, place, prefix=prefix, path=path, upgrade=False)
    hosts = frozenset((f"{place.host}:{place.port}", place.host, request.headers.get("host", "")))
    return await _respond(request, exchange, answer, LinkPlace(prefix, hosts))


async def open_proxy(core: Core, call: Call) -> Response | RawUpgrade | None:
    """An upgrade that the target takes is passed on byte by byte, whatever the protocol; else its answer is."""
    prefix, path = split_path(call)
    place = await find_place(core, call)
    if not place.host:
        return None
    exchange, answer = await _begin(call.request, place, prefix=prefix, path=path, upgrade=True)
    if not answer.upgraded:
        hosts = frozenset((f"{place.host}:{place.port}", place.host, call.request.headers.get("host", "")))
        return await _respond(call.request, exchange, answer, LinkPlace(prefix, hosts))

    async def run(channel: ByteStream) -> None:
        try:
            if exchange.early:
                await channel.write(exchange.early)
            await join_until_either_ends(channel, exchange.stream)
        except OSError:
            pass
        finally:
            await exchange.close()

    return RawUpgrade(answer.headers, run)


async def join_until_either_ends(client: ByteStream, server: ByteStream) -> None:
    """A protocol that was upgraded to has no half-closed state that would survive TLS: the first end is the end."""
    pumps = [asyncio.create_task(_pump(client, server)), asyncio.create_task(_pump(server, client))]
    try:
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)


async def _pump(source: ByteStream, target: ByteStream) -> None:
    while data := await source.read():
        await target.write(data)


def split_path(call: Call) -> tuple[str, str]:
    """The path up to ``/proxy``, and what follows, both as they stand in the request."""
    segments = 8 if call.target.gvr.namespaced else 6
    parts = call.request.path.split("/", segments)
    return "/".join(parts[:segments]), f"/{parts[segments]}" if len(parts) > segments else ""


async def _ask_kubelet(core: Core, call: Call, place: Place, path: str) -> Response:
    spoken = parse_name(call.target.name)
    if place.node is None or spoken is None:
        raise StatusError(503, "ServiceUnavailable", f'node "{call.target.name}" is not connected to this API server')
    return await answer_kubelet(core, call.request, node=spoken.name, streams=place.node, path=path)


async def _begin(request: Request, place: Place, *, prefix: str, path: str, upgrade: bool) -> tuple[Exchange, Answer]:
    """Raises 503 where nobody answers."""
    target = (path or "/") + (f"?{request.raw_query}" if request.raw_query else "")
    head = render_request(request, target, forwarded_uri=prefix + path, upgrade=upgrade)
    assert place.node is not None
    where = f"[{place.host}]:{place.port}" if ":" in place.host else f"{place.host}:{place.port}"
    try:
        stream = await place.node.dial(place.host, place.port, tls=place.tls)
    except OSError as error:
        why = os.strerror(error.errno).lower() if error.errno else str(error)
        raise _unreachable(f"dial tcp {where}: connect: {why}") from error
    exchange = Exchange(stream)
    try:
        return exchange, await exchange.start(request.method, head, request.body)
    except (UpstreamError, OSError) as error:
        await exchange.close()
        raise _unreachable(str(error)) from error
    except BaseException:
        await exchange.close()
        raise


def _unreachable(why: str) -> StatusError:
    return StatusError(503, "ServiceUnavailable", f"error trying to reach service: {why}")


async def _respond(request: Request, exchange: Exchange, answer: Answer, links: LinkPlace) -> Response:
    headers = passed_headers(answer.headers)
    response = Response(answer.status, headers=headers, cookies=tuple(answer.cookies), patient=True)
    if "location" in headers:
        headers["location"] = rewrite_url(headers["location"], links)
    if exchange.is_complete and not exchange.has_data:
        await exchange.close()
        if request.method != "HEAD" and answer.status not in (204, 304):
            headers["content-length"] = "0"
        return response
    body = exchange.body()
    if headers.get("content-type", "").partition(";")[0].strip().lower() == "text/html":
        return await _respond_page(response, body, links)
    response.stream = body
    return response


async def _respond_page(response: Response, body: AsyncIterator[bytes], links: LinkPlace) -> Response:
    parts: list[bytes] = []
    async for part in body:
        parts.append(part)
        if sum(map(len, parts)) > _PAGE_MAX:
            response.stream = _chain(parts, body)
            return response
    response.body = rewrite_body(b"".join(parts), response.headers.get("content-encoding", ""), links)
    response.headers["content-length"] = str(len(response.body))
    return response


async def _chain(parts: list[bytes], rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async with aclosing(cast(AsyncGenerator[bytes, None], rest)):
        for part in parts:
            yield part
        async for part in rest:
            yield part
