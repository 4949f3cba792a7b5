"""connect() of this node's pods answered by BPF, beside the rules of any mode: for those who ask for it.

The rules stay whole and serve everything the hook leaves to them. Where the kernel refuses the hook, at the start or
later, one line says so and the rules go on alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from seamark.compile.connecthook import HookMirror
from seamark.compile.ruleset import Family, NodeConfig, PortKey, PortRules
from seamark.linux.connecthook import ENDPOINTS, FRONTENDS, ConnectHook
from seamark.proxy.beside import Accompanied

logger = logging.getLogger(__name__)

BIG = 2000
"""Changes of more elements are made from a thread, so that the event loop goes on."""


@dataclass(frozen=True, slots=True)
class WithConnectHook(Accompanied):
    """``cgroup``: the directory of the cgroup (v2) whose processes, and those below it, are answered."""

    cgroup: Path

    def open_companion(self, node: NodeConfig, family: Family, namespace: Path | None) -> HookTable:
        return HookTable(node, family, namespace, self.cgroup)


class HookTable:
    """``start`` first, then ``apply``, never two at once."""

    def __init__(self, node: NodeConfig, family: Family, namespace: Path | None, cgroup: Path) -> None:
        self._mirror = HookMirror(node, frontends=FRONTENDS, endpoints=ENDPOINTS)
        self._node, self._family, self._namespace, self._cgroup = node, family, namespace, cgroup
        self._hook: ConnectHook | None = None

    def close(self) -> None:
        if self._hook is not None:
            self._hook.close()
            self._hook = None

    async def start(self, ports: Mapping[PortKey, PortRules]) -> None:
        """The first connection is answered when all is loaded."""
        try:
            self._hook = ConnectHook(self._namespace, ipv6=self._family == "IPv6")
            await self._change(self._hook, ports)
            self._hook.attach(self._cgroup)
        except OSError as error:
            self._give_up(error)

    async def apply(self, changes: Mapping[PortKey, PortRules | None]) -> int:
        if self._hook is None:
            return 0
        try:
            return await self._change(self._hook, changes)
        except OSError as error:
            self._give_up(error)
            return 0

    async def check(self) -> bool:
        """Nobody else can change the maps."""
        return False

    async def _change(self, hook: ConnectHook, changes: Mapping[PortKey, PortRules | None]) -> int:
        batch = self._mirror.update(changes)
        if batch.size > BIG:
            await asyncio.to_thread(hook.apply, batch)
        else:
            hook.apply(batch)
        return batch.size

    def _give_up(self, error: OSError) -> None:
        self.close()
        refused, _, verifier = (error.strerror or str(error)).partition("\n")
        place = f"node={self._node.name} family={self._family} cgroup={self._cgroup}"
        logger.warning("no connect hook, the rules go on alone %s error=%s", place, refused)
        if verifier:
            logger.debug("the verifier of BPF says: %s", verifier)
