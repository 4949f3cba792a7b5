"""What the nft table in the kernel says of one packet, element by element, as it is now: for ``seamark explain conn``.

Elements are asked for by key, so that a big table costs no more than a small one; nothing is changed.
"""

from __future__ import annotations

import re
import socket
from pathlib import Path

from seamark.compile.connecthook import place_bytes, render_place
from seamark.compile.nft import frontend_key
from seamark.compile.nftlayout import (
    PROTOCOLS,
    SETS,
    Layout,
    address_bytes,
    class_bytes,
    class_numbers,
    index_bytes,
    render_value,
)
from seamark.compile.nfttext import render_element
from seamark.compile.ruleset import Frontend, NodeConfig
from seamark.compile.tracer import Packet, origin_of, show
from seamark.compile.whyconn import KernelView
from seamark.linux.bpf import BpfError
from seamark.linux.cgroups import find_group
from seamark.linux.connecthook import find_answers
from seamark.linux.conntrack import Conntrack, Flow
from seamark.linux.nfnetlink import Nfnetlink, Table
from seamark.linux.nft import list_nft
from seamark.proxy.table import describe_table

CHAIN = re.compile(r"([an])(\d+)(?:_\d+)?")
ELEMENTS = re.compile(r"elements = \{([^}]*)\}", re.DOTALL)
MARKED = re.compile(
    r'(?:iifname != "(?P<bridge>[^"*]+)(?P<prefix>\*)?" )?meta mark set meta mark \| (?P<mark>0x[0-9a-f]+)'
)
MANY = 128
"""Endpoints of a pool that are shown; more are counted only."""


async def read_node(namespace: Path | None, layout: Layout, node: NodeConfig) -> NodeConfig:
    """The node as the rules in force have it: ranges, interfaces, the mark. Without a table of ours, as given."""
    table = (layout.nft_family, layout.table)
    found = {}
    for name in ("podnets", "svcnets", "nodenets"):
        elements = ELEMENTS.search(await list_nft(namespace, "set", *table, name))
        found[name] = tuple(text.strip() for text in elements[1].split(",")) if elements else ()
    marked = MARKED.search(await list_nft(namespace, "chain", *table, "cluster"))
    primary = "@nodeips" in await list_nft(namespace, "chain", *table, "dispatch")
    return NodeConfig(
        name=node.name,
        node_ips=node.node_ips,
        pod_cidrs=found["podnets"],
        service_cidrs=found["svcnets"],
        zone=node.zone,
        node_ports_on_node_ips_only=primary,
        node_port_cidrs=found["nodenets"],
        pod_bridge=marked["bridge"] or "" if marked and not marked["prefix"] else "",
        pod_interface_prefix=marked["bridge"] if marked and marked["prefix"] else "",
        masquerade_mark=int(marked["mark"], 16) if marked else node.masquerade_mark,
    )


async def read_view(namespace: Path | None, layout: Layout, packet: Packet, node: NodeConfig) -> KernelView:
    """What the kernel would do with the packet, and what it remembers of its sender."""
    flows, hooks = tuple(_flows(namespace, packet)), _hooks(namespace, packet)
    with Nfnetlink(namespace) as netlink:
        table = describe_table(layout)
        if not netlink.has_table(table.family, table.name):
            return KernelView(flows=flows, hooks=hooks)
        shown = f"{table.family} {table.name}"
        reader = _Reader(netlink, table, layout)
        element = reader.frontend(packet, node)
        if element is None:
            return KernelView(shown, flows=flows, hooks=hooks)
        name, key, pool = element
        chain = reader.chain(pool)
        rules = await list_nft(namespace, "chain", table.family, table.name, chain)
        return KernelView(
            shown,
            f"{name} {{ {render_element(layout, name, key, pool)} }}",
            tuple(line.strip() for line in rules.splitlines()[2:-2]),
            tuple(reader.endpoints(pool, chain)),
            reader.affinity(pool, chain, packet.source),
            flows,
            hooks,
        )


