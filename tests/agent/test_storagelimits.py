"""A pod over a limit of its storage is evicted, and told why in kubelet's words."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from seamark.agent.podspec import Pod
from seamark.agent.storagelimits import StorageUse, has_storage_limits, select_exceeded
from seamark.model import codec

MIB = 1 << 20


def limited(name: str, limit: str = "", **fields: Any) -> dict[str, Any]:
    resources = {"limits": {"ephemeral-storage": limit}} if limit else {}
    return {"name": name, "resources": resources, **fields}


def pod(*containers: dict[str, Any], **spec: Any) -> Pod:
    return codec.convert({"metadata": {"name": "p"}, "spec": {"containers": list(containers), **spec}}, Pod)


SIZED = pod(limited("a"), volumes=[{"name": "v", "emptyDir": {"sizeLimit": "1Mi"}}])
TWO = pod(limited("a", "2Mi"), limited("b", "3Mi"), volumes=[{"name": "v", "emptyDir": {}}])
OPEN = pod(limited("a", "2Mi"), limited("b"), limited("c", "8Mi"))
BEFORE = pod(limited("a", "1Mi"), initContainers=[limited("i", "4Mi"), limited("s", "1Mi", restartPolicy="Always")])


@pytest.mark.parametrize(
    ("of", "containers", "volumes", "told"),
    [
        pytest.param(SIZED, {"a": 9 * MIB}, {"v": MIB}, "", id="a volume just full"),
        pytest.param(
            SIZED, {}, {"v": MIB + 1}, 'Usage of EmptyDir volume "v" exceeds the limit "1Mi". ', id="a volume over it"
        ),
        pytest.param(TWO, {"a": 2 * MIB, "b": 3 * MIB}, {}, "", id="all full"),
        pytest.param(
            TWO,
            {"a": 2 * MIB, "b": 2 * MIB},
            {"v": 2 * MIB},
            "Pod ephemeral local storage usage exceeds the total limit of containers 5Mi. ",
            id="volumes count against the pod",
        ),
        pytest.param(
            OPEN,
            {"a": 3 * MIB},
            {},
            'Container a exceeded its local ephemeral storage limit "2Mi". ',
            id="one container over its limit",
        ),
        pytest.param(BEFORE, {"i": 4 * MIB}, {}, "", id="what runs before may have more"),
        pytest.param(
            BEFORE,
            {"i": 4 * MIB, "a": 1},
            {},
            "Pod ephemeral local storage usage exceeds the total limit of containers 4Mi. ",
            id="but no more than that in all",
        ),
    ],
)
def test_limits(of: Pod, containers: dict[str, int], volumes: dict[str, int], told: str) -> None:
    ending = select_exceeded(of, StorageUse(containers, volumes))
    assert (ending.message if ending else "") == told
    assert ending is None or (ending.reason, ending.grace) == ("Evicted", 1.0)


@pytest.mark.parametrize(
    ("of", "watched"),
    [
        (pod(limited("a")), False),
        (pod(limited("a"), volumes=[{"name": "v", "emptyDir": {}}]), False),
        (pod(limited("a"), volumes=[{"name": "v", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}]), False),
        (SIZED, True),
        (OPEN, True),
    ],
)
def test_only_pods_with_limits_are_looked_at(of: Pod, watched: bool) -> None:
    assert has_storage_limits(of) is watched


async def test_an_evicted_pod_fails(node: Any) -> None:
    await node.start()
    await node.create(volumes=[{"name": "v", "emptyDir": {"sizeLimit": "1k"}}])
    pod = await node.until_running()
    place = node.state_dir / "pods" / pod["metadata"]["uid"] / "volumes" / "v"
    (place / "file").write_bytes(b"x" * 5000)
    await node.advance(10.0)
    while ("web", 15) not in node.runtime.signals:  # the disk is looked at in a thread
        await asyncio.to_thread(lambda: None)
    pod = await node.until(lambda pod: pod["status"].get("phase") == "Failed")
    assert pod["status"]["reason"] == "Evicted"
    assert pod["status"]["message"] == 'Usage of EmptyDir volume "v" exceeds the limit "1k". '
