"""core/v1 Endpoints, whole: this controller writes all of it. An absent list and an empty one are the same."""

from __future__ import annotations

from seamark.model.endpointslice import EndpointPort, ObjectReference
from seamark.model.meta import Object, Projection


class EndpointAddress(Projection, frozen=True):
    ip: str = ""
    hostname: str = ""
    node_name: str | None = None
    target_ref: ObjectReference | None = None


class EndpointSubset(Projection, frozen=True):
    addresses: list[EndpointAddress] | None = None
    not_ready_addresses: list[EndpointAddress] | None = None
    ports: list[EndpointPort] | None = None


class Endpoints(Object, frozen=True):
    subsets: list[EndpointSubset] | None = None
