"""Ephemeral containers run once, in a pod that runs already; neither its phase nor its readiness knows them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from seamark.machinery.gvr import PODS
from seamark.machinery.streams import ExecRequest
from seamark.testing.fakeruntime import Behaviour

Obj = dict[str, Any]
DEBUGGER = {"name": "debugger", "image": "web:1", "targetContainerName": "web"}


async def debug(node: Any, **changes: Any) -> None:
    patch = {"spec": {"ephemeralContainers": [DEBUGGER | changes]}}
    await node.client.patch(PODS, "web", patch, namespace="default", subresource="ephemeralcontainers")


def debugger(pod: Obj) -> Obj:
    return next((dict(s) for s in pod["status"].get("ephemeralContainerStatuses", [])), {})


def is_in(state: str) -> Callable[[Obj], bool]:
    return lambda pod: state in debugger(pod).get("state", {})


async def test_it_joins_the_running_pod(node: Any) -> None:
    await node.create()
    await node.until_running()
    await debug(node)
    pod = await node.until(is_in("running"))
    assert [(c.name, c.target) for c in node.runtime.started] == [("web", ""), ("debugger", "web")]
    assert debugger(pod)["ready"] is False and "started" not in debugger(pod)
    node.runtime.answers["id",] = (0, b"root")

    class Io:
        async def write_stdout(self, data: bytes) -> None:
            assert data == b"root"

    assert await node.agent.exec(ExecRequest("default", "web", "debugger", ("id",)), Io()) == 0


async def test_it_runs_once(node: Any) -> None:
    node.runtime.behaviours["debugger"] = Behaviour(runs=1, exit_code=3)
    await node.create()
    before = await node.until_running()
    await debug(node)
    await node.until(is_in("running"))
    await node.advance(1)
    pod = await node.until(is_in("terminated"))
    assert debugger(pod)["state"]["terminated"]["exitCode"] == 3
    await node.advance(1000)
    pod = await node.pod()
    assert [c.name for c in node.runtime.started] == ["web", "debugger"]
    assert (pod["status"]["phase"], pod["status"]["podIP"]) == ("Running", before["status"]["podIP"])


async def test_an_image_that_is_not_there_is_tried_again(node: Any) -> None:
    await node.create()
    await node.until_running()
    await debug(node, image="nosuch:1")
    pod = await node.until(lambda p: debugger(p).get("state", {}).get("waiting", {}).get("message"))
    assert debugger(pod)["state"]["waiting"]["reason"] == "ErrImagePull"
    node.images.add("nosuch:1", "sh")
    await node.advance(2)
    await node.advance(8)
    await node.until(is_in("running"))


async def test_the_pods_end_is_its_end(node: Any) -> None:
    await node.create(restartPolicy="Never")
    uid = (await node.until_running())["metadata"]["uid"]
    await debug(node)
    await node.until(is_in("running"))
    node.runtime.finish(uid, "web", 0)
    await node.until(lambda pod: pod["status"]["phase"] == "Succeeded")
    assert ("debugger", 15) in node.runtime.signals


async def test_an_agent_that_comes_back_does_not_run_it_again(node: Any) -> None:
    await node.create()
    await node.until_running()
    await debug(node)
    await node.until(is_in("running"))
    await node.restart()
    await node.advance(1)
    assert debugger(await node.pod())["state"].keys() == {"running"}
    uid = (await node.pod())["metadata"]["uid"]
    node.runtime.lose(uid)
    await node.until(lambda pod: pod["status"]["containerStatuses"][0]["restartCount"] == 1)
    pod = await node.until(is_in("terminated"))
    assert [c.name for c in node.runtime.started].count("debugger") == 1
    assert pod["status"]["phase"] == "Running"


async def test_what_is_not_done_is_refused(node: Any) -> None:
    await node.create()
    await node.until_running()
    await debug(node, securityContext={"seLinuxOptions": {"level": "s0"}})
    pod = await node.until(lambda p: debugger(p).get("state", {}).get("waiting", {}).get("message"))
    waiting = debugger(pod)["state"]["waiting"]
    assert waiting["message"].startswith("spec.ephemeralContainers[debugger].securityContext.seLinuxOptions")
    assert pod["status"]["phase"] == "Running"
