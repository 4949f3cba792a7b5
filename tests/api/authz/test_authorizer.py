"""Decisions as requests meet them: at once after a change, with Kubernetes' words, for everybody."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.api.app import Api
from seamark.client.client import Client
from seamark.machinery.authorize import Attributes
from seamark.machinery.gvr import CLUSTERROLES, CONFIGMAPS, NAMESPACES, PODS, ROLEBINDINGS
from seamark.machinery.status import StatusError
from seamark.machinery.wire import ANONYMOUS, UNAUTHENTICATED, Identity

READ = {"verbs": ["get", "list", "watch"], "apiGroups": [""], "resources": ["configmaps"]}
JANE = Identity("jane", ("system:authenticated",))


async def test_nothing_without_a_role_and_at_once_with_one(client: Client, user: Any, grant: Any) -> None:
    jane = user("jane")
    for _ in range(3):
        with pytest.raises(StatusError) as refused:
            await jane.list(CONFIGMAPS, namespace="default")
        assert (refused.value.code, refused.value.message) == (
            403,
            'configmaps is forbidden: User "jane" cannot list resource "configmaps" in API group "" in the namespace '
            '"default"',
        )
        await grant("jane", READ)
        assert await jane.list(CONFIGMAPS, namespace="default") == []
        with pytest.raises(
            StatusError, match=r'cannot list resource "configmaps" in API group "" at the cluster scope'
        ):
            await jane.list(CONFIGMAPS)
        await client.patch(CLUSTERROLES, "of-jane", {"rules": []})
        with pytest.raises(StatusError):
            await jane.list(CONFIGMAPS, namespace="default")
        await client.delete(CLUSTERROLES, "of-jane")
        await client.delete(ROLEBINDINGS, "of-jane", namespace="default")


async def test_a_watch_and_a_name(user: Any, grant: Any, client: Client) -> None:
    await grant("jane", {**READ, "resourceNames": ["mine"]})
    for name in ("mine", "other"):
        await client.create(CONFIGMAPS, {"metadata": {"name": name, "namespace": "default"}})
    jane = user("jane")
    assert (await jane.get(CONFIGMAPS, "mine", namespace="default"))["metadata"]["name"] == "mine"
    with pytest.raises(StatusError, match='configmaps "other" is forbidden: User "jane" cannot get'):
        await jane.get(CONFIGMAPS, "other", namespace="default")
    with pytest.raises(StatusError):
        await jane.list(CONFIGMAPS, namespace="default")
    query = {"fieldSelector": "metadata.name=mine"}
    assert len(await jane.list(CONFIGMAPS, namespace="default", query=query)) == 1
    async for event in jane.watch(CONFIGMAPS, namespace="default", query=query):
        assert event.type == "ADDED"
        break


async def test_a_namespace_is_read_by_whom_it_is_given_to(user: Any, grant: Any) -> None:
    await grant("jane", {"verbs": ["get"], "apiGroups": [""], "resources": ["namespaces"]})
    assert (await user("jane").get(NAMESPACES, "default"))["metadata"]["name"] == "default"
    with pytest.raises(
        StatusError, match='cannot get resource "namespaces" in API group "" in the namespace "kube-system"'
    ):
        await user("jane").get(NAMESPACES, "kube-system")


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/healthz", 200, ""),
        ("/livez", 200, ""),
        ("/readyz", 200, ""),
        ("/version", 200, ""),
        ("/api", 403, 'forbidden: User "system:anonymous" cannot get path "/api"'),
        ("/apis/apps/v1", 403, 'forbidden: User "system:anonymous" cannot get path "/apis/apps/v1"'),
        ("/nosuch", 403, 'forbidden: User "system:anonymous" cannot get path "/nosuch"'),
        (
            "/apis/example.com/v1/widgets",
            403,
            'widgets.example.com is forbidden: User "system:anonymous" cannot list resource "widgets" in API group '
            '"example.com" at the cluster scope',
        ),
    ],
)
async def test_nobody(ask: Any, path: str, status: int, text: str) -> None:
    for who in (None, Identity(ANONYMOUS, (UNAUTHENTICATED,))):
        code, body = await ask(who, "GET", path)
        assert (code, body.get("message", "")) == (status, text) or (status == 200 and code == 200)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api", 200),
        ("/apis", 200),
        ("/api/v1", 200),
        ("/openapi/v2", 200),
        ("/", 403),
        ("/metrics", 403),
        ("/apis/example.com/v1/widgets", 403),
        ("/api/v1/nosuch", 403),
    ],
)
async def test_an_ordinary_user_may_look_around(ask: Any, path: str, status: int) -> None:
    assert (await ask(JANE, "GET", path))[0] == status


async def test_an_administrator_is_told_what_is_not_there(ask: Any) -> None:
    admin = Identity("root", ("system:masters",))
    assert (await ask(admin, "GET", "/apis/example.com/v1/widgets"))[0] == 404
    assert (await ask(admin, "GET", "/nosuch"))[0] == 404


async def test_exec_takes_the_right_to_create(client: Client, user: Any, grant: Any, api: Api) -> None:
    """kubectl opens a WebSocket by GET; the right to look is not the right to run."""
    from seamark.api.websocket import wants_websocket
    from seamark.machinery.wire import Request

    await grant("jane", {"verbs": ["get"], "apiGroups": [""], "resources": ["pods", "pods/exec"]})
    headers = {"connection": "Upgrade", "upgrade": "websocket", "sec-websocket-key": "x", "sec-websocket-version": "13"}
    request = Request("GET", "/api/v1/namespaces/default/pods/p/exec", (("command", "id"),), headers, b"", JANE)
    assert wants_websocket(request)
    answer = await api.connect(request)
    assert answer.status == 403 and b'cannot create resource \\"pods/exec\\"' in answer.body  # type: ignore[union-attr]


async def test_before_the_start_only_administrators(api: Api) -> None:
    fresh = Api(store=api.core.store, registry=api.core.registry, clock=api.core.clock)
    asked = Attributes("get", path="/version")
    assert (await fresh.core.authorizer.decide(Identity("x", ("system:masters",)), asked)).allowed
    for who in (JANE, Identity("system:node:n", ("system:nodes",))):
        assert not (await fresh.core.authorizer.decide(who, asked)).allowed
    await fresh.start()
    assert (await fresh.core.authorizer.decide(JANE, asked)).allowed


async def test_roles_survive_a_watch_that_lags(api: Api, client: Client, grant: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("seamark.store.statelog.WATCH_BUFFER", 1)
    await grant("jane", READ)
    index = await api.core.authorizer.rules()
    assert index.allowed("jane", JANE.groups, Attributes("get", "", "configmaps", "", "default"))


async def test_pods_of_others_are_not_for_a_writer_of_pods(user: Any, grant: Any) -> None:
    await grant("jane", {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]})
    assert await user("jane").list(PODS, namespace="default") == []
    with pytest.raises(StatusError):
        await user("jane").list(PODS, namespace="kube-system")


async def test_making_by_put_or_apply_takes_the_right_to_create(ask: Any, grant: Any) -> None:
    await grant("jane", {"verbs": ["update", "patch"], "apiGroups": ["*"], "resources": ["leases", "configmaps"]})
    path = "/apis/coordination.k8s.io/v1/namespaces/default/leases/l"
    status, body = await ask(JANE, "PUT", path, body={"metadata": {"name": "l"}})
    assert status == 403 and 'User "jane" cannot create resource "leases"' in body["message"]
    path = "/api/v1/namespaces/default/configmaps/c"
    headers = {"content-type": "application/apply-patch+yaml"}
    applied = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}
    status, body = await ask(JANE, "PATCH", f"{path}?fieldManager=me", body=applied, headers=headers)
    assert status == 403 and 'User "jane" cannot create resource "configmaps"' in body["message"]
