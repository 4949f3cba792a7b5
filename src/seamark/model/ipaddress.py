"""networking.k8s.io/v1 IPAddress and ServiceCIDR, as far as Seamark reads them."""

from __future__ import annotations

import msgspec

from seamark.model.meta import Object, Projection

FAMILY_LABEL = "ipaddress.kubernetes.io/ip-family"
MANAGED_BY_LABEL = "ipaddress.kubernetes.io/managed-by"
ALLOCATOR = "ipallocator.k8s.io"


class RangeCondition(Projection, frozen=True):
    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    last_transition_time: str | None = None


class ServiceCidrSpec(Projection, frozen=True):
    cidrs: list[str] | None = None


class ServiceCidrStatus(Projection, frozen=True):
    conditions: list[RangeCondition] | None = None


class ServiceCidr(Object, frozen=True):
    spec: ServiceCidrSpec = ServiceCidrSpec()
    status: ServiceCidrStatus = ServiceCidrStatus()

    @property
    def cidrs(self) -> list[str]:
        return self.spec.cidrs or []


class ParentReference(Projection, frozen=True):
    group: str = ""
    resource: str = ""
    namespace: str = ""
    name: str = ""


class IPAddressSpec(Projection, frozen=True):
    parent_ref: ParentReference = ParentReference()


class IPAddress(Object, frozen=True):
    """Its name is the address."""

    spec: IPAddressSpec = msgspec.field(default_factory=IPAddressSpec)

    @property
    def is_allocated(self) -> bool:
        """Whether the API server made it, for a Service."""
        return self.labels.get(MANAGED_BY_LABEL) == ALLOCATOR
