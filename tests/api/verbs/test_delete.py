"""Delete and deletecollection, in process, as a client sees them."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.api.app import Api
from seamark.client.client import Client
from seamark.machinery.gvr import CONFIGMAPS, NAMESPACES, PODS
from seamark.machinery.status import StatusError
from seamark.testing.asking import ask, parsed

Obj = dict[str, Any]


def config_map(name: str, data: dict[str, str] | None = None, **meta: Any) -> Obj:
    return {"metadata": {"name": name, "namespace": "default", **meta}, "data": data or {}}


class TestDelete:
    async def test_answers_a_status_with_the_uid(self, client: Client) -> None:
        made = await client.create(CONFIGMAPS, config_map("a"))
        gone = await client.delete(CONFIGMAPS, "a", namespace="default")
        assert gone["status"] == "Success"
        assert gone["details"] == {"name": "a", "kind": "configmaps", "uid": made["metadata"]["uid"]}
        with pytest.raises(StatusError, match="not found"):
            await client.delete(CONFIGMAPS, "a", namespace="default")

    async def test_waits_for_finalizers(self, client: Client) -> None:
        await client.create(CONFIGMAPS, config_map("a", finalizers=["example.com/wait"]))
        marked = await client.delete(CONFIGMAPS, "a", namespace="default")
        assert marked["metadata"]["deletionTimestamp"]
        with pytest.raises(StatusError) as refused:
            await client.create(CONFIGMAPS, config_map("a"))
        assert refused.value.message == 'object is being deleted: configmaps "a" already exists'
        await client.patch(CONFIGMAPS, "a", {"metadata": {"finalizers": None}}, namespace="default")
        with pytest.raises(StatusError, match="not found"):
            await client.get(CONFIGMAPS, "a", namespace="default")

    async def test_waits_for_no_more_than_it_did(self, client: Client) -> None:
        await client.create(CONFIGMAPS, config_map("a", finalizers=["example.com/wait"]))
        await client.delete(CONFIGMAPS, "a", namespace="default")
        more = {"metadata": {"finalizers": ["example.com/wait", "example.com/more"]}}
        with pytest.raises(StatusError, match="no new finalizers can be added"):
            await client.patch(CONFIGMAPS, "a", more, namespace="default")

    @pytest.mark.parametrize(("policy", "finalizer"), [("Foreground", "foregroundDeletion"), ("Orphan", "orphan")])
    async def test_policies_become_finalizers(self, client: Client, policy: str, finalizer: str) -> None:
        await client.create(CONFIGMAPS, config_map("a"))
        marked = await client.delete(CONFIGMAPS, "a", namespace="default", options={"propagationPolicy": policy})
        assert marked["metadata"]["finalizers"] == [finalizer]

    async def test_preconditions(self, client: Client) -> None:
        await client.create(CONFIGMAPS, config_map("a"))
        with pytest.raises(StatusError, match="Precondition failed: UID") as error:
            await client.delete(CONFIGMAPS, "a", namespace="default", options={"preconditions": {"uid": "x"}})
        assert error.value.code == 409

    async def test_collection_by_label(self, client: Client, api: Api) -> None:
        for name in ("a", "b", "c"):
            await client.create(CONFIGMAPS, config_map(name, labels={"keep": "yes" if name == "c" else "no"}))
        response = await ask(api, "DELETE", "/api/v1/namespaces/default/configmaps?labelSelector=keep notin (yes)")
        assert [i["metadata"]["name"] for i in parsed(response)["items"]] == ["a", "b"]
        assert [o["metadata"]["name"] for o in await client.list(CONFIGMAPS, namespace="default")] == ["c"]

    async def test_namespace_goes_through_finalize(self, client: Client, api: Api) -> None:
        await client.create(NAMESPACES, {"metadata": {"name": "n"}, "spec": {"finalizers": ["kubernetes"]}})
        marked = await client.delete(NAMESPACES, "n")
        assert marked["status"]["phase"] == "Terminating"
        with pytest.raises(
            StatusError, match=r'configmaps "a" is forbidden: .* because it is being terminated'
        ) as error:
            await client.create(CONFIGMAPS, {"metadata": {"name": "a", "namespace": "n"}})
        assert error.value.code == 403
        body = {"metadata": {"name": "n"}, "spec": {"finalizers": []}}
        response = await ask(api, "PUT", "/api/v1/namespaces/n/finalize", body)
        assert response.status == 200, response.body
        with pytest.raises(StatusError, match="not found"):
            await client.get(NAMESPACES, "n")

    async def test_default_namespace_stays(self, client: Client) -> None:
        with pytest.raises(StatusError, match="may not be deleted"):
            await client.delete(NAMESPACES, "default")


def pod(name: str, node: str = "", **spec: Any) -> Obj:
    given = {"containers": [{"name": "c", "image": "i"}], **({"nodeName": node} if node else {}), **spec}
    return {"metadata": {"name": name, "namespace": "default"}, "spec": given}


class TestPodDeletion:
    async def test_unbound_goes_at_once(self, client: Client) -> None:
        await client.create(PODS, pod("p"))
        gone = await client.delete(PODS, "p", namespace="default")
        assert gone["kind"] == "Pod"
        assert await client.list(PODS, namespace="default") == []

    async def test_bound_gets_its_grace(self, client: Client) -> None:
        await client.create(PODS, pod("p", "node1", terminationGracePeriodSeconds=40))
        marked = (await client.delete(PODS, "p", namespace="default"))["metadata"]
        assert (marked["deletionTimestamp"], marked["deletionGracePeriodSeconds"]) == ("2023-11-14T22:14:00Z", 40)
        longer = await client.delete(PODS, "p", namespace="default", options={"gracePeriodSeconds": 90})
        assert longer["metadata"]["deletionGracePeriodSeconds"] == 40
        shorter = await client.delete(PODS, "p", namespace="default", options={"gracePeriodSeconds": 10})
        assert shorter["metadata"]["deletionTimestamp"] == "2023-11-14T22:13:30Z"
        gone = await client.delete(PODS, "p", namespace="default", options={"gracePeriodSeconds": 0})
        assert gone["metadata"]["deletionGracePeriodSeconds"] == 0
        assert await client.list(PODS, namespace="default") == []
