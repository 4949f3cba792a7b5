"""Seamark's own HTTP client against Seamark's own server over TLS: what "attached" stands on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import trustme

from seamark.api.server import server_tls
from seamark.client.client import Client
from seamark.client.http import Credentials, HttpTransport
from seamark.machinery.gvr import CONFIGMAPS, NODES
from seamark.machinery.status import StatusError


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def url(serve: Any, authority: trustme.CA, tmp_path: Path) -> str:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    pem = tmp_path / "server.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(pem)
    server, _ = await serve(tls=server_tls(certificate=pem, key=pem, client_ca=tmp_path / "ca.pem"))
    host, port = server.addresses[0]
    return f"https://{host}:{port}"


@pytest.fixture(params=["token", "certificate"])
async def remote(request: pytest.FixtureRequest, url: str, authority: trustme.CA) -> AsyncIterator[Client]:
    leaf = authority.issue_cert(common_name="admin", organization_name="system:masters")
    chain = b"".join(pem.bytes() for pem in leaf.cert_chain_pems)
    credentials = {
        "token": Credentials(token="the-administrators-token"),
        "certificate": Credentials(certificate=chain, key=leaf.private_key_pem.bytes()),
    }[request.param]
    made = Client(HttpTransport(url, ca=authority.cert_pem.bytes(), credentials=credentials))
    yield made
    await made.close()


async def test_what_goes_in_comes_out_as_in_process(remote: Client, client: Client) -> None:
    made = await remote.create(CONFIGMAPS, {"metadata": {"name": "a", "namespace": "default"}, "data": {"k": "é"}})
    assert await client.get(CONFIGMAPS, "a", namespace="default") == made
    assert await remote.list(CONFIGMAPS, namespace="default") == [made]
    with pytest.raises(StatusError, match='nodes "nosuch" not found') as error:
        await remote.get(NODES, "nosuch")
    assert error.value.reason == "NotFound"


async def test_a_watch_over_the_wire(remote: Client, client: Client) -> None:
    seen = []
    async with asyncio.timeout(5), aclosing(remote.watch(CONFIGMAPS, namespace="default")) as stream:
        async for event in stream:
            meta = json.loads(bytes(event.object))["metadata"]
            seen.append((event.type, meta.get("name", "")))
            if event.type == "BOOKMARK":
                await client.create(CONFIGMAPS, {"metadata": {"name": "b", "namespace": "default"}})
            elif event.type == "ADDED":
                await client.delete(CONFIGMAPS, "b", namespace="default")
            else:
                break
    assert seen == [("BOOKMARK", ""), ("ADDED", "b"), ("DELETED", "b")]


async def test_many_at_once(remote: Client) -> None:
    bodies = [{"metadata": {"name": f"c{i}", "namespace": "default"}} for i in range(50)]
    made = await asyncio.gather(*(remote.create(CONFIGMAPS, body) for body in bodies))
    assert len({o["metadata"]["resourceVersion"] for o in made}) == 50


async def test_a_wrong_token_is_unauthorized(url: str, authority: trustme.CA) -> None:
    stranger = Client(HttpTransport(url, ca=authority.cert_pem.bytes(), credentials=Credentials(token="x")))
    with pytest.raises(StatusError) as error:
        await stranger.list(NODES)
    assert error.value.code == 401
    await stranger.close()
