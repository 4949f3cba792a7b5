"""Node ports on 127.0.0.1 and ::1, beside any mode: a backend around a backend.

Kernel rules cannot send loopback's packets elsewhere without opening loopback to the network (``route_localnet``), so a
forwarder in this process serves these ports. They end with the process; the rules of the mode itself stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from seamark.compile.ruleset import Family, NodeConfig, PortKey, PortRules
from seamark.proxy.backend import Backend, RuleTable
from seamark.proxy.userspacetable import LoopbackPorts


@dataclass(frozen=True, slots=True)
class WithLoopbackPorts:
    inner: Backend

    @property
    def mode(self) -> str:
        return self.inner.mode

    @property
    def tracked(self) -> bool:
        return self.inner.tracked

    def open(self, node: NodeConfig, family: Family, namespace: Path | None) -> RuleTable:
        return _Both(self.inner.open(node, family, namespace), LoopbackPorts(node, family, namespace))

    async def remove(self, families: Iterable[Family], namespace: Path | None) -> bool:
        return await self.inner.remove(families, namespace)


class _Both:
    def __init__(self, rules: RuleTable, loopback: LoopbackPorts) -> None:
        self._rules = rules
        self._loopback = loopback

    @property
    def node(self) -> NodeConfig:
        return self._rules.node

    @property
    def mended(self) -> int:
        return self._rules.mended

    def close(self) -> None:
        self._loopback.close()
        self._rules.close()

    def is_new(self) -> bool:
        return self._rules.is_new()

    async def start(self, ports: Mapping[PortKey, PortRules]) -> None:
        await self._rules.start(ports)
        await self._loopback.start(ports)

    async def apply(self, changes: Mapping[PortKey, PortRules | None]) -> int:
        moved = await self._rules.apply(changes)
        await self._loopback.apply(changes)
        return moved

    async def check(self) -> bool:
        await self._loopback.check()
        return await self._rules.check()
