"""The fields of a pod and of a node that only the scheduler reads."""

from __future__ import annotations

from typing import Any

import msgspec

from seamark.model.node import Node, NodeStatus
from seamark.model.pod import Container, ContainerPort, Pod, PodSpec
from seamark.model.volume import PodVolume


class Resources(msgspec.Struct, frozen=True):
    requests: dict[str, str | int | float] | None = None


class HostedPort(ContainerPort, frozen=True):
    host_ip: str = msgspec.field(default="", name="hostIP")


class RequestingContainer(Container, frozen=True):
    ports: list[HostedPort] | None = None  # type: ignore[assignment]  # a wider projection of the same
    resources: Resources = Resources()
    restart_policy: str | None = None


class SchedulingGate(msgspec.Struct, frozen=True):
    name: str = ""


class RequestingSpec(PodSpec, frozen=True):
    containers: list[RequestingContainer] | None = None  # type: ignore[assignment]
    init_containers: list[RequestingContainer] | None = None  # type: ignore[assignment]
    affinity: dict[str, Any] | None = None
    tolerations: list[dict[str, Any]] | None = None
    topology_spread_constraints: list[dict[str, Any]] | None = None
    overhead: dict[str, str | int | float] | None = None
    scheduling_gates: list[SchedulingGate] | None = None
    priority: int | None = None
    volumes: list[PodVolume] | None = None


class RequestingPod(Pod, frozen=True):
    spec: RequestingSpec = RequestingSpec()


class OfferingStatus(NodeStatus, frozen=True):
    allocatable: dict[str, str | int | float] | None = None


class OfferingNode(Node, frozen=True):
    status: OfferingStatus = OfferingStatus()
