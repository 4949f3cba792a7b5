"""What containers of a node are started with, and what its probes find."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from seamark.machinery.gvr import CONFIGMAPS, EVENTS_V1, SECRETS, SERVICEACCOUNTS, SERVICES

Obj = dict[str, Any]
StatusOf = Callable[..., Obj]


async def reasons(node: Any) -> set[str]:
    return {e["reason"] for e in await node.client.list(EVENTS_V1, namespace="default")}


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
        await node.create(hostUsers=False)
        pod = await node.until(lambda p: status_of(p))
        waiting = status_of(pod)["state"]["waiting"]
        assert waiting["reason"] == "UnsupportedFeature" and waiting["message"].startswith("spec.hostUsers:")
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
