"""pods/NAME/ephemeralcontainers: only adds, and touches nothing but its list."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.client.client import Client
from seamark.machinery.gvr import PODS
from seamark.machinery.status import StatusError

Obj = dict[str, Any]
POD = {
    "metadata": {"name": "p", "namespace": "default"},
    "spec": {"containers": [{"name": "c", "image": "i"}], "volumes": [{"name": "v", "emptyDir": {}}]},
}
DEBUGGER = {"name": "debugger", "image": "busybox", "targetContainerName": "c"}


async def add(client: Client, *containers: Obj, **more: Any) -> Obj:
    patch = {"spec": {"ephemeralContainers": list(containers)}, **more}
    return await client.patch(PODS, "p", patch, namespace="default", subresource="ephemeralcontainers")


async def test_a_container_is_added_with_its_defaults(client: Client) -> None:
    before = await client.create(PODS, POD)
    added = await add(client, DEBUGGER, metadata={"labels": {"kept": "as metadata is"}})
    (debugger,) = added["spec"]["ephemeralContainers"]
    assert debugger["terminationMessagePath"] == "/dev/termination-log"
    assert debugger["imagePullPolicy"] == "Always"
    assert added["spec"]["containers"] == before["spec"]["containers"]
    assert added["metadata"]["generation"] == before["metadata"]["generation"] + 1


async def test_another_write_neither_refuses_nor_removes_them(client: Client) -> None:
    await client.create(PODS, POD)
    await add(client, DEBUGGER)
    labelled = await client.patch(PODS, "p", {"metadata": {"labels": {"a": "b"}}}, namespace="default")
    assert [c["name"] for c in labelled["spec"]["ephemeralContainers"]] == ["debugger"]
    with pytest.raises(StatusError, match=r"spec\.ephemeralContainers"):
        await client.patch(PODS, "p", {"spec": {"ephemeralContainers": None}}, namespace="default")


@pytest.mark.parametrize(
    ("containers", "words"),
    [
        ([], 'existing ephemeral containers "debugger" may not be removed'),
        ([{**DEBUGGER, "image": "other"}], 'existing ephemeral containers "debugger" may not be changed'),
        ([DEBUGGER, {"name": "c", "image": "i"}], r'spec.ephemeralContainers\[1\].name: Duplicate value: "c"'),
        ([DEBUGGER, {**DEBUGGER, "name": "d", "targetContainerName": "x"}], r'targetContainerName: Not found: "x"'),
        (
            [DEBUGGER, {"name": "d", "image": "i", "ports": [{"containerPort": 1}]}],
            r"spec.ephemeralContainers\[1\].ports: Forbidden: cannot be set for an Ephemeral Container",
        ),
        (
            [DEBUGGER, {"name": "d", "image": "i", "volumeMounts": [{"name": "v", "mountPath": "/v", "subPath": "x"}]}],
            r"volumeMounts\[0\].subPath: Forbidden: cannot be set for an Ephemeral Container",
        ),
    ],
)
async def test_refused(client: Client, containers: list[Obj], words: str) -> None:
    await client.create(PODS, POD)
    await add(client, DEBUGGER)
    with pytest.raises(StatusError, match=words) as error:
        await add(client, *containers)
    assert error.value.code == 422


async def test_a_mirror_of_a_static_pod_takes_none(client: Client) -> None:
    mirror = {"name": "p", "namespace": "default", "annotations": {"kubernetes.io/config.mirror": "x"}}
    await client.create(PODS, {**POD, "metadata": mirror})
    with pytest.raises(StatusError, match="static pods do not support ephemeral containers"):
        await add(client, DEBUGGER)
