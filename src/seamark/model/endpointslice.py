"""discovery.k8s.io/v1 EndpointSlice, as far as Seamark reads it.

Unset conditions mean: ready true, serving = ready, terminating false (discovery/v1 types).
"""

from __future__ import annotations

from seamark.model.meta import SERVICE_NAME_LABEL, Object, ObjectKey, Projection


class ObjectReference(Projection, frozen=True):
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""


class EndpointConditions(Projection, frozen=True):
    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class ForZone(Projection, frozen=True):
    name: str = ""


class EndpointHints(Projection, frozen=True):
    for_zones: list[ForZone] | None = None
    for_nodes: list[ForZone] | None = None


class Endpoint(Projection, frozen=True):
    addresses: list[str] | None = None
    conditions: EndpointConditions | None = None
    hostname: str | None = None
    target_ref: ObjectReference | None = None
    node_name: str | None = None
    zone: str | None = None
    hints: EndpointHints | None = None

    @property
    def is_ready(self) -> bool:
        return self.conditions is None or self.conditions.ready is not False

    @property
    def is_serving(self) -> bool:
        if self.conditions is None or self.conditions.serving is None:
            return self.is_ready
        return self.conditions.serving

    @property
    def is_terminating(self) -> bool:
        return self.conditions is not None and self.conditions.terminating is True


class EndpointPort(Projection, frozen=True):
    name: str | None = None
    protocol: str | None = None
    port: int | None = None
    app_protocol: str | None = None


class EndpointSlice(Object, frozen=True):
    address_type: str = "IPv4"
    endpoints: list[Endpoint] | None = None
    ports: list[EndpointPort] | None = None

    @property
    def service_key(self) -> ObjectKey | None:
        """The Service this slice belongs to, by its label; None for an unlabelled slice."""
        name = self.labels.get(SERVICE_NAME_LABEL)
        return ObjectKey(self.metadata.namespace, name) if name else None
