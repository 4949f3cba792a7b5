"""A ServiceCIDR, the others and the addresses that are taken -> what to do with it; pure.

It may go when a larger range, or another of the same size, holds all its addresses, or when no ClusterIP lies in it
alone. Then it still waits a little: an API server may not have heard yet that it is going.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from seamark.machinery.clock import parse_time
from seamark.model.ipaddress import IPAddress, ServiceCidr

FINALIZER = "networking.k8s.io/service-cidr-finalizer"
GRACE = 10.0
READY = ("True", "", "Kubernetes Service CIDR is ready")
TERMINATING = (
    "False",
    "Terminating",
    "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR",
)


@dataclass(frozen=True, slots=True)
class SetFinalizers:
    finalizers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SetReady:
    """The condition Ready becomes this."""

    status: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Wait:
    seconds: float


Action = SetFinalizers | SetReady | Wait


def plan_servicecidr(
    one: ServiceCidr, others: Sequence[ServiceCidr], addresses: Iterable[IPAddress], *, now: float
) -> tuple[Action, ...]:
    """``others`` without itself."""
    finalizers = tuple(one.metadata.finalizers or ())
    if one.metadata.deletion_timestamp is None:
        add = () if FINALIZER in finalizers else (SetFinalizers((*finalizers, FINALIZER)),)
        return (*add, *_told(one, *READY))
    if FINALIZER not in finalizers:
        return ()
    if not is_expendable(one, others, addresses):
        return _told(one, *TERMINATING)
    left = GRACE - (now - parse_time(one.metadata.deletion_timestamp))
    return (Wait(left),) if left > 0 else (SetFinalizers(tuple(f for f in finalizers if f != FINALIZER)),)


def _told(one: ServiceCidr, status: str, reason: str, message: str) -> tuple[SetReady, ...]:
    ready = next((c for c in one.status.conditions or () if c.type == "Ready"), None)
    if ready is not None and ready.status == status == "True":
        return ()  # whoever said so may have said it in other words
    told = ready is not None and (ready.status, ready.reason, ready.message) == (status, reason, message)
    return () if told else (SetReady(status, reason, message),)


def is_expendable(one: ServiceCidr, others: Sequence[ServiceCidr], addresses: Iterable[IPAddress]) -> bool:
    mine = [ip_network(cidr) for cidr in one.cidrs]
    theirs = [ip_network(cidr) for other in others for cidr in other.cidrs]
    if all(any(small.version == large.version and small.subnet_of(large) for large in theirs) for small in mine):  # type: ignore[arg-type]
        return True
    for address in addresses:
        if address.is_allocated:
            ip = ip_address(address.metadata.name)
            if any(ip in network for network in mine) and not any(ip in network for network in theirs):
                return False
    return True
