"""Binding, eviction, scale, tokens and reviews, in process."""

from __future__ import annotations

import json
from typing import Any

import pytest

from seamark.api.app import Api
from seamark.client.client import Client
from seamark.machinery.gvr import BINDINGS, DEPLOYMENTS, PODS, REPLICASETS
from seamark.machinery.status import StatusError
from seamark.machinery.wire import Identity, Request, Response

Obj = dict[str, Any]
POD = {
    "metadata": {"name": "p", "namespace": "default"},
    "spec": {"containers": [{"name": "c", "image": "i"}]},
}
BINDING = {"metadata": {"name": "p", "namespace": "default"}, "target": {"kind": "Node", "name": "node1"}}


async def post(api: Api, path: str, body: Obj) -> Response:
    return await api.handle(
        Request("POST", path, (), {}, json.dumps(body).encode(), Identity("jane", ("devs", "system:masters")))
    )


def parsed(response: Response) -> Obj:
    found: Obj = json.loads(response.body)
    return found


class TestBinding:
    async def test_gives_the_pod_its_node_once(self, client: Client) -> None:
        await client.create(PODS, POD)
        done = await client.create(PODS, BINDING, name="p", subresource="binding")
        assert done["status"] == "Success"
        pod = await client.get(PODS, "p", namespace="default")
        assert pod["spec"]["nodeName"] == "node1"
        (condition,) = [c for c in pod["status"]["conditions"] if c["type"] == "PodScheduled"]
        assert (condition["status"], condition["lastTransitionTime"]) == ("True", "2023-11-14T22:13:20Z")
        with pytest.raises(StatusError, match='pod p is already assigned to node "node1"') as error:
            await client.create(PODS, BINDING, name="p", subresource="binding")
        assert error.value.code == 409

    async def test_by_the_old_collection(self, client: Client) -> None:
        await client.create(PODS, POD)
        await client.create(BINDINGS, BINDING)
        assert (await client.get(PODS, "p", namespace="default"))["spec"]["nodeName"] == "node1"

    async def test_needs_a_node_and_a_pod(self, client: Client) -> None:
        with pytest.raises(StatusError, match=r"target\.name: Required value"):
            await client.create(PODS, {**BINDING, "target": {}}, name="p", subresource="binding")
        with pytest.raises(StatusError, match='pods "p" not found'):
            await client.create(PODS, BINDING, name="p", subresource="binding")


@pytest.mark.parametrize("version", ["policy/v1", "policy/v1beta1"])
async def test_eviction_deletes(client: Client, api: Api, version: str) -> None:
    await client.create(PODS, POD)
    body = {"apiVersion": version, "kind": "Eviction", "metadata": {"name": "p", "namespace": "default"}}
    response = await post(api, "/api/v1/namespaces/default/pods/p/eviction", body)
    assert (response.status, parsed(response)["status"]) == (201, "Success")
    assert await client.list(PODS, namespace="default") == []


DEPLOYMENT = {
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {
        "replicas": 2,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": POD["spec"]},
    },
}


class TestScale:
    async def test_get_put_and_patch(self, client: Client) -> None:
        await client.create(DEPLOYMENTS, DEPLOYMENT)
        scale = await client.get(DEPLOYMENTS, "web", namespace="default", subresource="scale")
        assert scale["kind"] == "Scale" and scale["spec"] == {"replicas": 2}
        assert scale["status"] == {"replicas": 0, "selector": "app=web"}
        put = await client.update(DEPLOYMENTS, {**scale, "spec": {"replicas": 3}}, subresource="scale")
        assert put["spec"] == {"replicas": 3}
        with pytest.raises(StatusError, match="has been modified"):
            await client.update(DEPLOYMENTS, {**scale, "spec": {"replicas": 4}}, subresource="scale")
        patch = {"spec": {"replicas": 5}}
        await client.patch(DEPLOYMENTS, "web", patch, namespace="default", subresource="scale")
        web = await client.get(DEPLOYMENTS, "web", namespace="default")
        assert web["spec"]["replicas"] == 5 and web["metadata"]["generation"] == 3

    @pytest.mark.parametrize(("replicas", "code"), [(-1, 422), (True, 400), ("3", 400)])
    async def test_no_count_is_refused(self, client: Client, replicas: Any, code: int) -> None:
        await client.create(DEPLOYMENTS, DEPLOYMENT)
        patch = {"spec": {"replicas": replicas}}
        with pytest.raises(StatusError, match=r"spec\.replicas") as error:
            await client.patch(DEPLOYMENTS, "web", patch, namespace="default", subresource="scale")
        assert error.value.code == code


class TestStatus:
    async def test_each_write_keeps_to_its_half(self, client: Client) -> None:
        made = await client.create(DEPLOYMENTS, DEPLOYMENT)
        body = {**made, "status": {"replicas": 1}, "spec": {**made["spec"], "replicas": 9}}
        written = await client.update_status(DEPLOYMENTS, body)
        assert written["status"]["replicas"] == 1 and written["spec"]["replicas"] == 2
        assert written["metadata"]["generation"] == 1
        body = {**written, "status": {"replicas": 7}, "spec": {**made["spec"], "replicas": 4}}
        written = await client.update(DEPLOYMENTS, body)
        assert written["status"]["replicas"] == 1 and written["spec"]["replicas"] == 4
        assert written["metadata"]["generation"] == 2

    async def test_counts_that_are_zero_stay(self, api: Api, client: Client) -> None:
        """``status.replicas`` is always written, ``readyReplicas`` only where there are any."""
        rs = {**DEPLOYMENT, "metadata": {"name": "rs", "namespace": "default"}}
        await client.create(REPLICASETS, rs)
        path = "/apis/apps/v1/namespaces/default/replicasets/rs/status"
        headers = {"content-type": "application/merge-patch+json"}
        for status, expected in (
            ({"replicas": 2, "readyReplicas": 1}, {"replicas": 2, "readyReplicas": 1}),
            ({"replicas": None, "readyReplicas": None}, {"replicas": 0}),
        ):
            body = json.dumps({"status": status}).encode()
            response = await api.handle(
                Request("PATCH", path, (), headers, body, Identity("jane", ("system:masters",)))
            )
            assert parsed(response)["status"] == expected


class TestReviews:
    async def test_who_am_i(self, api: Api) -> None:
        response = await post(api, "/apis/authentication.k8s.io/v1/selfsubjectreviews", {})
        assert response.status == 201
        assert parsed(response)["status"]["userInfo"] == {"username": "jane", "groups": ["devs", "system:masters"]}

    async def test_may_i(self, api: Api) -> None:
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        response = await post(api, path, {"spec": {"resourceAttributes": {"verb": "get", "resource": "pods"}}})
        assert parsed(response)["status"]["allowed"] is True
        assert (await post(api, path, {"spec": {}})).status == 422


async def test_what_is_not_stored_comes_as_no_table(api: Api) -> None:
    body = json.dumps({"spec": {"nonResourceAttributes": {"path": "/", "verb": "get"}}}).encode()
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    for accept, status in (("Table", 406), ("PartialObjectMetadata", 201)):
        headers = {"accept": f"application/json;as={accept};v=v1;g=meta.k8s.io"}
        response = await api.handle(Request("POST", path, (), headers, body, Identity("jane", ("system:masters",))))
        assert response.status == status
