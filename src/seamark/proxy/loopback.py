"""Node ports on 127.0.0.1 and ::1, beside any mode.

Kernel rules cannot send loopback's packets elsewhere without opening loopback to the network (``route_localnet``), so a
forwarder in this process serves these ports. They end with the process; the rules of the mode itself stay.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from seamark.compile.ruleset import Family, NodeConfig
from seamark.proxy.beside import Accompanied
from seamark.proxy.userspacetable import LoopbackPorts


@dataclass(frozen=True, slots=True)
class WithLoopbackPorts(Accompanied):
    def open_companion(self, node: NodeConfig, family: Family, namespace: Path | None) -> LoopbackPorts:
        return LoopbackPorts(node, family, namespace)
