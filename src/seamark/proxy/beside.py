"""A backend around a backend: something that is kept up to date beside the rules of any mode, always after them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from seamark.compile.ruleset import Family, NodeConfig, PortKey, PortRules
from seamark.proxy.backend import Backend, RuleTable


class Companion(Protocol):
    """What stands beside a rule table; it is called as that one is."""

    async def start(self, ports: Mapping[PortKey, PortRules]) -> None: ...

    async def apply(self, changes: Mapping[PortKey, PortRules | None]) -> int: ...

    async def check(self) -> bool: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Accompanied(ABC):
    """Leaves nothing behind of its own: companions end with the process."""

    inner: Backend

    @property
    def mode(self) -> str:
        return self.inner.mode

    @property
    def tracked(self) -> bool:
        return self.inner.tracked

    def open(self, node: NodeConfig, family: Family, namespace: Path | None) -> RuleTable:
        return _Both(self.inner.open(node, family, namespace), self.open_companion(node, family, namespace))

    @abstractmethod
    def open_companion(self, node: NodeConfig, family: Family, namespace: Path | None) -> Companion: ...

    async def remove(self, families: Iterable[Family], namespace: Path | None) -> bool:
        return await self.inner.remove(families, namespace)


class _Both:
    def __init__(self, rules: RuleTable, companion: Companion) -> None:
        self._rules = rules
        self._companion = companion

    @property
    def node(self) -> NodeConfig:
        return self._rules.node

    @property
    def mended(self) -> int:
        return self._rules.mended

    def close(self) -> None:
        self._companion.close()
        self._rules.close()

    def is_new(self) -> bool:
        return self._rules.is_new()

    async def start(self, ports: Mapping[PortKey, PortRules]) -> None:
        await self._rules.start(ports)
        await self._companion.start(ports)

    async def apply(self, changes: Mapping[PortKey, PortRules | None]) -> int:
        moved = await self._rules.apply(changes)
        await self._companion.apply(changes)
        return moved

    async def check(self) -> bool:
        await self._companion.check()
        return await self._rules.check()
