"""The pools every Service draws from: virtual addresses of each IP family, and node ports.

Kubernetes' habits, because scripts rely on them: an address nobody asked for comes from the upper part of the range,
so that the first few (the static band: a sixteenth of the range, 16 to 256 addresses; for ports a thirty-second, 16 to
128) stay free to be asked for by number; the lower part is used when the upper one is full. A port is one port, for
whatever protocols the Service wants it.

A pool is a set of what is taken, never a list of what is free, so a /12 costs nothing until it is used; the next
address is found by stepping on from a chosen start. Random choice comes in as ``choose(n)``, a number in [0, n).
Ranges come and go with ServiceCIDRs and may overlap: an address that is taken is so in all of them, and stays so
while there is no range for it.

Usage by the API, one writer at a time per Service: ``reserve(old)`` before ``allocate``, ``commit`` after the store
took the write, ``rollback`` otherwise (``with`` does the latter).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from ipaddress import ip_address, ip_network
from types import TracebackType
from typing import Any

from seamark.resources.access import entries, number, section, text
from seamark.resources.registry import Obj

Choose = Callable[[int], int]
Address = tuple[int, int]
"""IP version and value."""

ALLOCATED_IP = "provided IP is already allocated"
FOREIGN_IP = "the provided network does not match the current range"
ALLOCATED_PORT = "provided port is already allocated"


def static_band(size: int, *, step: int, most: int) -> int:
    """How many of the first ``size`` values are kept for explicit requests; 0 in a range too small to split."""
    return 0 if size <= 16 else min(max(16, size // step), most)


class Pool:
    """Integers in [first, first + size). ``band`` of them at the low end are used last; ``held_back`` never unasked."""

    def __init__(self, first: int, size: int, *, band: int, held_back: Iterable[int] = ()) -> None:
        self.first = first
        self.size = size
        self._band = band
        self._taken: set[int] = set()
        self._held_back = {v for v in held_back if v in self}
        self._busy_low = sum(1 for v in self._held_back if v < first + band)
        self._busy_high = len(self._held_back) - self._busy_low

    def __contains__(self, value: int) -> bool:
        return self.first <= value < self.first + self.size

    def is_taken(self, value: int) -> bool:
        return value in self._taken

    def take(self, value: int) -> None:
        if value not in self._taken:
            self._taken.add(value)
            self._count(value, 1)

    def free(self, value: int) -> None:
        if value in self._taken:
            self._taken.discard(value)
            self._count(value, -1)

    def _count(self, value: int, change: int) -> None:
        if value in self._held_back:
            return  # counted as busy from the start
        if value < self.first + self._band:
            self._busy_low += change
        else:
            self._busy_high += change

    def next(self, choose: Choose) -> int | None:
        """A free value, now taken; None when the pool is full."""
        start = self.first + self._band
        found = self._step(start, self.size - self._band, self._busy_high, choose)
        if found is None:
            found = self._step(self.first, self._band, self._busy_low, choose)
        if found is not None:
            self.take(found)
        return found

    def _step(self, first: int, size: int, busy: int, choose: Choose) -> int | None:
        if busy >= size:
            return None
        offset = choose(size)
        while first + offset in self._taken or first + offset in self._held_back:
            offset = (offset + 1) % size
        return first + offset


def parse_address(ip: str) -> Address | None:
    try:
        found = ip_address(ip)
    except ValueError:
        return None
    return found.version, int(found)


class _Range:
    """A network and the pool of its usable addresses: neither its own nor, in IPv4, the broadcast address."""

    def __init__(self, cidr: str, held_back: Sequence[str]) -> None:
        self.network = ip_network(cidr)
        self.family = f"IPv{self.network.version}"
        size = max(0, self.network.num_addresses - (2 if self.network.version == 4 else 1))
        band = static_band(size, step=16, most=256)
        kept = [int(ip_address(ip)) for ip in held_back if ip_address(ip).version == self.network.version]
        self.pool = Pool(int(self.network.network_address) + 1, size, band=band, held_back=kept)

    def __contains__(self, address: Address) -> bool:
        return address[0] == self.network.version and address[1] in self.pool

    def take(self, address: Address) -> None:
        if address in self:
            self.pool.take(address[1])

    def free(self, address: Address) -> None:
        if address in self:
            self.pool.free(address[1])


class ServicePools:
    """``service_cidrs`` in the order of preference: the first one's family is the default of a new Service.

    Its families are those of the cluster, whatever ranges come later. ``held_back`` are addresses given only to those
    who ask for them: kubernetes' and the cluster DNS's.
    """

    def __init__(
        self,
        service_cidrs: Sequence[str],
        node_port_range: tuple[int, int] = (30000, 32767),
        *,
        choose: Choose,
        held_back: Sequence[str] = (),
    ) -> None:
        self._choose = choose
        self._held_back = held_back
        self._ranges: dict[str, _Range] = {}
        self._addresses: set[Address] = set()
        self.under_way: set[str] = set()  # addresses taken by writes that the store does not have yet
        self.set_ranges(service_cidrs)
        self.families: tuple[str, ...] = tuple(dict.fromkeys(r.family for r in self._ranges.values()))
        low, high = node_port_range
        size = high - low + 1
        self._ports = Pool(low, size, band=static_band(size, step=32, most=128))
        self.port_range = f"{low}-{high}"

    def set_ranges(self, cidrs: Sequence[str]) -> None:
        """The ranges that addresses may come from now; what is taken stays taken."""
        if list(cidrs) == list(self._ranges):
            return
        ranges = {cidr: self._ranges.get(cidr) or _Range(cidr, self._held_back) for cidr in cidrs}
        for cidr in ranges.keys() - self._ranges.keys():
            for address in self._addresses:
                ranges[cidr].take(address)
        self._ranges = ranges

    def reserve(self, old: Obj | None) -> ServiceReservation:
        """One write's claims; ``old`` is the stored object, None on create."""
        return ServiceReservation(self, old)

    def adopt(self, service: Obj) -> list[str]:
        """Takes what a stored Service holds, at start. The texts say what is wrong with it: taken twice, foreign."""
        wrong = [f"clusterIP {ip}: {why}" for ip in cluster_ips_of(service) if (why := self.take_ip(ip))]
        wrong += [f"nodePort {port}: {why}" for port in node_ports_of(service) if (why := self.take_port(port))]
        return wrong

    def release(self, service: Obj) -> None:
        """Frees what a deleted Service held."""
        for ip in cluster_ips_of(service):
            self.free_ip(ip)
        for port in node_ports_of(service):
            self.free_port(port)

    def take_ip(self, ip: str) -> str:
        """Empty when it is now taken, else why not."""
        address = parse_address(ip)
        if address is None or not any(address in found for found in self._ranges.values()):
            return self._not_in_range(ip)
        if address in self._addresses:
            return ALLOCATED_IP
        self.note_address(ip)
        return ""

    def note_address(self, ip: str) -> None:
        """It is taken, in whatever range."""
        address = parse_address(ip)
        if address is not None:
            self._addresses.add(address)
            for found in self._ranges.values():
                found.take(address)

    def _not_in_range(self, ip: str) -> str:
        # Network and broadcast addresses lie in the range and still cannot be had.
        networks = [found.network for found in self._ranges.values()]
        holder = next((n for n in networks if parse_address(ip) and ip_address(ip) in n), None)
        if holder is None:
            return FOREIGN_IP
        return f"the provided IP ({ip}) is not in the valid range. The range of valid IPs is {holder}"

    def take_next_ip(self, family: str) -> str | None:
        for found in self._ranges.values():
            if found.family == family and (value := found.pool.next(self._choose)) is not None:
                ip = str(ip_address(value if found.network.version == 4 else value.to_bytes(16)))
                self.note_address(ip)
                return ip
        return None

    def free_ip(self, ip: str) -> None:
        address = parse_address(ip)
        if address is not None:
            self._addresses.discard(address)
            for found in self._ranges.values():
                found.free(address)

    def keep_only(self, ips: Iterable[str]) -> None:
        """These are the addresses that are taken, and no others but those of writes under way."""
        ips = [*ips, *self.under_way]
        kept = {address for ip in ips if (address := parse_address(ip)) is not None}
        for version, value in self._addresses - kept:
            self.free_ip(str(ip_address(value if version == 4 else value.to_bytes(16))))
        for ip in ips:
            self.note_address(ip)

    def take_port(self, port: int) -> str:
        if port not in self._ports:
            return f"provided port is not in the valid range. The range of valid ports is {self.port_range}"
        if self._ports.is_taken(port):
            return ALLOCATED_PORT
        self._ports.take(port)
        return ""

    def take_next_port(self) -> int | None:
        return self._ports.next(self._choose)

    def free_port(self, port: int) -> None:
        self._ports.free(port)


