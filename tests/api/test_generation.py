"""metadata.generation: what moves it, and what a write of the status may say besides the status."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.client.client import Client
from seamark.machinery.gvr import DEPLOYMENTS, REPLICASETS
from seamark.machinery.status import StatusError

Obj = dict[str, Any]


def workload(**spec: Any) -> Obj:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    metadata = {"name": "web", "namespace": "default", "annotations": {"note": "1"}}
    return {"metadata": metadata, "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template, **spec}}


@pytest.mark.parametrize(
    ("patch", "subresource", "deployment", "replicaset"),
    [
        pytest.param({"spec": {"replicas": 3}}, "", 2, 2, id="spec"),
        pytest.param({"metadata": {"labels": {"a": "b"}}}, "", 1, 1, id="labels"),
        pytest.param({"metadata": {"annotations": {"a": "b"}}}, "", 2, 1, id="annotations"),
        pytest.param({"metadata": {"annotations": {"note": "1"}}}, "", 1, 1, id="same annotation"),
        pytest.param({"status": {"replicas": 1}}, "", 1, 1, id="status in the object"),
        pytest.param({"status": {"replicas": 1}}, "status", 1, 1, id="status"),
        pytest.param({"metadata": {"annotations": {"a": "b"}}}, "status", 1, 1, id="annotations with the status"),
        pytest.param({"spec": {"replicas": 3}}, "scale", 2, 2, id="scale"),
    ],
)
async def test_what_moves_it(client: Client, patch: Obj, subresource: str, deployment: int, replicaset: int) -> None:
    for gvr, moved in ((DEPLOYMENTS, deployment), (REPLICASETS, replicaset)):
        made = await client.create(gvr, workload())
        await client.patch(gvr, "web", patch, namespace="default", subresource=subresource)
        after = await client.get(gvr, "web", namespace="default")
        assert (made["metadata"]["generation"], after["metadata"]["generation"]) == (1, moved), gvr.kind


async def test_a_status_brings_annotations_and_nothing_else(client: Client) -> None:
    await client.create(DEPLOYMENTS, workload())
    metadata = {"annotations": {"revision": "2"}, "labels": {"x": "y"}, "finalizers": ["example.com/x"]}
    patch = {"metadata": metadata, "spec": {"replicas": 9}, "status": {"replicas": 1}}
    after = await client.patch(DEPLOYMENTS, "web", patch, namespace="default", subresource="status")
    assert after["metadata"]["annotations"] == {"note": "1", "revision": "2"}
    assert not {"labels", "finalizers"} & after["metadata"].keys()
    assert (after["spec"]["replicas"], after["status"]["replicas"]) == (1, 1)
    with pytest.raises(StatusError, match="annotations: Invalid value") as error:
        bad = {"metadata": {"annotations": {"a b": ""}}}
        await client.patch(DEPLOYMENTS, "web", bad, namespace="default", subresource="status")
    assert error.value.code == 422
