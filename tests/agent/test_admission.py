"""What a node refuses for good: the pod fails, with kubelet's reasons and words."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.agent.admission import select_rejection
from seamark.agent.podspec import Pod
from seamark.machinery.gvr import EVENTS_V1, RUNTIMECLASSES
from seamark.model import codec


def pod(*sysctls: str, container: dict[str, Any] | None = None, **spec: Any) -> Pod:
    security = {"sysctls": [{"name": name, "value": "1"} for name in sysctls]} | spec.pop("securityContext", {})
    body = {"containers": [{"name": "c", **(container or {})}], "securityContext": security, **spec}
    return codec.convert({"metadata": {"name": "web"}, "spec": body}, Pod)


APP_ARMOR = {"securityContext": {"appArmorProfile": {"type": "RuntimeDefault"}}}
NO_APP_ARMOR = "Cannot enforce AppArmor: AppArmor is not enabled on the host"


@pytest.mark.parametrize(
    ("of", "words"),
    [
        (pod("kernel.msgmax"), 'forbidden sysctl: "kernel.msgmax" not allowlisted'),
        (pod("net.ipv4.tcp_rmem", hostNetwork=True), "not allowed with host net enabled"),
        (pod("kernel.shm_rmid_forced", hostIPC=True), "not allowed with host ipc enabled"),
        (pod("net/ipv4/tcp_rmem", hostNetwork=True), '"net.ipv4.tcp_rmem" not allowed with host net enabled'),
        (pod("net.ipv4.tcp_rmem", "vm.swappiness"), '"vm.swappiness" not allowlisted'),
        (pod(**APP_ARMOR), NO_APP_ARMOR),
        (pod(container=APP_ARMOR), NO_APP_ARMOR),
    ],
    ids=["unsafe", "host network", "host ipc", "slashes", "second", "AppArmor of the pod", "AppArmor of a container"],
)
def test_rejected(of: Pod, words: str) -> None:
    found = select_rejection(of)
    assert found is not None and words in found.message


@pytest.mark.parametrize(
    "of",
    [
        pod(),
        pod("net.ipv4.tcp_rmem", "kernel.shm_rmid_forced"),
        pod(securityContext={"appArmorProfile": {"type": "Unconfined"}}),
    ],
)
def test_admitted(of: Pod) -> None:
    assert select_rejection(of) is None


async def test_a_rejected_pod_fails_and_nothing_of_it_starts(node: Any) -> None:
    await node.create(securityContext={"sysctls": [{"name": "kernel.msgmax", "value": "1"}]})
    status = (await node.until(lambda p: p["status"]["phase"] == "Failed"))["status"]
    words = 'forbidden sysctl: "kernel.msgmax" not allowlisted'
    assert (status["reason"], status["message"]) == ("SysctlForbidden", f"Pod was rejected: {words}")
    assert "containerStatuses" not in status
    assert await node.runtime.list_sandboxes() == ()
    events = await node.client.list(EVENTS_V1, namespace="default")
    assert ("SysctlForbidden", words) in {(e["reason"], e.get("message")) for e in events}
    await node.restart()
    assert (await node.pod())["status"]["reason"] == "SysctlForbidden"
    await node.delete()
    await node.until_gone()


async def test_what_the_sandbox_and_the_container_are_told(node: Any) -> None:
    await node.create(
        shareProcessNamespace=True,
        securityContext={
            "sysctls": [{"name": "net/ipv4/tcp_rmem", "value": "1 2 3"}],
            "seccompProfile": {"type": "RuntimeDefault"},
            "supplementalGroupsPolicy": "Strict",
        },
    )
    await node.until_running()
    (sandbox,) = await node.runtime.list_sandboxes()
    assert sandbox.config.share_pid and not sandbox.config.host_pid
    assert sandbox.config.sysctls == (("net.ipv4.tcp_rmem", "1 2 3"),)
    assert node.runtime.started[0].seccomp == "RuntimeDefault" and node.runtime.started[0].only_given_groups


async def test_a_seccomp_profile_of_the_nodes(node: Any) -> None:
    own = {"seccompProfile": {"type": "Localhost", "localhostProfile": "profiles/a.json"}}
    out = {"seccompProfile": {"type": "Localhost", "localhostProfile": "../../a.json"}}
    await node.create(containers=[{"name": "web", "image": "web:1", "securityContext": own}])
    await node.until_running()
    assert node.runtime.started[0].seccomp == str(node.state_dir / "seccomp" / "profiles/a.json")
    await node.create("bad", containers=[{"name": "web", "image": "web:1", "securityContext": out}])
    pod = await node.until(
        lambda p: p["status"].get("containerStatuses", [{}])[0].get("state", {}).get("waiting", {}).get("message"),
        "bad",
    )
    assert "leads out of" in pod["status"]["containerStatuses"][0]["state"]["waiting"]["message"]


async def test_the_handler_of_a_runtime_class(node: Any) -> None:
    made = {"metadata": {"name": "light"}, "handler": "crun"}
    await node.client.create(RUNTIMECLASSES, made)
    await node.create(runtimeClassName="light")
    await node.until_running()
    (sandbox,) = await node.runtime.list_sandboxes()
    assert sandbox.config.handler == "crun"


async def test_a_port_of_the_node_is_one_pods(node: Any) -> None:
    ports = {"name": "web", "image": "web:1", "ports": [{"containerPort": 80, "hostPort": 8080}]}
    await node.create("first", containers=[ports])
    await node.until_running("first")
    await node.create("second", containers=[ports])
    status = (await node.until(lambda p: p["status"]["phase"] == "Failed", "second"))["status"]
    words = "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports"
    assert (status["reason"], status["message"]) == ("NodePorts", f"Pod was rejected: {words}")
