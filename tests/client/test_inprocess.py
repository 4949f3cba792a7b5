"""The in-process transport hands requests over untouched and ends when closed."""

from __future__ import annotations

import pytest

from seamark.client.base import TransportError
from seamark.client.client import Client
from seamark.client.inprocess import InProcessTransport
from seamark.machinery.gvr import PODS
from seamark.machinery.wire import Identity, Request, Response


async def test_request_arrives_as_sent_and_close_ends_it() -> None:
    seen: list[Request] = []

    async def handler(request: Request) -> Response:
        seen.append(request)
        return Response(200, b'{"kind":"Pod","metadata":{"name":"a"}}')

    who = Identity("system:node:n1", ("system:nodes",))
    client = Client(InProcessTransport(handler), identity=who)
    assert (await client.get(PODS, "a", namespace="default"))["kind"] == "Pod"
    assert (seen[0].method, seen[0].path, seen[0].identity) == ("GET", "/api/v1/namespaces/default/pods/a", who)
    await client.close()
    with pytest.raises(TransportError, match="shut down"):
        await client.get(PODS, "a", namespace="default")
