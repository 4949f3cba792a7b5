"""Object metadata, and the key and provenance every projection carries.

Projections hold only the fields Seamark reads; unknown fields are ignored on decode, and the full object stays
in the registry as bytes. Times stay text (RFC 3339), as in the API.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
HEADLESS_LABEL = "service.kubernetes.io/headless"
SERVICE_PROXY_NAME_LABEL = "service.kubernetes.io/service-proxy-name"
LAST_CHANGE_TRIGGER_TIME = "endpoints.kubernetes.io/last-change-trigger-time"


class Projection(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True, gc=False):
    """Base of all projections: frozen, camelCase on the wire, absent means default. They cannot form cycles, so the
    garbage collector need not look at them.

    Go encodes an empty slice or map as ``null``; decode with :func:`seamark.model.codec.decode`, which drops them.
    """


class OwnerReference(Projection, frozen=True):
    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool = False
    block_owner_deletion: bool = False


class ObjectMeta(Projection, frozen=True):
    name: str = ""
    generate_name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    deletion_grace_period_seconds: int | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: list[OwnerReference] | None = None
    finalizers: list[str] | None = None


class ObjectKey(NamedTuple):
    """``namespace/name``; cluster-scoped objects have an empty namespace."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


class Provenance(NamedTuple):
    """The object behind an answer (DESIGN §4.2). ``committed`` is Unix seconds (UTC), 0.0 where unknown."""

    kind: str
    namespace: str
    name: str
    resource_version: str
    committed: float = 0.0

    def __str__(self) -> str:
        where = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {where}@{self.resource_version or '?'}"


UNKNOWN = Provenance("", "", "", "")


class Object(Projection, frozen=True):
    """Any object, by its metadata alone."""

    api_version: str = ""
    kind: str = ""
    metadata: ObjectMeta = ObjectMeta()

    @property
    def key(self) -> ObjectKey:
        return ObjectKey(self.metadata.namespace, self.metadata.name)

    @property
    def labels(self) -> dict[str, str]:
        return self.metadata.labels or {}

    @property
    def annotations(self) -> dict[str, str]:
        return self.metadata.annotations or {}

    def provenance(self, committed: float = 0.0) -> Provenance:
        meta = self.metadata
        return Provenance(type(self).__name__, meta.namespace, meta.name, meta.resource_version, committed)
