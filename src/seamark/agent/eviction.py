"""When a node runs short: which thresholds are met, which pod has to go, and what is said about it (pure).

Thresholds are written as for kubelet's ``--eviction-hard``. Memory comes before disk, disk before process ids. Of the
pods those go first that use more than they asked for, then those of lower priority, then those furthest above their
request; critical ones (static, or of a system priority) never.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from seamark.agent.look import Ending
from seamark.agent.pod_state import compute_qos_class
from seamark.agent.podspec import Pod
from seamark.machinery.nodematch import untolerated
from seamark.machinery.quantity import Quantity, QuantityError, parse_quantity
from seamark.model.node import Taint

REASON = "Evicted"
GRACE = 1.0  # of a hard threshold: the pod's own patience does not count
TRANSITION = 300.0  # seconds for which a condition stays after its threshold was met
CRITICAL = 2_000_000_000
MEMORY_PRESSURE = "node.kubernetes.io/memory-pressure"
NANO = 10**9


@dataclass(frozen=True, slots=True)
class Signal:
    """``condition`` of the Node that it raises, and the ``resource`` that runs short."""

    name: str
    condition: str
    resource: str


SIGNALS = (
    Signal("memory.available", "MemoryPressure", "memory"),
    Signal("nodefs.available", "DiskPressure", "ephemeral-storage"),
    Signal("nodefs.inodesFree", "DiskPressure", "inodes"),
    Signal("imagefs.available", "DiskPressure", "ephemeral-storage"),
    Signal("imagefs.inodesFree", "DiskPressure", "inodes"),
    Signal("pid.available", "PIDPressure", "pids"),
)
BY_NAME = {signal.name: signal for signal in SIGNALS}


@dataclass(frozen=True, slots=True)
class Threshold:
    """``quantity`` or, where that is None, ``percent`` of what there is in all."""

    signal: Signal
    quantity: int | None
    percent: float = 0.0

    def least(self, capacity: int) -> int:
        return int(capacity * self.percent / 100) if self.quantity is None else self.quantity


@dataclass(frozen=True, slots=True)
class Observation:
    available: int
    capacity: int


@dataclass(frozen=True, slots=True)
class Usage:
    """Of one pod, by container; ``rest`` is what belongs to none (volumes)."""

    containers: Mapping[str, int] = field(default_factory=dict)
    rest: int = 0

    @property
    def total(self) -> int:
        return sum(self.containers.values()) + self.rest


Observations = Mapping[str, Observation]


class ThresholdError(ValueError):
    """Names the part of the text that is no threshold."""


def parse_thresholds(text: str) -> tuple[Threshold, ...]:
    """``memory.available<100Mi,nodefs.available<5%``; empty for none. Raises ThresholdError."""
    found: dict[str, Threshold] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, less, value = part.partition("<")
        if not less or name not in BY_NAME:
            raise ThresholdError(f"{part!r}: write SIGNAL<QUANTITY or SIGNAL<N%, SIGNAL one of {', '.join(BY_NAME)}")
        if name in found:
            raise ThresholdError(f"{part!r}: {name} has a threshold already")
        found[name] = _parse_threshold(BY_NAME[name], value, part)
    return tuple(found[signal.name] for signal in SIGNALS if signal.name in found)


def _parse_threshold(signal: Signal, value: str, part: str) -> Threshold:
    try:
        if value.endswith("%"):
            percent = float(value.removesuffix("%"))
            if 0 <= percent < 100:
                return Threshold(signal, None, percent)
            raise ThresholdError(f"{part!r}: a percentage is from 0 to below 100")
        quantity = int(parse_quantity(value))
    except (QuantityError, ValueError) as error:
        raise ThresholdError(f"{part!r}: {error}") from None
    if quantity < 0:
        raise ThresholdError(f"{part!r}: not below zero")
    return Threshold(signal, quantity)


def select_met(thresholds: Iterable[Threshold], seen: Observations) -> tuple[Threshold, ...]:
    """A signal that cannot be observed here (a filesystem that counts no inodes) is never met."""
    return tuple(
        t
        for t in thresholds
        if t.signal.name in seen and seen[t.signal.name].available < t.least(seen[t.signal.name].capacity)
    )


def is_critical(pod: Pod) -> bool:
    return bool(pod.static_uid) or pod.spec.priority >= CRITICAL


def rank_pods(pods: Iterable[Pod], resource: str, usages: Mapping[str, Usage]) -> list[Pod]:
    """Who goes first, by uid in ``usages``."""

    def above(pod: Pod) -> int:
        return usages.get(pod.uid, Usage()).total - _request(pod, resource)

    return sorted(pods, key=lambda pod: (above(pod) <= 0, pod.spec.priority, -above(pod)))


def _request(pod: Pod, resource: str) -> int:
    return sum(_container_request(pod, container.name, resource) for container in pod.spec.containers)


def _container_request(pod: Pod, name: str, resource: str) -> int:
    container = pod.container(name)
    requests = (container.resources.requests if container else None) or {}
    return int(parse_quantity(requests[resource])) if resource in requests else 0


def render_ending(pod: Pod, threshold: Threshold, seen: Observations, usage: Usage) -> Ending:
    """In kubelet's words."""
    resource = threshold.signal.resource
    observed = seen[threshold.signal.name]
    text = f"The node was low on resource: {resource}. "
    text += f"Threshold quantity: {render_amount(threshold.least(observed.capacity))}, "
    text += f"available: {render_amount(observed.available)}. "
    for name, used in usage.containers.items():
        asked = _container_request(pod, name, resource)
        if used > asked:
            text += f"Container {name} was using {render_amount(used)}, request is {render_amount(asked)}, "
            text += f"has larger consumption of {resource}. "
    return Ending(REASON, text, GRACE, disruption=True)


def render_amount(value: int) -> str:
    return str(Quantity(value * NANO, "BinarySI"))


def select_refusal(pod: Pod, pressures: frozenset[str]) -> Ending | None:
    """Why a node under pressure does not take the pod."""
    if not pressures or is_critical(pod):
        return None
    if pressures == {"MemoryPressure"}:
        taint = Taint(MEMORY_PRESSURE, "", "NoSchedule")
        if compute_qos_class(pod) != "BestEffort" or not untolerated(
            (taint,), pod.spec.tolerations or (), effects=("NoSchedule",)
        ):
            return None
    return Ending(REASON, f"The node had condition: [{' '.join(sorted(pressures))}]. ")
