"""The node as its proxy sees it: the configuration, completed by what the API says of the Node and of the ranges."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace

from seamark.compile.ruleset import NodeConfig
from seamark.model.node import ZONE_LABEL, Node
from seamark.proxy.options import ProxyError, ProxyOptions, ServiceCIDR

NODE_PATIENCE = 300.0
"""Seconds to wait for a Node's pod range where that is what tells pods from others."""


class NodeView:
    def __init__(self, config: NodeConfig, options: ProxyOptions) -> None:
        self._config = config
        self._options = options
        self._node: Node | None = None
        self._ranges: tuple[str, ...] = ()
        self._known = asyncio.Event()

    def observe_node(self, node: Node | None) -> None:
        """A proxy outlives its Node object: traffic goes on."""
        self._node = node or self._node

    def observe_ranges(self, ranges: Iterable[ServiceCIDR]) -> None:
        self._ranges = tuple(sorted({cidr for item in ranges for cidr in item.spec.cidrs or []}))

    def decide(self) -> NodeConfig:
        config, node = self._config, self._node
        if self._options.service_cidrs_of_api:
            config = replace(config, service_cidrs=self._ranges)
        if node is not None:
            zone = node.labels.get(ZONE_LABEL, "") or config.zone
            config = replace(config, zone=zone, node_ips=config.node_ips or node.internal_ips)
            pods = tuple(node.spec.pod_cidrs or ([node.spec.pod_cidr] if node.spec.pod_cidr else []))
            if self._options.pod_cidrs_of_node and pods:
                config = replace(config, pod_cidrs=pods)
                self._known.set()
        return config

    async def wait(self) -> None:
        """Without its pod range the proxy would take every pod for an outsider."""
        if not self._options.pod_cidrs_of_node:
            return
        try:
            async with asyncio.timeout(NODE_PATIENCE):
                await self._known.wait()
        except TimeoutError:
            name = self._config.name
            raise ProxyError(f"Node {name}: spec.podCIDRs: none within {NODE_PATIENCE:g} s") from None
