"""What every verb is given: the server's parts (``Core``) and the request as understood (``Call``)."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from seamark.api.authz.authorizer import Authorizer
from seamark.api.config import ApiConfig
from seamark.api.customs import CustomKinds
from seamark.api.ranges import AddressFollower
from seamark.machinery.clock import Clock
from seamark.machinery.gvr import GVR
from seamark.machinery.streams import NodeStreams
from seamark.machinery.wire import Identity, Request
from seamark.resources.core.allocators import ServicePools
from seamark.resources.registry import Registry, Resource
from seamark.store.base import Store

NodeLookup = Callable[[str], NodeStreams | None]


def no_nodes(_: str) -> None:
    """The node lookup of a cluster without agents."""


@dataclass(frozen=True, slots=True)
class Core:
    store: Store
    registry: Registry
    clock: Clock
    config: ApiConfig
    pools: ServicePools
    addresses: AddressFollower
    authorizer: Authorizer
    customs: CustomKinds
    nodes: NodeLookup = no_nodes
    random: random.Random = field(default_factory=random.SystemRandom)


@dataclass(frozen=True, slots=True)
class Target:
    """What a path names. ``gvr`` is how it was asked for, ``row.gvr`` how it is stored."""

    row: Resource
    gvr: GVR
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    watch: bool = False  # the old /watch/ prefix

    @property
    def key(self) -> str:
        return self.row.key(self.namespace, self.name)

    @property
    def prefix(self) -> str:
        """The store prefix of the collection."""
        return f"{self.row.key_prefix}{self.namespace}/" if self.namespace else self.row.key_prefix


@dataclass(frozen=True, slots=True)
class Call:
    """``warnings`` collects what the answer says in Warning headers, whether it is a failure or not."""

    request: Request
    target: Target
    identity: Identity
    warnings: list[str] = field(default_factory=list, compare=False)

    @property
    def dry_run(self) -> bool:
        return bool(self.request.param("dryRun"))

    @property
    def manager(self) -> str:
        """The fieldManager: as given, else the user agent's first word (apiserver's managerOrUserAgent)."""
        given = self.request.param("fieldManager")
        return given or self.request.headers.get("user-agent", "unknown").split("/", 1)[0][:128] or "unknown"
