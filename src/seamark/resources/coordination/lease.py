"""coordination.k8s.io/v1 Lease: who holds a role, and since when."""

from __future__ import annotations

from seamark.machinery import gvr
from seamark.resources.registry import Resource

LEASE = Resource(
    gvr=gvr.LEASES,
    singular="lease",
    allows_create_on_update=True,
    unconditional_update=False,
)
