"""core/v1 Pod, as far as controllers, scheduler, DNS and proxy read it.

The node agent reads far more of a pod and decodes its own projection (``agent/podspec.py``).
"""

from __future__ import annotations

import msgspec

from seamark.model.meta import Object, Projection


class PodIP(Projection, frozen=True):
    ip: str = ""


class ContainerPort(Projection, frozen=True):
    name: str = ""
    container_port: int = 0
    protocol: str = "TCP"
    host_port: int = 0


class Container(Projection, frozen=True):
    name: str = ""
    image: str = ""
    ports: list[ContainerPort] | None = None


class PodCondition(Projection, frozen=True):
    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    last_transition_time: str | None = None


class PodSpec(Projection, frozen=True):
    node_name: str = ""
    hostname: str = ""
    subdomain: str = ""
    host_network: bool = False
    node_selector: dict[str, str] | None = None
    containers: list[Container] | None = None
    init_containers: list[Container] | None = None
    scheduler_name: str = ""
    enable_service_links: bool | None = None
    restart_policy: str = "Always"
    termination_grace_period_seconds: int | None = None


class PodStatus(Projection, frozen=True):
    phase: str = ""
    reason: str = ""
    pod_ip: str = msgspec.field(default="", name="podIP")
    pod_ips: list[PodIP] | None = msgspec.field(default=None, name="podIPs")
    host_ip: str = msgspec.field(default="", name="hostIP")
    conditions: list[PodCondition] | None = None


class Pod(Object, frozen=True):
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    @property
    def ips(self) -> tuple[str, ...]:
        found = [p.ip for p in self.status.pod_ips or [] if p.ip]
        return tuple(found) or ((self.status.pod_ip,) if self.status.pod_ip else ())

    def condition(self, kind: str) -> PodCondition | None:
        return next((c for c in self.status.conditions or [] if c.type == kind), None)

    @property
    def is_ready(self) -> bool:
        ready = self.condition("Ready")
        return ready is not None and ready.status == "True"

    @property
    def is_terminating(self) -> bool:
        return self.metadata.deletion_timestamp is not None

    @property
    def is_finished(self) -> bool:
        return self.status.phase in ("Succeeded", "Failed")
