"""What may be told a proxy beside its node: the mode, the families, where ranges come from, how long it may take."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from seamark.compile.addresses import Family, family_of
from seamark.compile.ruleset import NodeConfig
from seamark.machinery.gvr import GVR
from seamark.model.meta import Object, Projection
from seamark.proxy.backend import Backend, NftablesBackend

SERVICECIDRS = GVR("networking.k8s.io", "v1", "servicecidrs", "ServiceCIDR", namespaced=False)
FAMILIES: tuple[Family, ...] = ("IPv4", "IPv6")


class ServiceCIDRSpec(Projection, frozen=True):
    cidrs: list[str] | None = None


class ServiceCIDR(Object, frozen=True):
    spec: ServiceCIDRSpec = ServiceCIDRSpec()


class ProxyError(Exception):
    """The proxy cannot work: says what is missing."""


@dataclass(frozen=True, slots=True)
class ProxyOptions:
    """``families`` empty = those the configuration has ranges of. ``pod_cidrs_of_node``: the Node's podCIDRs tell who
    is local. ``service_cidrs_of_api``: the service ranges are the API's ServiceCIDR objects. ``sysctls`` are
    written once the first rules are in force, which is when connection tracking is there. Periods are seconds;
    a minimum period is needed by nobody here, but an operator may want one.
    """

    backend: Backend = field(default_factory=NftablesBackend)
    families: tuple[Family, ...] = ()
    pod_cidrs_of_node: bool = False
    service_cidrs_of_api: bool = False
    sysctls: Mapping[str, str] = field(default_factory=dict)
    sync_period: float = 30.0
    min_sync_period: float = 0.0


def families_of(config: NodeConfig) -> tuple[Family, ...]:
    """The families the cluster has Services in; IPv4 where nothing tells."""
    found = {family_of(cidr.partition("/")[0]) for cidr in (*config.service_cidrs, *config.pod_cidrs)}
    return tuple(family for family in FAMILIES if family in found) or ("IPv4",)
