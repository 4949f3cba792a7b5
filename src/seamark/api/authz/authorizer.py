"""The authoriser of the API server: administrators, roles, nodes, in that order; whoever nothing allows is refused.

It keeps its own index over the store's roles and bindings and, once a node has asked, over pods, and looks for news
before each decision: a role changed by a request that was answered counts from the next request on. Before ``start``
it allows only system:masters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import msgspec

from seamark.api.authz.graph import NodeGraph
from seamark.api.authz.node import judge_node, node_name
from seamark.api.authz.rbac import PREFIX, RbacIndex
from seamark.machinery.authorize import Attributes, refuse
from seamark.machinery.status import StatusError
from seamark.machinery.wire import ADMIN_GROUP, Identity
from seamark.resources.registry import Registry
from seamark.store.base import CompactedError, Store, Watch

_PODS = "/registry/core/pods/"
_NODE_ROLE = "system:node"


class Index(Protocol):
    """State that follows a part of the store."""

    def put(self, key: str, obj: Mapping[str, Any], /) -> None: ...

    def drop(self, key: str, /) -> None: ...


I = TypeVar("I", bound=Index)  # noqa: E741


class Followed(Generic[I]):
    """An index and the watch that keeps it current; begun anew when the watch lagged too far behind."""

    def __init__(self, store: Store, prefix: str, make: Callable[[], I]) -> None:
        self._store = store
        self._prefix = prefix
        self._make = make
        self._watch: Watch | None = None
        self.index = make()

    @property
    def loaded(self) -> bool:
        return self._watch is not None

    async def load(self) -> None:
        page = await self._store.list(prefix=self._prefix)
        index = self._make()
        for entry in page.entries:
            index.put(entry.key, msgspec.json.decode(entry.value))
        if self._watch is not None:
            self._watch.close()
        self._watch = self._store.watch(prefix=self._prefix, after=page.revision)
        self.index = index

    async def current(self) -> I:
        """The index with everything in it that the store has told until now."""
        if self._watch is None:
            return self.index
        try:
            events = self._watch.take()
        except CompactedError:
            await self.load()
            return self.index
        for event in events:
            if event.value is None:
                self.index.drop(event.key)
            else:
                self.index.put(event.key, msgspec.json.decode(event.value))
        return self.index


class Decision(NamedTuple):
    allowed: bool
    reason: str = ""


class Authorizer:
    def __init__(self, store: Store, registry: Registry) -> None:
        self._store = store
        self._registry = registry
        self._rbac = Followed(store, PREFIX, RbacIndex)
        self._pods = Followed(store, _PODS, NodeGraph)

    async def start(self) -> None:
        await self._rbac.load()

    async def rules(self) -> RbacIndex:
        """The roles as they are now."""
        return await self._rbac.current()

    async def check(self, who: Identity, asked: Attributes) -> None:
        """Raises the 403 that says what ``who`` may not do."""
        if ADMIN_GROUP in who.groups:
            return
        index = await self._rbac.current()
        if index.allowed(who.user, who.groups, asked):
            return
        decision = await self.decide(who, asked)
        if not decision.allowed:
            raise refuse(who.user, asked, decision.reason)

    async def decide(self, who: Identity, asked: Attributes) -> Decision:
        """The same with the reason, for reviews."""
        if ADMIN_GROUP in who.groups:
            return Decision(True)
        reasons: list[str] = []
        node = node_name(who.user, who.groups)
        if node is not None:
            allowed, reason = await self._judge_node(node, asked)
            if allowed:
                return Decision(True)
            reasons.append(reason)
        index = await self._rbac.current()
        allowed, reason = index.explain(who.user, who.groups, asked)
        if allowed:
            return Decision(True, reason)
        return Decision(False, "\n".join(r for r in (*reasons, reason) if r))

    async def _judge_node(self, node: str, asked: Attributes) -> tuple[bool, str]:
        if not self._rbac.loaded:
            return False, ""
        if not self._pods.loaded:
            await self._pods.load()
        graph = await self._pods.current()
        if asked.resource == "persistentvolumes" and await self._is_claimed(node, asked, graph):
            return True, ""
        try:
            rules = (await self._rbac.current()).role_rules("ClusterRole", _NODE_ROLE, "")
        except StatusError:
            rules = ()
        return judge_node(node, asked, graph, rules)

    async def _is_claimed(self, node: str, asked: Attributes, graph: NodeGraph) -> bool:
        """Whether a claim of one of the node's pods is bound to the volume."""
        row = self._registry.by_kind("", "PersistentVolumeClaim")
        if row is None or asked.verb != "get" or asked.subresource:
            return False
        for claim in graph.claims(node):
            entry = await self._store.get(key=row.key(claim.namespace, claim.name))
            spec = msgspec.json.decode(entry.value).get("spec") if entry else None
            if spec and spec.get("volumeName") == asked.name:
                return True
        return False
