"""A node against the API server in process: what happens to pods, without a kernel and without time going by."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from seamark.machinery.gvr import CONFIGMAPS, EVENTS_V1, LEASES, NODES, PODS, SECRETS, SERVICEACCOUNTS, SERVICES
from seamark.machinery.status import StatusError
from seamark.machinery.streams import ExecRequest, LogRequest, TerminalSize
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


def _kill_due(node: Any) -> bool:
    return ("web", 15) in node.runtime.signals

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


def runs_again(status_of: StatusOf, count: int) -> Callable[[Any], Any]:
    return lambda pod: status_of(pod)["restartCount"] == count and status_of(pod)["state"].get("running")


class TestAdoption:
    async def test_pods_keep_address_and_containers(self, node: Any, status_of: StatusOf) -> None:
        await node.create()
        before = await node.until_running()
        await node.restart()
        await node.create("second")
        after = await node.until_running("second")
        assert len(node.runtime.started) == 2
        assert after["status"]["podIP"] == "10.244.1.3"
        pod = await node.pod()
        assert pod["status"] == before["status"]
        node.runtime.finish(before["metadata"]["uid"], "web", 1)
        await node.until(lambda p: status_of(p)["restartCount"] == 1 and status_of(p)["state"].get("running"))

    async def test_what_ended_meanwhile_is_seen(self, node: Any, status_of: StatusOf) -> None:
        made = await node.create()
        await node.until_running()
        await node.kill()
        node.runtime.finish(made["metadata"]["uid"], "web", 5)
        await node.restart()
        pod = await node.until(lambda p: status_of(p)["restartCount"] == 1 and status_of(p)["state"].get("running"))
        assert status_of(pod)["lastState"]["terminated"]["exitCode"] == 5

    async def test_a_crashed_machine_holds_nobody_back(self, node: Any, status_of: StatusOf) -> None:
        """Restarts by way of the node going down are no crashes: the third start waits for nothing either."""
        made = await node.create()
        await node.until_running()
        for count in (1, 2, 3):
            await node.kill()
            node.runtime.lose(made["metadata"]["uid"])
            await node.restart()
            await node.until(runs_again(status_of, count))

    async def test_a_crash_loop_is_no_shorter_for_our_restart(self, node: Any, status_of: StatusOf) -> None:
        made = await node.create()
        uid = made["metadata"]["uid"]
        await node.until_running()
        for count in (1, 2):
            node.runtime.finish(uid, "web", 1)
            await node.advance(20)
            await node.until(runs_again(status_of, count))
        await node.restart()
        node.runtime.finish(uid, "web", 1)
        pod = await node.until(lambda p: status_of(p)["state"].get("waiting"))
        assert "back-off 20s" in status_of(pod)["state"]["waiting"]["message"]

    async def test_sandboxes_without_a_pod_are_removed(self, node: Any) -> None:
        made = await node.create()
        await node.until_running()
        await node.kill()
        await node.delete(gracePeriodSeconds=0)
        await node.restart()
        uid = made["metadata"]["uid"]
        await node.wait(lambda: node.runtime.removed == [uid])
        await node.wait(lambda: not (node.state_dir / "pods" / uid).exists())

    async def test_pods_run_again_after_the_node_was_down(self, node: Any, status_of: StatusOf) -> None:
        await node.create()
        await node.until_running()
        await node.agent.shutdown(stop_pods=True)
        down = await node.pod()
        assert status_of(down)["ready"] is False and len(node.runtime.removed) == 1
        await node.restart()
        await node.until(lambda p: status_of(p)["restartCount"] == 1 and status_of(p)["ready"])


class TestConfiguration:
    async def test_missing_config_map_key_and_then_it_comes(self, node: Any, status_of: StatusOf) -> None:
        ref = {"configMapKeyRef": {"name": "conf", "key": "k"}}
        await node.create(containers=[{"name": "web", "image": "web:1", "env": [{"name": "A", "valueFrom": ref}]}])
        pod = await node.until(lambda p: status_of(p).get("state", {}).get("waiting", {}).get("message"))
        waiting = {"reason": "CreateContainerConfigError", "message": 'configmap "conf" not found'}
        assert status_of(pod)["state"]["waiting"] == waiting
        await node.client.create(CONFIGMAPS, {"metadata": {"name": "conf", "namespace": "default"}, "data": {"k": "v"}})
        await node.until_running()
        assert dict(node.runtime.started[0].env)["A"] == "v"

    async def test_missing_volume_source_and_then_it_comes(self, node: Any) -> None:
        volume = {"name": "v", "secret": {"secretName": "s"}}
        mount = {"name": "v", "mountPath": "/v"}
        made = await node.create(
            volumes=[volume], containers=[{"name": "web", "image": "web:1", "volumeMounts": [mount]}]
        )

        async def told() -> bool:
            return "FailedMount" in await reasons(node)

        await node.eventually(told)
        body = {"metadata": {"name": "s", "namespace": "default"}, "data": {"key": "aGk="}}
        await node.client.create(SECRETS, body)
        await node.until_running()
        assert node.file(made["metadata"]["uid"], "volumes/v/key") == "hi"

    async def test_volume_follows_its_config_map(self, node: Any) -> None:
        body = {"metadata": {"name": "conf", "namespace": "default"}, "data": {"f": "one"}}
        await node.client.create(CONFIGMAPS, body)
        made = await node.create(volumes=[{"name": "v", "configMap": {"name": "conf"}}])
        await node.until_running()
        uid = made["metadata"]["uid"]
        assert node.file(uid, "volumes/v/f") == "one"
        await node.client.patch(CONFIGMAPS, "conf", {"data": {"f": "two", "g": "new"}}, namespace="default")
        await node.wait(lambda: node.file(uid, "volumes/v/f") == "two")
        assert node.file(uid, "volumes/v/g") == "new"

    async def test_services_of_the_moment_of_the_start(self, node: Any) -> None:
        def service(name: str) -> Obj:
            return {"metadata": {"name": name, "namespace": "default"}, "spec": {"ports": [{"port": 80}]}}

        await node.client.create(SERVICES, service("early"))
        await node.create()
        await node.until_running()
        await node.client.create(SERVICES, service("late"))
        await node.create("next")
        await node.until_running("next")
        first, second = (dict(c.env) for c in node.runtime.started)
        assert "EARLY_SERVICE_HOST" in first and "LATE_SERVICE_HOST" not in first
        assert "LATE_SERVICE_HOST" in second

    async def test_resolver_and_hosts_file(self, node: Any) -> None:
        made = await node.create(hostAliases=[{"ip": "1.2.3.4", "hostnames": ["a", "b"]}])
        await node.until_running()
        uid = made["metadata"]["uid"]
        resolver = "search default.svc.cluster.local svc.cluster.local cluster.local\n"
        assert node.file(uid, "resolv.conf") == resolver + "nameserver 10.96.0.10\noptions ndots:5\n"
        hosts = node.file(uid, "etc-hosts")
        assert hosts.startswith("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n")
        assert "10.244.1.2\tweb\n" in hosts and "1.2.3.4\ta\tb\n" in hosts

    async def test_service_account_token_is_mounted_and_renewed(self, node: Any) -> None:
        await node.client.create(SERVICEACCOUNTS, {"metadata": {"name": "default", "namespace": "default"}})
        body = {"metadata": {"name": "kube-root-ca.crt", "namespace": "default"}, "data": {"ca.crt": "PEM"}}
        await node.client.create(CONFIGMAPS, body)
        made = await node.create(automountServiceAccountToken=True)
        await node.until_running()
        (volume,) = made["spec"]["volumes"]
        uid, place = made["metadata"]["uid"], f"volumes/{volume['name']}"
        assert node.file(uid, f"{place}/ca.crt") == "PEM" and node.file(uid, f"{place}/namespace") == "default"
        first = node.file(uid, f"{place}/token")
        assert first.count(".") == 2
        await node.advance(2800)
        assert node.file(uid, f"{place}/token") == first
        await node.advance(100)
        await node.wait(lambda: node.file(uid, f"{place}/token") != first)

    async def test_what_is_not_done_is_refused(self, node: Any, status_of: StatusOf) -> None:
        await node.create(hostPID=True)
        pod = await node.until(lambda p: status_of(p))
        waiting = status_of(pod)["state"]["waiting"]
        assert waiting["reason"] == "UnsupportedFeature" and waiting["message"].startswith("spec.hostPID:")
        assert await node.runtime.list_sandboxes() == ()
        await node.delete()
        await node.until_gone()


class TestProbes:
    async def test_readiness_comes_early_and_goes_late(self, node: Any, status_of: StatusOf) -> None:
        node.runtime.answers["up",] = (1, b"not yet")
        probe = {"exec": {"command": ["up"]}}
        await node.create(containers=[{"name": "web", "image": "web:1", "readinessProbe": probe}])
        pod = await node.until_running()
        assert status_of(pod)["ready"] is False
        node.runtime.answers["up",] = (0, b"")
        await node.advance(0.5)
        await node.until(lambda p: status_of(p)["ready"])
        node.runtime.answers["up",] = (1, b"down")
        await node.advance(25)
        assert status_of(await node.pod())["ready"] is True
        await node.advance(10)
        await node.until(lambda p: not status_of(p)["ready"])
        assert "Unhealthy" in await reasons(node)

    async def test_adopted_pod_stays_ready_until_a_probe_says_otherwise(self, node: Any, status_of: StatusOf) -> None:
        node.runtime.answers["up",] = (0, b"")
        probe = {"exec": {"command": ["up"]}}
        probes = {"readinessProbe": probe, "startupProbe": probe}
        await node.create(containers=[{"name": "web", "image": "web:1", **probes}])
        await node.until(lambda p: status_of(p).get("ready"))
        before = await node.pod()
        await node.kill()
        node.runtime.answers["up",] = (1, b"")
        await node.restart()
        await node.advance(15)
        assert await node.pod() == before
        await node.advance(10)
        await node.until(lambda p: not status_of(p)["ready"])

    async def test_liveness_restarts(self, node: Any, status_of: StatusOf) -> None:
        node.runtime.answers["up",] = (0, b"")
        probe = {"exec": {"command": ["up"]}, "periodSeconds": 2, "failureThreshold": 2}
        await node.create(containers=[{"name": "web", "image": "web:1", "livenessProbe": probe}])
        await node.until_running()
        await node.advance(1)
        node.runtime.answers["up",] = (1, b"dead")
        await node.advance(4)
        node.runtime.answers["up",] = (0, b"")
        pod = await node.until(lambda p: status_of(p)["restartCount"] == 1 and status_of(p)["state"].get("running"))
        assert status_of(pod)["lastState"]["terminated"]["exitCode"] == 143

    async def test_startup_probe_holds_the_others_back(self, node: Any, status_of: StatusOf) -> None:
        node.runtime.answers["up",] = (1, b"")
        node.runtime.answers["live",] = (1, b"")
        probes = {
            "startupProbe": {"exec": {"command": ["up"]}, "periodSeconds": 10, "failureThreshold": 30},
            "livenessProbe": {"exec": {"command": ["live"]}, "periodSeconds": 1, "failureThreshold": 1},
        }
        await node.create(containers=[{"name": "web", "image": "web:1", **probes}])
        pod = await node.until_running()
        await node.advance(60)
        assert status_of(await node.pod())["started"] is False and node.runtime.signals == []
        node.runtime.answers["up",] = (0, b"")
        node.runtime.answers["live",] = (0, b"")
        await node.advance(11)
        pod = await node.until(lambda p: status_of(p)["started"])
        assert status_of(pod)["ready"] is True


class _IO:
    def __init__(self, *chunks: bytes) -> None:
        self.chunks = list(chunks)
        self.out = b""
        self.err = b""

    async def read_stdin(self) -> bytes:
        return self.chunks.pop(0) if self.chunks else b""

    async def write_stdout(self, data: bytes) -> None:
        self.out += data

    async def write_stderr(self, data: bytes) -> None:
        self.err += data

    async def next_resize(self) -> TerminalSize:
        await asyncio.Event().wait()
        raise AssertionError


class TestStreams:
    async def test_exec(self, node: Any) -> None:
        node.runtime.answers["id",] = (0, b"root")
        await node.create()
        await node.until_running()
        io = _IO()
        assert await node.agent.exec(ExecRequest("default", "web", "web", ("id",)), io) == 0
        assert io.out == b"root"
        assert await node.agent.exec(ExecRequest("default", "web", "web", ("nope",)), io) == 127
        io = _IO(b"a", b"b")
        assert await node.agent.exec(ExecRequest("default", "web", "web", ("cat",), stdin=True), io) == 0
        assert io.out == b"ab"

    async def test_follow_ends_with_the_container(self, node: Any) -> None:
        node.runtime.behaviours["web"] = Behaviour(output=("one", "two"))
        made = await node.create(restartPolicy="Never")
        await node.until_running()
        got: list[bytes] = []

        async def follow() -> None:
            got.extend([b""])
            async for chunk in node.agent.logs(LogRequest("default", "web", "web", follow=True)):
                got[0] += chunk

        task = asyncio.create_task(follow())
        await node.wait(lambda: b"".join(got) == b"one\ntwo\n")
        log = node.state_dir / "pods" / made["metadata"]["uid"] / "logs/web/0.log"
        with log.open("a") as file:
            file.write("2023-11-14T22:13:21Z stderr P thr\n2023-11-14T22:13:21Z stderr F ee\n")
        await node.advance(0.1)
        assert b"".join(got) == b"one\ntwo\nthree\n"
        node.runtime.finish(made["metadata"]["uid"], "web", 0)
        await node.until(lambda p: p["status"]["phase"] == "Succeeded")
        await node.advance(0.2)
        await asyncio.wait_for(task, 5)

    async def test_errors_in_kubelets_words(self, node: Any) -> None:
        node.runtime.behaviours["web"] = Behaviour(start_delay=1000)
        await node.create()
        await node.until(lambda pod: pod["status"].get("podIP"))
        with pytest.raises(StatusError, match='container "web" in pod "web" is waiting to start: ContainerCreating'):
            node.agent.logs(LogRequest("default", "web", "web"))
        with pytest.raises(StatusError, match="container nosuch is not valid for pod web"):
            node.agent.logs(LogRequest("default", "web", "nosuch"))
        with pytest.raises(StatusError, match='pods "nosuch" not found'):
            node.agent.logs(LogRequest("default", "nosuch", ""))
        with pytest.raises(StatusError, match=r'container not found \("web"\)'):
            await node.agent.exec(ExecRequest("default", "web", "web", ("id",)), _IO())

    async def test_previous(self, node: Any, status_of: StatusOf) -> None:
        node.runtime.behaviours["web"] = Behaviour(output=("first life",))
        made = await node.create()
        await node.until_running()
        with pytest.raises(StatusError, match='previous terminated container "web" in pod "web" not found'):
            node.agent.logs(LogRequest("default", "web", "web", previous=True))
        node.runtime.behaviours["web"] = Behaviour(output=("second life",))
        node.runtime.finish(made["metadata"]["uid"], "web", 1)
        await node.until(lambda p: status_of(p)["restartCount"] == 1 and status_of(p)["state"].get("running"))
        for previous, text in ((True, b"first life\n"), (False, b"second life\n")):
            request = LogRequest("default", "web", "web", previous=previous)
            assert b"".join([c async for c in node.agent.logs(request)]) == text


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
