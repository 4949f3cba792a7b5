"""The informer against a real kube-apiserver: what its watch cache, its restarts and its refusals do to a watch.

Runs where SEAMARK_PEERS=1 asks for it (``make test-dns-attached``), in real time: there is no virtual clock to give
to the other side.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conformance.cluster import free_port
from conformance.kubeapi import KubeApi, running_kube_apiserver

from seamark.client.base import Transport
from seamark.client.client import Client
from seamark.client.http import Credentials
from seamark.client.informer import Informer
from seamark.client.kubeconfig import ApiAccess, load_kubeconfig
from seamark.linux.clock import SystemClock
from seamark.machinery.gvr import CLUSTERROLEBINDINGS, CLUSTERROLES, CONFIGMAPS, NAMESPACES, SERVICEACCOUNTS
from seamark.machinery.status import StatusError
from seamark.machinery.wire import Request, Response
from seamark.model.meta import Object
from seamark.testing.relay import Relay

WATCH_LIST = "watch from the start"
PATIENCE = 40.0
pytestmark = [
    pytest.mark.skipif(not os.environ.get("SEAMARK_PEERS"), reason="make test-dns-attached"),
    pytest.mark.timeout(180),
]


class Asking:
    """A transport that notes what an informer asks; ``before`` may do something ahead of a request."""

    def __init__(self, transport: Transport) -> None:
        self.asked: list[str] = []
        self.before: Callable[[str], Awaitable[None]] | None = None
        self._transport = transport

    async def __call__(self, request: Request) -> Response:
        words = _describe(request)
        if self.before is not None:
            await self.before(words)
        self.asked.append(words)
        return await self._transport(request)

    async def close(self) -> None:
        await self._transport.close()


def _describe(request: Request) -> str:
    if request.flag("sendInitialEvents"):
        return WATCH_LIST
    if request.flag("watch"):
        return f"watch from {request.param('resourceVersion')}"
    return "next page" if request.param("continue") else "list"


class Following:
    """An informer of the ConfigMaps of one namespace, what it asked and what its handlers were told."""

    def __init__(self, asking: Asking, namespace: str, **options: Any) -> None:
        self.asking = asking
        self.told: list[str] = []
        self.informer: Informer[Object] = Informer(
            Client(asking), CONFIGMAPS, Object, clock=SystemClock(), namespace=namespace, **options
        )
        self.informer.on_change(self._note)

    def _note(self, old: Object | None, new: Object | None, seen: float) -> None:
        sign = "+" if old is None else "-" if new is None else "~"
        self.told.append(f"{sign}{(new or old).metadata.name}")  # type: ignore[union-attr]

    @property
    def names(self) -> list[str]:
        return sorted(key.name for key in self.informer.items)


@pytest.fixture(scope="module")
def api() -> Iterator[KubeApi]:
    """As it is delivered."""
    with running_kube_apiserver() as found:
        yield found


@pytest.fixture(scope="module")
def bare_api() -> Iterator[KubeApi]:
    """Without streaming lists, and without a cache between it and etcd: what is compacted there is gone."""
    with running_kube_apiserver("--feature-gates=WatchList=false", "--watch-cache=false") as found:
        yield found


@asynccontextmanager
async def following(access: ApiAccess, namespace: str, **options: Any) -> AsyncIterator[Following]:
    found = Following(Asking(access.transport()), namespace, **options)
    task = asyncio.create_task(found.informer.run())
    try:
        yield found
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await found.asking.close()


@asynccontextmanager
async def writing(api: KubeApi) -> AsyncIterator[Client]:
    client = api.client()
    try:
        yield client
    finally:
        await client.close()


def access_of(api: KubeApi) -> ApiAccess:
    return load_kubeconfig(api.kubeconfig)


def relayed(api: KubeApi) -> tuple[Relay, ApiAccess]:
    relay = Relay(api.port, free_port())
    relay.restore()
    return relay, replace(access_of(api), base_url=f"https://127.0.0.1:{relay.port}")


async def put(client: Client, namespace: str, *names: str) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name in names:
        made = await client.create(CONFIGMAPS, {"metadata": {"name": name, "namespace": namespace}})
    return made


async def make_namespace(client: Client, name: str) -> None:
    await client.create(NAMESPACES, {"metadata": {"name": name}})


async def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.05)


async def test_a_streaming_list_is_list_and_watch(api: KubeApi) -> None:
    async with writing(api) as client:
        await make_namespace(client, "streaming")
        await put(client, "streaming", *(f"c{n:02}" for n in range(25)))
        async with following(access_of(api), "streaming", streaming=True, page=10) as found:
            await until(lambda: found.informer.synced)
            assert len(found.names) == 25
            await put(client, "streaming", "late")
            await until(lambda: "late" in found.names)
            assert found.asking.asked == [WATCH_LIST]


async def test_an_empty_collection_is_complete_too(api: KubeApi) -> None:
    async with following(access_of(api), "nowhere", streaming=True) as found:
        await until(lambda: found.informer.synced)
        assert found.names == []
        assert found.asking.asked == [WATCH_LIST]


async def test_bookmarks_carry_the_revision_on(api: KubeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server sends one shortly before it ends a watch; the next one begins there."""
    monkeypatch.setattr("seamark.client.informer.WATCH_SECONDS", 10)
    async with writing(api) as client:
        await make_namespace(client, "bookmarks")
        async with following(access_of(api), "bookmarks", streaming=True) as found:
            await until(lambda: found.informer.synced)
            elsewhere = await put(client, "default", "elsewhere")
            await until(lambda: len(found.asking.asked) > 1)
            revision = int(elsewhere["metadata"]["resourceVersion"])
            assert int(found.informer.last_revision) >= revision
            assert found.asking.asked == [WATCH_LIST, f"watch from {found.informer.last_revision}"]
            assert found.told == []


