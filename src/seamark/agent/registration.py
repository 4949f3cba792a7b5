"""The node's own objects in the API: Node (labels, sizes, addresses, conditions) and its Lease.

``render_*`` are pure. ``Registration.run`` creates the Node where it is missing, keeps what is not its own (taints,
foreign labels, ``spec.unschedulable``) and renews the Lease every ten seconds; the status is written when something
in it changed, and every five minutes. An API server that is away is retried, never a reason to stop pods.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from random import Random
from typing import Any

from seamark import __version__
from seamark.agent.config import AgentConfig
from seamark.agent.machine import Machine
from seamark.agent.timers import Alarm
from seamark.client.base import TransportError
from seamark.client.client import Client
from seamark.machinery.clock import Clock, format_micro_time, format_time, parse_time
from seamark.machinery.gvr import LEASES, NODES
from seamark.machinery.status import StatusError

logger = logging.getLogger(__name__)

KUBELET_VERSION = f"v1.36.3-seamark.{__version__}"
LEASE_NAMESPACE = "kube-node-lease"
HEARTBEAT = 10.0
JITTER = 0.04  # so that the nodes of one process do not all renew in the same moment
LEASE_SECONDS = 40
STATUS_PERIOD = 300.0
FIRST_RETRY = 0.1
Obj = dict[str, Any]


def render_labels(config: AgentConfig, machine: Machine) -> dict[str, str]:
    own = {
        "kubernetes.io/hostname": config.node,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": machine.architecture,
        "beta.kubernetes.io/os": "linux",
        "beta.kubernetes.io/arch": machine.architecture,
    }
    return {**own, **{f"node-role.kubernetes.io/{role}": "" for role in config.roles}, **config.labels}


def render_node(config: AgentConfig, machine: Machine, now: float) -> Obj:
    """A Node as it is registered."""
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": config.node, "labels": render_labels(config, machine)},
        "spec": {"podCIDR": config.pod_cidr, "podCIDRs": [config.pod_cidr]},
        "status": render_status(config, machine, {}, now),
    }


def render_allocatable(config: AgentConfig, machine: Machine) -> dict[str, str]:
    return {
        "cpu": str(machine.cpus),
        "memory": f"{machine.memory // 1024}Ki",
        "ephemeral-storage": f"{machine.storage // 1024}Ki",
        "pods": str(config.max_pods),
    }


def render_status(
    config: AgentConfig, machine: Machine, before: Obj, now: float, pressures: frozenset[str] = frozenset()
) -> Obj:
    """``before`` is the status that stands in the API: times of transition are kept."""
    sizes = render_allocatable(config, machine)
    return {
        "capacity": sizes,
        "allocatable": sizes,
        "addresses": [
            {"type": "InternalIP", "address": config.node_ip},
            {"type": "Hostname", "address": config.node},
        ],
        "conditions": render_conditions(before.get("conditions") or [], now, pressures),
        "features": {"supplementalGroupsPolicy": True},
        "nodeInfo": {
            "machineID": machine.machine_id,
            "systemUUID": machine.machine_id,
            "bootID": machine.boot_id,
            "kernelVersion": machine.kernel,
            "osImage": machine.os_image,
            "containerRuntimeVersion": machine.runtime,
            "kubeletVersion": KUBELET_VERSION,
            "kubeProxyVersion": "",
            "operatingSystem": "linux",
            "architecture": machine.architecture,
        },
    }


_CONDITIONS = (
    ("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ("Ready", "True", "KubeletReady", "kubelet is posting ready status"),
)


_PRESSURES = {
    "MemoryPressure": ("True", "KubeletHasInsufficientMemory", "kubelet has insufficient memory available"),
    "DiskPressure": ("True", "KubeletHasDiskPressure", "kubelet has disk pressure"),
    "PIDPressure": ("True", "KubeletHasInsufficientPID", "kubelet has insufficient PID available"),
}


def render_conditions(before: list[Obj], now: float, pressures: frozenset[str] = frozenset()) -> list[Obj]:
    """Foreign conditions stay; an own one keeps the time of its last transition."""
    at = {c.get("type"): c for c in before}
    found = []
    for kind, *usual in _CONDITIONS:
        status, reason, message = _PRESSURES[kind] if kind in pressures else usual
        old = at.pop(kind, {})
        kept = old.get("lastTransitionTime") if old.get("status") == status else None
        times = {"lastHeartbeatTime": format_time(now), "lastTransitionTime": kept or format_time(now)}
        found.append({"type": kind, "status": status, **times, "reason": reason, "message": message})
    return found + list(at.values())


def render_lease(config: AgentConfig, owner_uid: str, now: float) -> Obj:
    owner = {"apiVersion": "v1", "kind": "Node", "name": config.node, "uid": owner_uid}
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": config.node, "namespace": LEASE_NAMESPACE, "ownerReferences": [owner]},
        "spec": render_lease_spec(config, now),
    }


def render_lease_spec(config: AgentConfig, now: float) -> Obj:
    return {
        "holderIdentity": config.node,
        "leaseDurationSeconds": LEASE_SECONDS,
        "renewTime": format_micro_time(now),
    }


def needs_status(old: Obj, new: Obj, now: float) -> bool:
    """Whether anything but a heartbeat changed, or the heartbeat is old."""
    if _without_heartbeats(old, new) != _without_heartbeats(new, new):
        return True
    beats = [c.get("lastHeartbeatTime") for c in old.get("conditions") or [] if c.get("type") == "Ready"]
    return not beats or not beats[0] or now - parse_time(beats[0]) >= STATUS_PERIOD


def _without_heartbeats(status: Obj, keys: Obj) -> Obj:
    """The part of a status that ``keys`` names, without its times of heartbeat."""
    shown = {k: status.get(k) for k in keys if k != "conditions"}
    conditions = [{k: v for k, v in c.items() if k != "lastHeartbeatTime"} for c in status.get("conditions") or []]
    return {**shown, "conditions": conditions}


class Registration:
    def __init__(
        self,
        config: AgentConfig,
        machine: Machine,
        *,
        client: Client,
        clock: Clock,
        rng: Random,
        pressures: Callable[[], frozenset[str]] = frozenset,
    ) -> None:
        self._config = config
        self._machine = machine
        self._client = client
        self._clock = clock
        self._rng = rng
        self._pressures = pressures
        self._alarm = Alarm(clock)

    async def run(self) -> None:
        """Ends when cancelled."""
        retry = FIRST_RETRY
        while True:
            try:
                await self.beat()
            except (StatusError, TransportError) as error:
                logger.warning("heartbeat failed node=%s error=%s", self._config.node, error)
                await self._clock.sleep(retry)
                retry = min(retry * 2, HEARTBEAT)
                continue
            retry = FIRST_RETRY
            period = HEARTBEAT * (1 - JITTER * self._rng.random())
            await self._alarm.wait(self._clock.time() + period)

    def wake(self) -> None:
        """There is something to say that cannot wait for the next heartbeat."""
        self._alarm.ring()

    async def beat(self) -> None:
        node = await self._register()
        now = self._clock.time()
        before = node.get("status") or {}
        status = render_status(self._config, self._machine, before, now, self._pressures())
        if needs_status(before, status, now):
            await self._client.patch(NODES, self._config.node, {"status": status}, subresource="status")
        await self._renew(node["metadata"]["uid"])

    async def _register(self) -> Obj:
        """The Node as the API has it, made or corrected where labels or pod range of ours are missing."""
        name = self._config.node
        try:
            node = await self._client.get(NODES, name)
        except StatusError as error:
            if error.code != 404:
                raise
            return await self._client.create(NODES, render_node(self._config, self._machine, self._clock.time()))
        labels = node["metadata"].get("labels") or {}
        wanted = render_labels(self._config, self._machine)
        patch: Obj = {}
        if any(labels.get(k) != v for k, v in wanted.items()):
            patch["metadata"] = {"labels": wanted}
        if not (node.get("spec") or {}).get("podCIDR"):
            patch["spec"] = {"podCIDR": self._config.pod_cidr, "podCIDRs": [self._config.pod_cidr]}
        return await self._client.patch(NODES, name, patch) if patch else node

    async def _renew(self, owner_uid: str) -> None:
        now = self._clock.time()
        try:
            patch = {"spec": render_lease_spec(self._config, now)}
            await self._client.patch(LEASES, self._config.node, patch, namespace=LEASE_NAMESPACE)
        except StatusError as error:
            if error.code != 404:
                raise
            await self._client.create(LEASES, render_lease(self._config, owner_uid, now))