class _Reader:
    def __init__(self, netlink: Nfnetlink, table: Table, layout: Layout) -> None:
        self._netlink = netlink
        self._table = table
        self._layout = layout

    def frontend(self, packet: Packet, node: NodeConfig) -> tuple[str, bytes, bytes] | None:
        """(map, key, pool) by which the packet is dispatched, in the order of the chains."""
        outside = origin_of(packet, node) == "outside"
        whole = frontend_key(Frontend("external", packet.destination, packet.protocol, packet.port))
        port = frontend_key(Frontend("external", "", packet.protocol, packet.port))
        roles = [("cip", "", whole), ("ext", "extl", whole)]
        if packet.destination in node.node_ips and node.serves_node_ports_on(packet.destination):
            roles.append(("np", "npl", port))
        for name, local, key in roles:
            found = self._netlink.get(self._table, name, key)
            if found is None:
                continue
            near = self._netlink.get(self._table, local, key) if local and outside else None
            return (local, key, near[0]) if near else (name, key, found[0])
        return None

    def chain(self, pool: bytes) -> str:
        found = self._netlink.get(self._table, "kinds", class_bytes(class_numbers(pool)[0], 0))
        return found[0].decode() if found else ""

    def endpoints(self, pool: bytes, chain: str) -> list[str]:
        kind = CHAIN.fullmatch(chain)
        if kind is None:
            return []
        serial = class_bytes(0, class_numbers(pool)[1])
        places: dict[str, None] = {}
        for index in range(int(kind[2])):
            if kind[1] == "n":
                place = self._netlink.get(self._table, "eps", pool + index_bytes(index))
            else:
                pick = self._netlink.get(self._table, "pick", serial + index_bytes(index))
                place = self._netlink.get(self._table, "slots", pick[0]) if pick else None
            if place is not None:
                places[self._place(place[0])] = None
        return list(places)

    def affinity(self, pool: bytes, chain: str, client: str) -> str:
        """Where the client is remembered to go, and for how long."""
        if not chain.startswith("a"):
            return ""
        serial = class_bytes(0, class_numbers(pool)[1])
        found = self._netlink.get(self._table, "aff", serial + address_bytes(client))
        if found is None:
            return "not remembered yet: chosen with the next connection"
        place = self._netlink.get(self._table, "slots", found[0])
        shown = self._place(place[0]) if place else "an endpoint that has gone: chosen anew"
        return f"{shown}, " + (f"for {found[1]:.0f}s if it stays away" if found[1] else "pinned")

    def _place(self, data: bytes) -> str:
        ip, port = render_value(self._layout, SETS["eps"].data, data).split(" . ")
        return show(ip, int(port))


def _hooks(namespace: Path | None, packet: Packet) -> dict[str, tuple[str, ...]]:
    """What connect() is told by hooks of this node's proxy, by cgroup."""
    if packet.protocol != "TCP":
        return {}
    try:
        place = place_bytes(packet.destination, packet.port)
        answers = list(find_answers(place, namespace, ipv6=":" in packet.destination))
    except BpfError:  # this kernel, or this user, has no such thing
        return {}
    return {
        str(find_group(number) or f"cgroup number {number}"): tuple(map(render_place, places))
        for number, places in answers
    }


def _flows(namespace: Path | None, packet: Packet) -> list[str]:
    """Connections of this client to this address that are tracked now."""
    family = socket.AF_INET6 if ":" in packet.destination else socket.AF_INET
    with Conntrack(namespace) as tracker:
        found = tracker.flows(family, PROTOCOLS[packet.protocol], destination=packet.destination, port=packet.port)
    mine = [flow for flow in found if flow.client == packet.source]
    shown = [_flow(flow) for flow in mine[:MANY]]
    return shown + ([f"and {len(mine) - MANY} more"] if len(mine) > MANY else [])


def _flow(flow: Flow) -> str:
    answered = f"{show(flow.server, flow.server_port)} sees {flow.seen_as}"
    return f"from port {flow.client_port}: {answered}"