async def test_after_a_restart_what_was_missed_is_told_once(api: KubeApi) -> None:
    """A new process knows nothing from before its start: 410, and everything anew."""
    relay, access = relayed(api)
    async with writing(api) as client:
        await make_namespace(client, "restarted")
        await put(client, "restarted", "gone", "stays", "changes")
        async with following(access, "restarted", streaming=True) as found:
            await until(lambda: found.informer.synced)
            known = found.informer.last_revision
            relay.cut()
            await client.delete(CONFIGMAPS, "gone", namespace="restarted")
            await client.patch(CONFIGMAPS, "changes", {"data": {"a": "b"}}, namespace="restarted")
            await put(client, "restarted", "new")
            await asyncio.to_thread(restart, api)
            relay.restore()
            await until(lambda: "new" in found.names)
            assert found.asking.asked[-2:] == [f"watch from {known}", WATCH_LIST]
            assert found.names == ["changes", "new", "stays"]
            assert sorted(found.told[3:]) == ["+new", "-gone", "~changes"]
    relay.cut()


async def test_a_kill_that_changes_nothing_is_told_nobody(api: KubeApi) -> None:
    async with writing(api) as client:
        await make_namespace(client, "killed")
        await put(client, "killed", "one")
    async with following(access_of(api), "killed", streaming=True) as found:
        await until(lambda: found.informer.synced)
        await asyncio.to_thread(restart, api)
        async with writing(api) as client:
            await put(client, "killed", "two")
        await until(lambda: "two" in found.names)
        assert found.told == ["+one", "+two"]


async def test_pages_where_streaming_is_refused(bare_api: KubeApi) -> None:
    async with writing(bare_api) as client:
        await make_namespace(client, "paged")
        await put(client, "paged", *(f"c{n:02}" for n in range(25)))
        async with following(access_of(bare_api), "paged", streaming=True, page=10) as found:
            await until(lambda: found.informer.synced)
            assert found.asking.asked[:4] == [WATCH_LIST, "list", "next page", "next page"]
            assert len(found.names) == 25
            await put(client, "paged", "late")
            await until(lambda: "late" in found.names)
            assert len(found.asking.asked) == 5, "one watch, from where the pages were"


