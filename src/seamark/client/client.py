"""The REST client: verbs of the Kubernetes API over any transport.

Objects go in and come out as plain dicts; ``get_as`` and the informer decode straight into projections. Every
failure of the API is a StatusError, every failure to reach it a TransportError.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Literal, TypeVar
from urllib.parse import quote

import msgspec

from seamark.client.base import Transport, TransportError
from seamark.machinery.gvr import GVR
from seamark.machinery.status import StatusError
from seamark.machinery.wire import Identity, Request, Response
from seamark.model import codec

T = TypeVar("T")
Obj = dict[str, Any]
Query = Mapping[str, str | int | bool | None]

PatchType = Literal["merge", "strategic", "json"]
WRITES = ("POST", "PUT", "PATCH")
PATCH_TYPES: dict[PatchType, str] = {
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "json": "application/json-patch+json",
}


class WatchEvent(msgspec.Struct, frozen=True):
    """One line of a watch: type is ADDED, MODIFIED, DELETED, BOOKMARK or ERROR; the object is still bytes.

    ``committed`` is told by Seamark alone, to watches with ``commitTimes``: Unix seconds, 0.0 = not told.
    """

    type: str
    object: msgspec.Raw
    committed: float = 0.0


_EVENTS = msgspec.json.Decoder(WatchEvent)


class Client:
    """``identity`` is who asks where the transport is in-process; over HTTP the transport's credentials say so."""

    def __init__(self, transport: Transport, *, agent: str = "seamark", identity: Identity | None = None) -> None:
        self._transport = transport
        self._headers = {"accept": "application/json", "user-agent": agent}
        self._identity = identity

    async def get(self, gvr: GVR, name: str, *, namespace: str = "", subresource: str = "") -> Obj:
        path = gvr.path(namespace=namespace, name=name, subresource=subresource)
        return _object(await self._send("GET", path))

    async def get_as(self, kind: type[T], gvr: GVR, name: str, *, namespace: str = "") -> T:
        response = await self._send("GET", gvr.path(namespace=namespace, name=name))
        return codec.decode(response.body, kind)

    async def get_path(self, path: str) -> Obj:
        """What is no object of a collection: discovery, for one."""
        return _object(await self._send("GET", path))

    async def list_raw(self, gvr: GVR, *, namespace: str = "", query: Query | None = None) -> bytes:
        """The List as the server wrote it; follow ``metadata.continue`` yourself when you set a limit."""
        return (await self._send("GET", gvr.path(namespace=namespace), query=query)).body

    async def list(self, gvr: GVR, *, namespace: str = "", query: Query | None = None) -> list[Obj]:
        found = msgspec.json.decode(await self.list_raw(gvr, namespace=namespace, query=query))
        return list(found.get("items") or [])

    async def watch(self, gvr: GVR, *, namespace: str = "", query: Query | None = None) -> AsyncIterator[WatchEvent]:
        """Events as they come, until the server ends the stream. An ERROR event is given, not raised."""
        asked = {"watch": True, "allowWatchBookmarks": True, **(query or {})}
        response = await self._send("GET", gvr.path(namespace=namespace), query=asked)
        if response.stream is None:
            raise TransportError(f"GET {gvr.path(namespace=namespace)}: the server answered no watch stream")
        async for line in _lines(response.stream):
            yield _EVENTS.decode(line)

    async def create(self, gvr: GVR, obj: Obj, *, namespace: str = "", name: str = "", subresource: str = "") -> Obj:
        namespace = namespace or (obj.get("metadata") or {}).get("namespace", "")
        path = gvr.path(namespace=namespace, name=name, subresource=subresource)
        return _object(await self._send("POST", path, body=msgspec.json.encode(obj)))

    async def update(self, gvr: GVR, obj: Obj, *, subresource: str = "") -> Obj:
        meta = obj["metadata"]
        path = gvr.path(namespace=meta.get("namespace", ""), name=meta["name"], subresource=subresource)
        return _object(await self._send("PUT", path, body=msgspec.json.encode(obj)))

    async def update_status(self, gvr: GVR, obj: Obj) -> Obj:
        return await self.update(gvr, obj, subresource="status")

    async def patch(
        self,
        gvr: GVR,
        name: str,
        patch: Any,
        *,
        namespace: str = "",
        subresource: str = "",
        type: PatchType = "merge",
    ) -> Obj:
        path = gvr.path(namespace=namespace, name=name, subresource=subresource)
        headers = {"content-type": PATCH_TYPES[type]}
        return _object(await self._send("PATCH", path, body=msgspec.json.encode(patch), headers=headers))

    async def delete(self, gvr: GVR, name: str, *, namespace: str = "", options: Obj | None = None) -> Obj:
        """``options`` is a metav1.DeleteOptions: propagationPolicy, gracePeriodSeconds, preconditions."""
        body = msgspec.json.encode(options) if options else b""
        return _object(await self._send("DELETE", gvr.path(namespace=namespace, name=name), body=body))

    async def close(self) -> None:
        await self._transport.close()

    async def _send(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        if method in WRITES:
            query = {"fieldValidation": "Ignore", **(query or {})}  # nobody here would read the warnings
        sent = {**self._headers, **({"content-type": "application/json"} if body else {}), **(headers or {})}
        request = Request(method, quote(path), _query(query), sent, body, self._identity)
        response = await self._transport(request)
        if not response.ok:
            raise await _failure(response)
        return response


def _query(query: Query | None) -> tuple[tuple[str, str], ...]:
    return tuple((k, _text(v)) for k, v in (query or {}).items() if v is not None)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _object(response: Response) -> Obj:
    found = msgspec.json.decode(response.body)
    if not isinstance(found, dict):
        raise TransportError("the server answered something that is not a JSON object")
    return found


async def _failure(response: Response) -> StatusError:
    body = response.body
    if response.stream is not None:
        body = b"".join([chunk async for chunk in response.stream])
    try:
        return StatusError.from_dict(msgspec.json.decode(body), response.status)
    except (msgspec.DecodeError, AttributeError):
        return StatusError(response.status, "", body.decode("utf-8", "replace").strip() or f"HTTP {response.status}")


async def _lines(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    rest = b""
    try:
        async for chunk in stream:
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                if line.strip():
                    yield line
    finally:
        close = getattr(stream, "aclose", None)
        if close is not None:
            await close()
