"""Watches over a WebSocket, as programs in a browser have them: a message an event."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Event, RejectConnection, TextMessage
from wsproto.events import Request as Handshake

from seamark.client.client import Client
from seamark.machinery import protobuf
from seamark.machinery.gvr import CONFIGMAPS

MAPS = "/api/v1/namespaces/default/configmaps"


class Browser:
    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.ws = WSConnection(ConnectionType.CLIENT)
        self.events: list[Event] = []

    async def open(self, target: str, *, accept: str = "application/json") -> Event:
        headers = [(b"Authorization", b"Bearer the-administrators-token"), (b"Accept", accept.encode())]
        await self.connection.send(self.ws.send(Handshake(host="x", target=target, extra_headers=headers)))
        return await self.next()

    async def next(self) -> Event:
        async with asyncio.timeout(5):
            while not self.events:
                data = await self.connection.reader.read(65536)
                self.ws.receive_data(data or None)
                self.events += list(self.ws.events())
        return self.events.pop(0)


@pytest.fixture
async def browser(serve: Any) -> Browser:
    _, connect = await serve()
    return Browser(await connect())


def config_map(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "default"}}


async def test_an_event_a_message(browser: Browser, client: Client) -> None:
    for name in ("a", "b"):
        await client.create(CONFIGMAPS, config_map(name))
    assert isinstance(await browser.open(f"{MAPS}?watch=true"), AcceptConnection)
    found = []
    for number in range(3):
        message = await browser.next()
        assert isinstance(message, TextMessage) and message.message_finished
        event = json.loads(message.data)
        found.append((event["type"], event["object"]["metadata"]["name"]))
        if number == 1:
            await client.delete(CONFIGMAPS, "a", namespace="default")
    assert found == [("ADDED", "a"), ("ADDED", "b"), ("DELETED", "a")]


async def test_protobuf_comes_as_binary_messages_without_lengths(browser: Browser, client: Client) -> None:
    for name in ("a", "b"):
        await client.create(CONFIGMAPS, config_map(name))
    await browser.open(f"{MAPS}?watch=true", accept=protobuf.CONTENT_TYPE)
    for name in ("a", "b"):
        message = await browser.next()
        assert isinstance(message, BytesMessage)
        body = bytes(message.data)
        assert protobuf.decode_body(body[body.index(protobuf.MAGIC) :])["metadata"]["name"] == name


async def test_a_browser_that_closes_frees_the_watch(browser: Browser) -> None:
    await browser.open(f"{MAPS}?watch=true")
    await browser.connection.send(browser.ws.send(CloseConnection(code=1000)))
    assert isinstance(await browser.next(), CloseConnection)
    assert await browser.connection.ended()


async def test_it_ends_with_its_time(browser: Browser, clock: Any) -> None:
    await browser.open(f"{MAPS}?watch=true&timeoutSeconds=5")
    for _ in range(6):
        await clock.advance(1)
    assert isinstance(await browser.next(), CloseConnection)


async def test_what_is_refused_is_refused_before(browser: Browser) -> None:
    refused = await browser.open(f"{MAPS}?watch=true&resourceVersion=x")
    assert isinstance(refused, RejectConnection) and refused.status_code == 500
