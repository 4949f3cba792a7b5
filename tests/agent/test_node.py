"""A node against the API server in process: what happens to pods, without a kernel and without time going by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from seamark.machinery.gvr import EVENTS_V1, LEASES, NODES, PODS
from seamark.machinery.status import StatusError
from seamark.machinery.streams import LogRequest
from seamark.testing.fakeruntime import Behaviour

Obj = dict[str, Any]
StatusOf = Callable[..., Obj]


async def reasons(node: Any) -> set[str]:
    return {e["reason"] for e in await node.client.list(EVENTS_V1, namespace="default")}


class TestRegistration:
    async def test_node_and_lease(self, node: Any) -> None:
        await node.eventually(lambda: _has(node, LEASES, "node1", "kube-node-lease"))
        found = await node.client.get(NODES, "node1")
        assert found["metadata"]["labels"]["kubernetes.io/hostname"] == "node1"
        assert found["spec"]["podCIDR"] == "10.244.1.0/24"
        assert {"type": "InternalIP", "address": "192.168.100.12"} in found["status"]["addresses"]
        assert next(c for c in found["status"]["conditions"] if c["type"] == "Ready")["status"] == "True"
        assert found["status"]["nodeInfo"]["kubeletVersion"].startswith("v1.36.3-seamark")

    async def test_lease_is_renewed_and_the_node_is_not(self, node: Any) -> None:
        await node.eventually(lambda: _has(node, LEASES, "node1", "kube-node-lease"))
        lease = await node.client.get(LEASES, "node1", namespace="kube-node-lease")
        before = await node.client.get(NODES, "node1")
        await node.advance(10)

        async def renewed() -> bool:
            now = await node.client.get(LEASES, "node1", namespace="kube-node-lease")
            return bool(now["spec"]["renewTime"] != lease["spec"]["renewTime"])

        await node.eventually(renewed)
        assert await node.client.get(NODES, "node1") == before


async def _has(node: Any, gvr: Any, name: str, namespace: str = "") -> bool:
    try:
        await node.client.get(gvr, name, namespace=namespace)
    except StatusError:
        return False
    return True


def _kill_due(node: Any) -> bool:
    return ("web", 15) in node.runtime.signals


class TestLife:
    async def test_bound_runs_is_deleted(self, node: Any, status_of: StatusOf) -> None:
        made = await node.create()
        pod = await node.until_running()
        uid = made["metadata"]["uid"]
        assert pod["status"]["podIP"] == "10.244.1.2"
        assert status_of(pod)["ready"] is True
        await node.delete()
        await node.until_gone()
        assert node.runtime.signals == [("web", 15)] and node.runtime.removed == [uid]
        assert not (node.state_dir / "pods" / uid).exists()

    async def test_events_tell_the_story(self, node: Any) -> None:
        await node.create()
        await node.until_running()

        async def told() -> bool:
            return {"Pulled", "Created", "Started"} <= await reasons(node)

        await node.eventually(told)

    async def test_addresses_are_not_used_again_soon(self, node: Any) -> None:
        await node.create("a")
        await node.until_running("a")
        await node.delete("a", gracePeriodSeconds=0)
        await node.wait(lambda: not node.agent._workers or _kill_due(node))
        await node.advance(2)
        await node.create("b")
        assert (await node.until_running("b"))["status"]["podIP"] == "10.244.1.3"

    async def test_patience_then_kill(self, node: Any) -> None:
        node.runtime.behaviours["web"] = Behaviour(term_delay=None)
        await node.create(terminationGracePeriodSeconds=7)
        await node.until_running()
        await node.delete()
        await node.wait(lambda: node.runtime.signals == [("web", 15)])
        await node.advance(6.5)
        assert ("web", 9) not in node.runtime.signals
        await node.advance(1)
        await node.until_gone()
        assert ("web", 9) in node.runtime.signals

    async def test_pre_stop_hook_runs_first(self, node: Any) -> None:
        heard: list[str] = []
        node.runtime.answers["bye",] = lambda: heard.append(str(node.runtime.signals)) or (0, b"")
        hooked = {"name": "web", "image": "web:1", "lifecycle": {"preStop": {"exec": {"command": ["bye"]}}}}
        await node.create(containers=[hooked])
        await node.until_running()
        await node.delete()
        await node.until_gone()
        assert heard == ["[]"]

    async def test_post_start_hook_that_fails_kills(self, node: Any, status_of: StatusOf) -> None:
        node.runtime.answers["hello",] = (1, b"nobody home")
        hooked = {"name": "web", "image": "web:1", "lifecycle": {"postStart": {"exec": {"command": ["hello"]}}}}
        await node.create(containers=[hooked])
        pod = await node.until(lambda p: status_of(p).get("state", {}).get("waiting", {}).get("message"))
        waiting = {"reason": "PostStartHookError", "message": "command 'hello' exited with 1: nobody home"}
        assert status_of(pod)["state"]["waiting"] == waiting and node.runtime.signals == [("web", 9)]
        node.runtime.answers["hello",] = (0, b"")
        await node.advance(10)
        await node.until(lambda p: status_of(p)["ready"])

    async def test_deletion_does_not_wait_for_a_slow_start(self, node: Any) -> None:
        node.runtime.behaviours["web"] = Behaviour(start_delay=1000)
        await node.create()
        await node.until(lambda pod: pod["status"].get("podIP"))
        await node.delete()
        await node.until_gone()

    async def test_host_network(self, node: Any) -> None:
        made = await node.create(hostNetwork=True)
        pod = await node.until_running()
        assert pod["status"]["podIP"] == pod["status"]["hostIP"] == "192.168.100.12"
        assert "192.168.100.12\tnode1" in node.file(made["metadata"]["uid"], "etc-hosts")
        assert dict(node.runtime.started[0].env)["HOSTNAME"] == "node1"

    async def test_finalizer_keeps_the_object_and_nothing_else(self, node: Any) -> None:
        await node.create(meta={"finalizers": ["example.com/hold"]})
        await node.until_running()
        await node.delete()
        await node.wait(lambda: bool(node.runtime.removed))
        await node.wait(lambda: not node.agent._workers)
        patch = {"metadata": {"annotations": {"touched": "yes"}}}
        await node.client.patch(PODS, "web", patch, namespace="default")
        await node.advance(1)
        assert not node.agent._workers
        await node.client.patch(PODS, "web", {"metadata": {"finalizers": None}}, namespace="default")
        await node.until_gone()

    async def test_new_image_in_place(self, node: Any, status_of: StatusOf) -> None:
        node.images.add("web:2", "serve")
        await node.create()
        await node.until_running()
        patch = {"spec": {"containers": [{"name": "web", "image": "web:2"}]}}
        await node.client.patch(PODS, "web", patch, namespace="default", type="strategic")
        pod = await node.until(lambda p: status_of(p)["restartCount"] == 1 and status_of(p)["state"].get("running"))
        assert status_of(pod)["image"] == "web:2" and node.runtime.started[1].image.name == "web:2"


class TestRestart:
    async def test_back_off(self, node: Any, status_of: StatusOf) -> None:
        made = await node.create()
        await node.until_running()
        uid = made["metadata"]["uid"]
        node.runtime.finish(uid, "web", 1)
        pod = await node.until(lambda p: status_of(p).get("restartCount") == 1 and status_of(p)["state"].get("running"))
        assert status_of(pod)["lastState"]["terminated"]["exitCode"] == 1
        node.runtime.finish(uid, "web", 2)
        pod = await node.until(lambda p: status_of(p)["state"].get("waiting"))
        assert status_of(pod)["state"]["waiting"]["reason"] == "CrashLoopBackOff"
        await node.advance(9.5)
        assert len(node.runtime.started) == 2
        await node.advance(1)
        await node.until(lambda p: status_of(p)["restartCount"] == 2 and status_of(p)["state"].get("running"))
        assert "BackOff" in await reasons(node)

    async def test_completed(self, node: Any, status_of: StatusOf) -> None:
        node.runtime.behaviours["web"] = Behaviour(runs=3, message="all done", output=("hello",))
        made = await node.create(restartPolicy="Never")
        await node.until_running()
        await node.advance(3)
        pod = await node.until(lambda p: p["status"]["phase"] == "Succeeded")
        state = status_of(pod)["state"]["terminated"]
        assert (state["reason"], state["message"]) == ("Completed", "all done")
        await node.wait(lambda: node.runtime.removed == [made["metadata"]["uid"]])
        assert b"".join([c async for c in node.agent.logs(LogRequest("default", "web", "web"))]) == b"hello\n"
        await node.delete()
        await node.until_gone()

    async def test_lost_sandbox_is_made_again(self, node: Any, status_of: StatusOf) -> None:
        made = await node.create()
        before = await node.until_running()
        node.runtime.lose(made["metadata"]["uid"])
        pod = await node.until(lambda p: status_of(p)["restartCount"] == 1 and status_of(p)["state"].get("running"))
        assert pod["status"]["podIP"] == before["status"]["podIP"]

    async def test_init_containers(self, node: Any, status_of: StatusOf) -> None:
        node.runtime.behaviours["first"] = Behaviour(runs=1)
        await node.create(initContainers=[{"name": "first", "image": "web:1"}])
        pod = await node.until(lambda p: status_of(p, "first").get("state", {}).get("running"))
        assert status_of(pod)["state"]["waiting"]["reason"] == "PodInitializing"
        await node.advance(1)
        pod = await node.until_running()
        assert status_of(pod, "first")["state"]["terminated"]["reason"] == "Completed"


class TestImages:
    async def test_missing_one_backs_off_and_comes(self, node: Any, status_of: StatusOf) -> None:
        await node.create(containers=[{"name": "web", "image": "nosuch:1"}])
        pod = await node.until(lambda p: status_of(p).get("state", {}).get("waiting", {}).get("message"))
        assert status_of(pod)["state"]["waiting"] == {"reason": "ErrImagePull", "message": "nosuch:1: not found"}
        await node.advance(2)
        await node.until(lambda p: status_of(p)["state"]["waiting"]["reason"] == "ImagePullBackOff")
        node.images.add("nosuch:1", "serve")
        await node.advance(8)
        await node.until_running()

    async def test_policy(self, node: Any) -> None:
        node.images.add("web", "serve")
        await node.create(containers=[{"name": "web", "image": "web"}])
        await node.until_running()
        assert node.images.asked[-1] == ("web", "Always")


async def test_foreign_conditions_are_kept(node: Any) -> None:
    await node.create()
    pod = await node.until_running()
    foreign = {"type": "example.com/gate", "status": "True", "lastTransitionTime": "2023-11-14T22:13:20Z"}
    conditions = [*pod["status"]["conditions"], foreign]
    patch = {"status": {"conditions": conditions}}
    await node.client.patch(PODS, "web", patch, namespace="default", subresource="status")
    node.runtime.finish(pod["metadata"]["uid"], "web", 1)
    pod = await node.until(lambda p: p["status"]["containerStatuses"][0]["restartCount"] == 1)
    assert "example.com/gate" in {c["type"] for c in pod["status"]["conditions"]}


async def test_work_beside_the_pods_that_fails_ends_nothing(node: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: Any, **__: Any) -> None:
        raise ValueError("a defect")

    monkeypatch.setattr(node.images, "collect_garbage", fail)
    await node.create()
    await node.until_running()
    await node.advance(601)
    assert not node._task.done()
    await node.delete()
    await node.until_gone()
