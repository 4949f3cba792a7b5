"""An nft table in memory: takes batches as the kernel does, errors included, and traces packets through its elements.

``trace`` reads the elements alone (it follows the chains of ``compile/nftlayout.py``, written down once more here as a
reader would explain them), so comparing it with ``compile/tracer.py``, which reads the Ruleset, tells whether the
elements mean what was decided. Affinity is traced as the set of endpoints a new client may get.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from ipaddress import ip_address

from seamark.compile.diff import Batch
from seamark.compile.nftlayout import (
    SETS,
    STATIC_KINDS,
    Layout,
    address_bytes,
    affinity_chain,
    class_bytes,
    class_numbers,
    index_bytes,
    port_bytes,
    proto_bytes,
    render_value,
)
from seamark.compile.ruleset import NodeConfig
from seamark.compile.tracer import PASS, Outcome, Packet, detects_pods, in_any, origin_of, show

CHAIN = re.compile(r"([an])(\d+)(?:_\d+)?")


class FakeNftError(Exception):
    """What the kernel would have refused; the whole batch is undone then."""


class FakeNft:
    """One table. ``sets`` is what ``nft list ruleset`` would show."""

    def __init__(self, node: NodeConfig, layout: Layout | None = None) -> None:
        self.node = node
        self.layout = layout or Layout()
        self.sets: dict[str, dict[bytes, bytes]] = {name: {} for name in SETS}
        self.chains: set[str] = set(STATIC_KINDS.values())

    def apply(self, batch: Batch) -> None:
        """Raises FakeNftError and changes nothing where the kernel would."""
        chains = self.chains | {affinity_chain(*kind) for kind in batch.chains}
        sets = {name: {} if batch.flush else dict(items) for name, items in self.sets.items()}
        for name, keys in batch.deletes.items():
            for key in keys:
                if key not in sets[name]:
                    raise FakeNftError(f"delete {name} {self._shown(name, key)}: no such element")
                del sets[name][key]
        for name, items in batch.adds.items():
            for key, data in items:
                if sets[name].setdefault(key, data) != data:
                    raise FakeNftError(f"add {name} {self._shown(name, key)}: exists with other data")
                if name == "kinds" and data.decode() not in chains:
                    raise FakeNftError(f"add kinds {self._shown(name, key)}: no chain {data.decode()}")
        self.sets, self.chains = sets, chains

    def trace(self, packet: Packet) -> Outcome:
        """Base chains prerouting and output: both go to ``dispatch``."""
        service = proto_bytes(packet.protocol) + port_bytes(packet.port)
        frontend = address_bytes(packet.destination) + service
        if frontend in self.sets["cip"]:
            return self._cluster(packet, self.sets["cip"][frontend])
        if frontend in self.sets["lbguard"] and not self._allowed(frontend, packet.source):
            return Outcome("drop")
        if frontend in self.sets["extl"]:
            return self._short_circuit(packet, self.sets["extl"][frontend], self.sets["ext"][frontend])
        if frontend in self.sets["ext"]:
            return self._go(packet, self.sets["ext"][frontend], mark=self.node.masquerade_mark)
        if packet.destination in self.node.node_ips and self.node.serves_node_ports_on(packet.destination):
            if service in self.sets["npl"]:
                return self._short_circuit(packet, self.sets["npl"][service], self.sets["np"][service])
            if service not in self.sets["np"]:
                return PASS
            return self._go(packet, self.sets["np"][service], mark=self.node.masquerade_mark)
        if address_bytes(packet.destination) in self.sets["vips"]:
            return Outcome("refuse")
        return Outcome("drop") if in_any(packet.destination, self.node.service_cidrs) else PASS

    def _cluster(self, packet: Packet, pool: bytes) -> Outcome:
        outsider = detects_pods(self.node) and origin_of(packet, self.node) != "pod"
        return self._go(packet, pool, mark=self.node.masquerade_mark if outsider or self.node.masquerade_all else 0)

    def _short_circuit(self, packet: Packet, local: bytes, cluster: bytes) -> Outcome:
        origin = origin_of(packet, self.node)
        if origin == "outside":
            return self._go(packet, local, mark=0)
        return self._go(packet, cluster, mark=self.node.masquerade_mark if origin == "node" else 0)

    def _go(self, packet: Packet, pool: bytes, *, mark: int) -> Outcome:
        kind, serial = class_numbers(pool)
        chain = self.sets["kinds"][class_bytes(kind, 0)].decode()
        if chain == "refuse":
            return Outcome("refuse")
        if chain == "gone":
            return Outcome("drop")
        found = CHAIN.fullmatch(chain)
        if found is None or chain not in self.chains:
            raise FakeNftError(f"kind {kind:x}: goto {chain}: no such chain")
        size = int(found[2])
        if found[1] == "n":
            places = [self.sets["eps"][pool + index_bytes(i)] for i in range(size)]
        else:
            picks = (self.sets["pick"][class_bytes(0, serial) + index_bytes(i)] for i in range(size))
            places = [self.sets["slots"][pick] for pick in picks]
        endpoints = self._endpoints(places)
        return Outcome("balance", frozenset(endpoints), frozenset(self._masqueraded(packet, endpoints, mark=mark)))

    def _endpoints(self, places: Iterable[bytes]) -> Mapping[str, bytes]:
        split = ((render_value(self.layout, SETS["eps"].data, place).split(" . "), place) for place in places)
        return {show(ip, int(port)): place for (ip, port), place in split}

    def _masqueraded(self, packet: Packet, endpoints: Mapping[str, bytes], *, mark: int) -> Iterable[str]:
        source = address_bytes(packet.source)
        for shown, place in endpoints.items():
            ip, port = place[: self.layout.address_length], place[self.layout.address_length :]
            if mark or source + ip + proto_bytes(packet.protocol) + port in self.sets["hairpin"]:
                yield shown

    def _allowed(self, frontend: bytes, source: str) -> bool:
        width, address = self.layout.address_length, ip_address(source).packed
        ranges = (key[len(frontend) :] for key in self.sets["lbsrc"] if key.startswith(frontend))
        return any(bounds[:width] <= address <= bounds[width:] for bounds in ranges)

    def _shown(self, name: str, key: bytes) -> str:
        return render_value(self.layout, SETS[name].key, key)