async def test_pages_that_are_compacted_away_are_asked_for_anew(bare_api: KubeApi) -> None:
    async with writing(bare_api) as client:
        await make_namespace(client, "compacted")
        await put(client, "compacted", *(f"c{n:02}" for n in range(25)))
        async with following(access_of(bare_api), "compacted", page=10) as found:

            async def compact(words: str) -> None:
                if words == "next page" and "next page" not in found.asking.asked:
                    await client.delete(CONFIGMAPS, "c00", namespace="compacted")
                    last = await put(client, "compacted", "late")
                    await asyncio.to_thread(bare_api.compact, int(last["metadata"]["resourceVersion"]))

            found.asking.before = compact
            await until(lambda: found.informer.synced)
            assert found.asking.asked[:4] == ["list", "next page", "list", "next page"]
            assert found.names == sorted([*(f"c{n:02}" for n in range(1, 25)), "late"])


async def test_a_watch_that_is_compacted_away_is_a_list_again(bare_api: KubeApi) -> None:
    relay, access = relayed(bare_api)
    async with writing(bare_api) as client:
        await make_namespace(client, "expired")
        await put(client, "expired", "gone")
        async with following(access, "expired") as found:
            await until(lambda: found.informer.synced)
            known = found.informer.last_revision
            relay.cut()
            await client.delete(CONFIGMAPS, "gone", namespace="expired")
            last = await put(client, "expired", "new")
            await asyncio.to_thread(bare_api.compact, int(last["metadata"]["resourceVersion"]))
            relay.restore()
            await until(lambda: "new" in found.names)
            asked = found.asking.asked
            assert asked[asked.index("list", 1) - 1] == f"watch from {known}"
            assert found.told == ["+gone", "+new", "-gone"]
    relay.cut()


async def test_a_token_is_read_again_when_it_was_replaced(api: KubeApi, tmp_path: Path) -> None:
    """As kubelet replaces that of a pod; the old one is no longer taken, and that ends nothing."""
    file = tmp_path / "token"
    relay, access = relayed(api)
    access = replace(access, credentials=Credentials(token_file=file))
    async with writing(api) as client:
        await bind(client)
        file.write_text(first := await issue_token(client))
        async with following(access, "default", streaming=True) as found:
            await until(lambda: found.informer.synced)
            await client.delete(SERVICEACCOUNTS, "reader", namespace="default")
            second = await issue_token(client)
            await refused(api, first)
            relay.cut()
            relay.restore()
            asked = len(found.asking.asked)
            await until(lambda: len(found.asking.asked) >= asked + 3)
            file.write_text(second)
            made = await put(client, "default", "rotated")
            await until(lambda: "rotated" in found.names)
            assert int(found.informer.last_revision) >= int(made["metadata"]["resourceVersion"])
    relay.cut()


async def bind(client: Client) -> None:
    meta = {"name": "reader"}
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list", "watch"]}]
    await client.create(CLUSTERROLES, {"metadata": meta, "rules": rules})
    subject = {"kind": "ServiceAccount", "name": "reader", "namespace": "default"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "reader"}
    await client.create(CLUSTERROLEBINDINGS, {"metadata": meta, "roleRef": role, "subjects": [subject]})


async def issue_token(client: Client) -> str:
    """Of the service account ``reader``, made anew."""
    await client.create(SERVICEACCOUNTS, {"metadata": {"name": "reader", "namespace": "default"}})
    asked: dict[str, Any] = {"spec": {"expirationSeconds": 600}}
    made = await client.create(SERVICEACCOUNTS, asked, namespace="default", name="reader", subresource="token")
    return str(made["status"]["token"])


async def refused(api: KubeApi, token: str) -> None:
    """Until the server has forgotten that it once took it."""
    client = Client(replace(access_of(api), credentials=Credentials(token=token)).transport())
    end = time.monotonic() + PATIENCE
    try:
        while time.monotonic() < end:
            await client.list(CONFIGMAPS, namespace="default")
            await asyncio.sleep(0.5)
        pytest.fail("still taken")
    except StatusError as error:
        assert error.code == 401
    finally:
        await client.close()


async def test_a_client_certificate_says_who_asks(api: KubeApi) -> None:
    access = load_kubeconfig(api.kubeconfig_of_certificate("system:kube-scheduler"))
    client = Client(access.transport())
    try:
        with pytest.raises(StatusError, match='User "system:kube-scheduler" cannot list resource "configmaps"'):
            await client.list(CONFIGMAPS, namespace="default")
    finally:
        await client.close()


def restart(api: KubeApi) -> None:
    api.stop()
    api.start()