def cluster_ips_of(service: Obj | None) -> list[str]:
    """The virtual addresses an object holds; none for headless and ExternalName Services."""
    spec = section(service or {}, "spec")
    found = entries(spec, "clusterIPs") or ([text(spec, "clusterIP")] if text(spec, "clusterIP") else [])
    return [ip for ip in found if ip and ip != "None"] if spec.get("type") != "ExternalName" else []


def node_ports_of(service: Obj | None) -> list[int]:
    """Every node port an object holds, the health check's included, each once."""
    spec = section(service or {}, "spec")
    found = [number(port, "nodePort") for port in entries(spec, "ports")] + [number(spec, "healthCheckNodePort")]
    return list(dict.fromkeys(port for port in found if port))


class ServiceReservation:
    """What one write takes. It may take again what the old object holds; the rest is refused when taken."""

    def __init__(self, pools: ServicePools, old: Obj | None) -> None:
        self._pools = pools
        self._old: set[Any] = {*cluster_ips_of(old), *node_ports_of(old)}
        self._new: set[Any] = set()  # taken from the pools for this write
        self._kept: set[Any] | None = None  # what the written object holds; None until allocate has said so

    @property
    def families(self) -> tuple[str, ...]:
        return self._pools.families

    @property
    def new_ips(self) -> list[str]:
        """The addresses that this write has taken."""
        return [value for value in self._new if isinstance(value, str)]

    @property
    def freed_ips(self) -> list[str]:
        """The addresses that the old object held and the new one does not; known when it has settled."""
        return [] if self._kept is None else [v for v in self._old - self._kept if isinstance(v, str)]

    def claim_ip(self, ip: str) -> str:
        return self._claim(ip, self._pools.take_ip)

    def next_ip(self, family: str = "") -> str | None:
        ip = self._pools.take_next_ip(family or self.families[0])
        if ip is not None:
            self._note(ip)
        return ip

    def claim_node_port(self, port: int, protocol: str) -> str:
        return self._claim(port, self._pools.take_port)

    def next_node_port(self, protocol: str) -> int | None:
        port = self._pools.take_next_port()
        if port is not None:
            self._note(port)
        return port

    def settle(self, new: Obj) -> None:
        self._kept = {*cluster_ips_of(new), *node_ports_of(new)}

    def commit(self) -> None:
        """The store has the write. Frees what the old object held and the new one does not."""
        if self._kept is not None:
            self._free((self._old | self._new) - self._kept)
        self._pools.under_way -= self._new
        self._old, self._new = set(), set()

    def rollback(self) -> None:
        """The write failed or was a dry run. After a commit this does nothing."""
        self._free(self._new)
        self._pools.under_way -= self._new
        self._new = set()

    def __enter__(self) -> ServiceReservation:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.rollback()

    def _claim(self, value: Any, take: Callable[[Any], str]) -> str:
        if value in self._old or value in self._new:
            return ""
        why = take(value)
        if not why:
            self._note(value)
        return why

    def _note(self, value: Any) -> None:
        self._new.add(value)
        if isinstance(value, str):
            self._pools.under_way.add(value)

    def _free(self, values: Iterable[Any]) -> None:
        for value in values:
            if isinstance(value, int):
                self._pools.free_port(value)
            else:
                self._pools.free_ip(value)
