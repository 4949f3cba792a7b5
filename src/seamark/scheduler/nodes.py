"""A node as the scheduler sees it: the Node, its pods, and the sums over them; pure.

Sums follow changes and are never recounted: a decision costs work in proportion to the nodes, not to the pods.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from seamark.machinery.quantity import QuantityError, parse_quantity
from seamark.scheduler.podspec import OfferingNode, RequestingContainer, RequestingPod

Amounts = dict[str, int]
Term = Mapping[str, Any]


class HostPort(NamedTuple):
    protocol: str
    port: int
    ip: str

    def collides(self, other: HostPort) -> bool:
        same = (self.protocol, self.port) == (other.protocol, other.port)
        return same and (self.ip == other.ip or not self.ip or not other.ip)


REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


@dataclass
class NodeState:
    """A node and the sums over its pods; kept up to date by ``add`` and ``remove``."""

    node: OfferingNode | None = None
    pods: dict[str, RequestingPod] = field(default_factory=dict)
    used: Counter[str] = field(default_factory=Counter)
    owners: Counter[str] = field(default_factory=Counter)
    apart: dict[str, RequestingPod] = field(default_factory=dict)  # those that keep others away
    ports: Counter[HostPort] = field(default_factory=Counter)

    def has_free(self, wanted: Iterable[HostPort]) -> bool:
        return not any(port.collides(taken) for port in wanted for taken, count in self.ports.items() if count)

    def add(self, pod: RequestingPod) -> None:
        self.pods[pod.metadata.uid] = pod
        if pod_terms(pod, "podAntiAffinity"):
            self.apart[pod.metadata.uid] = pod
        self._count(pod, 1)

    def remove(self, uid: str) -> None:
        pod = self.pods.pop(uid, None)
        self.apart.pop(uid, None)
        if pod is not None:
            self._count(pod, -1)

    def _count(self, pod: RequestingPod, by: int) -> None:
        for name, amount in requested(pod).items():
            self.used[name] += by * amount
        self.owners[owner_of(pod)] += by
        for port in host_ports(pod):
            self.ports[port] += by


def requested(pod: RequestingPod) -> Amounts:
    """CPU in thousandths, all else in units: the sum over containers or the largest init container, if that is more."""
    running: Counter[str] = Counter()
    starting: Counter[str] = Counter()
    for container in pod.spec.containers or ():
        running.update(_requests(container))
    for container in pod.spec.init_containers or ():
        amounts = _requests(container)
        if container.restart_policy == "Always":  # a sidecar stays (KEP-753)
            running.update(amounts)
        else:
            starting |= Counter(amounts)
    total = running | starting
    for name, value in (pod.spec.overhead or {}).items():
        total[name] += amount_of(name, value)
    return dict(total)


def _requests(container: RequestingContainer) -> Amounts:
    return {name: amount_of(name, value) for name, value in (container.resources.requests or {}).items()}


def amount_of(name: str, value: str | int | float) -> int:
    try:
        quantity = parse_quantity(value)
    except QuantityError:
        return 0  # the API refuses these; one that is stored all the same must not stop the scheduler
    return quantity.millis if name == "cpu" else int(quantity)


def host_ports(pod: RequestingPod) -> list[HostPort]:
    """Those of containers and sidecars. An unset hostIP means every address of the node."""
    sidecars = [c for c in pod.spec.init_containers or () if c.restart_policy == "Always"]
    containers: Iterable[RequestingContainer] = (*sidecars, *(pod.spec.containers or ()))
    return [
        HostPort(port.protocol, port.host_port, "" if port.host_ip in ("0.0.0.0", "::") else port.host_ip)
        for container in containers
        for port in container.ports or ()
        if port.host_port
    ]


def owner_of(pod: RequestingPod) -> str:
    return next((ref.uid for ref in pod.metadata.owner_references or () if ref.controller), "")


def pod_terms(pod: RequestingPod, kind: str) -> list[Term]:
    """The required terms of ``podAffinity`` or ``podAntiAffinity``."""
    return list(((pod.spec.affinity or {}).get(kind) or {}).get(REQUIRED) or ())
