"""Client, informer and transport against the API server itself, over TLS, on loopback."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
import trustme

from seamark.api.app import Api
from seamark.api.authn import Authenticator
from seamark.api.server import serve_api
from seamark.client.client import Client
from seamark.client.http import Credentials, HttpTransport
from seamark.client.informer import Informer
from seamark.linux.clock import SystemClock
from seamark.machinery.gvr import CONFIGMAPS
from seamark.machinery.status import StatusError
from seamark.model.meta import Object, ObjectKey


@dataclass
class Server:
    url: str
    ca: bytes
    admin: Credentials
    stack: AsyncExitStack

    def client(self, credentials: Credentials | None = None) -> Client:
        transport = HttpTransport(self.url, ca=self.ca, credentials=credentials or self.admin, timeout=10)
        self.stack.push_async_callback(transport.close)
        return Client(transport)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def serving(api: Api, authority: trustme.CA) -> AsyncIterator[Server]:
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.configure_trust(tls)
    tls.verify_mode = ssl.CERT_OPTIONAL
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.setblocking(False)
    issued = authority.issue_cert(common_name="admin", organization_name="system:masters")
    who = Credentials(certificate=issued.cert_chain_pems[0].bytes(), key=issued.private_key_pem.bytes())
    async with AsyncExitStack() as stack:
        server = await serve_api(api, sockets=[listener], tls=tls, authenticate=Authenticator(api.core))
        stack.push_async_callback(server.close)
        yield Server(f"https://127.0.0.1:{listener.getsockname()[1]}", authority.cert_pem.bytes(), who, stack)


def configmap(name: str, size: int = 1) -> dict[str, object]:
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"x": "y" * size}}


async def test_objects_go_there_and_back(serving: Server) -> None:
    client = serving.client()
    await client.create(CONFIGMAPS, configmap("a", 200_000))
    found = await client.get(CONFIGMAPS, "a", namespace="default")
    assert found["data"] == {"x": "y" * 200_000}
    await client.patch(CONFIGMAPS, "a", {"data": {"x": "z"}}, namespace="default")
    assert (await client.list(CONFIGMAPS, namespace="default"))[0]["data"] == {"x": "z"}
    await client.delete(CONFIGMAPS, "a", namespace="default")
    with pytest.raises(StatusError, match='configmaps "a" not found'):
        await client.get(CONFIGMAPS, "a", namespace="default")


async def test_many_requests_at_once(serving: Server) -> None:
    client = serving.client()
    await asyncio.gather(*(client.create(CONFIGMAPS, configmap(f"c{n}")) for n in range(100)))
    assert len(await client.list(CONFIGMAPS, namespace="default")) == 100


async def test_bad_token_is_refused_by_name(serving: Server) -> None:
    with pytest.raises(StatusError, match="Unauthorized") as refused:
        await serving.client(Credentials(token="nobody")).list(CONFIGMAPS)
    assert refused.value.code == 401


async def test_informer_follows_over_the_wire(serving: Server) -> None:
    informer: Informer[Object] = Informer(
        serving.client(), CONFIGMAPS, Object, clock=SystemClock(), namespace="default"
    )
    seen: asyncio.Queue[str] = asyncio.Queue()
    informer.on_change(lambda old, new, at: seen.put_nowait(f"{'+' if new else '-'}{(new or old).metadata.name}"))  # type: ignore[union-attr]
    task = asyncio.create_task(informer.run())
    client = serving.client()
    async with asyncio.timeout(10):
        await informer.wait_synced()
        await client.create(CONFIGMAPS, configmap("a"))
        assert await seen.get() == "+a"
        await client.delete(CONFIGMAPS, "a", namespace="default")
        assert await seen.get() == "-a"
    assert informer.get(ObjectKey("default", "a")) is None
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
