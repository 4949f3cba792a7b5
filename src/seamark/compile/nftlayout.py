"""The nft table: its sets and maps, and how keys and data look as text and as bytes.

No chain per Service: nft validates chains quadratically, so everything about a Service is an *element* and the
chains stay the same however many there are. A frontend (address, protocol, port) maps to a *pool*, a 32-bit number
``kind:serial`` that travels between rules in ``meta priority`` (harmless: only a connection's first packet sees nat
chains, and ``post`` clears it). The kind says how to choose and is a verdict in ``kinds``; pool and index give the
endpoint in ``eps``.

The chains that read these sets are in ``compile/nftstructure.py``.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from ipaddress import ip_address
from typing import Literal

from seamark.compile.addresses import MANY_ADDRESSES, Family

Field = Literal["addr", "proto", "port", "class", "index", "verdict", "range"]

AFFINITY_SIZE = 262144
EXACT = 64
"""Up to here a pool has a chain of its own size; a larger one repeats its endpoints over a power of two."""
LADDER = tuple(1 << n for n in range(10, 17))
MAX_POOL = 1 << 16

PROTOCOLS: dict[str, int] = {"TCP": 6, "UDP": 17, "SCTP": 132}
_PROTOCOL_TEXT = {6: "tcp", 17: "udp", 132: "sctp"}


@dataclass(frozen=True, slots=True)
class SetSpec:
    """A set (no data) or a map of the table that Services fill. ``typeof`` where nft has no name for the type."""

    key: tuple[Field, ...]
    data: tuple[Field, ...] = ()
    typeof: str = ""
    extra: str = ""

    @property
    def is_interval(self) -> bool:
        return "range" in self.key


FRONTEND: tuple[Field, ...] = ("addr", "proto", "port")
INDEXED = "meta priority . numgen random mod 65536"

SETS: Mapping[str, SetSpec] = {
    "cip": SetSpec(FRONTEND, ("class",)),  # ClusterIP -> pool
    "ext": SetSpec(FRONTEND, ("class",)),  # external IP, load-balancer VIP -> pool of the cluster list
    "extl": SetSpec(FRONTEND, ("class",)),  # the same where policy is Local -> pool of the local list
    "np": SetSpec(("proto", "port"), ("class",)),  # node port, in the same two roles
    "npl": SetSpec(("proto", "port"), ("class",)),
    "kinds": SetSpec(("class",), ("verdict",), typeof="meta priority : verdict"),
    "eps": SetSpec(("class", "index"), ("addr", "port"), typeof=f"{INDEXED} : {{ip}} daddr . th dport"),
    "pick": SetSpec(("class", "index"), ("class",), typeof=f"{INDEXED} : meta priority"),
    "slots": SetSpec(("class",), ("addr", "port"), typeof="meta priority : {ip} daddr . th dport"),
    "vips": SetSpec(("addr",)),  # live ClusterIPs: their unused ports refuse
    "hairpin": SetSpec(("addr", "addr", "proto", "port")),  # endpoints of this node, as client and server
    "lbguard": SetSpec(FRONTEND),  # VIPs with source ranges ...
    "lbsrc": SetSpec((*FRONTEND, "range"), extra="flags interval"),  # ... and who may pass
}
"""What Services fill, in the order in which elements are added; ``aff`` is filled by packets alone."""

NFT_TYPES: dict[Field, str] = {
    "addr": "{addr}",
    "range": "{addr}",
    "proto": "inet_proto",
    "port": "inet_service",
    "class": "classid",
    "verdict": "verdict",
}


@dataclass(frozen=True, slots=True)
class Layout:
    """The table for one family."""

    family: Family = "IPv4"
    table: str = "seamark"

    @property
    def nft_family(self) -> str:
        return "ip" if self.family == "IPv4" else "ip6"

    @property
    def address_type(self) -> str:
        return "ipv4_addr" if self.family == "IPv4" else "ipv6_addr"

    @property
    def address_length(self) -> int:
        return 4 if self.family == "IPv4" else 16


def pool_size(endpoints: int) -> int:
    """How many indexes a pool of so many endpoints has: its own number, or a power of two at least 8 times that
    (so no endpoint gets more than 12 % over its share), 65536 at most.
    """
    if endpoints <= EXACT:
        return endpoints
    return next((size for size in LADDER if size >= 8 * endpoints), MAX_POOL)


REFUSE_KIND, DROP_KIND, FIRST_FREE_KIND = 0x1000, 0x1001, 0x2000
SIZE_KINDS: Mapping[int, int] = {size: kind for kind, size in enumerate((*range(1, EXACT + 1), *LADDER), start=1)}
STATIC_KINDS: Mapping[int, str] = {
    **{kind: f"n{size}" for size, kind in SIZE_KINDS.items()},
    REFUSE_KIND: "refuse",
    DROP_KIND: "gone",
}
"""Kinds every table has, and their chains; further ones are affinity pools, and sizes whose serials ran out."""


def affinity_chain(size: int, seconds: int) -> str:
    return f"a{size}_{seconds}"


def remember_chain(size: int, seconds: int) -> str:
    return f"r{size}_{seconds}"


# ---- bytes ----------------------------------------------------------------------------------------------------
# A key or datum is a row of 32-bit registers: addresses and ports in network order, numbers in the host's.


@cache
def _word(value: int) -> bytes:
    return struct.pack("=I", value)


def class_bytes(major: int, minor: int) -> bytes:
    return struct.pack("=I", major << 16 | minor)


index_bytes = _word


def class_numbers(data: bytes) -> tuple[int, int]:
    (value,) = struct.unpack("=I", data)
    return value >> 16, value & 0xFFFF


@cache
def port_bytes(port: int) -> bytes:
    return struct.pack(">Hxx", port)


@cache
def proto_bytes(protocol: str) -> bytes:
    return struct.pack("Bxxx", PROTOCOLS[protocol])


def address_bytes(ip: str) -> bytes:
    if ":" in ip:
        return _ipv6_bytes(ip)
    network, _, last = ip.rpartition(".")
    return _network_bytes(network) + _OCTETS[last]


_OCTETS = {str(number): bytes([number]) for number in range(256)}


@lru_cache(maxsize=MANY_ADDRESSES)
def _network_bytes(network: str) -> bytes:
    """The first three bytes: pods of a node have them in common."""
    return bytes(map(int, network.split(".")))


@lru_cache(maxsize=MANY_ADDRESSES)
def _ipv6_bytes(ip: str) -> bytes:
    return ip_address(ip).packed


def _class_text(data: bytes) -> str:
    major, minor = class_numbers(data)
    return f"{major:x}:{minor:x}"


def _range_text(data: bytes) -> str:
    half = len(data) // 2
    first, last = ip_address(data[:half]), ip_address(data[half:])
    return str(first) if first == last else f"{first}-{last}"


_TEXT: dict[Field, Callable[[bytes], str]] = {
    "addr": lambda data: str(ip_address(data)),
    "proto": lambda data: _PROTOCOL_TEXT[data[0]],
    "port": lambda data: str(struct.unpack(">H", data[:2])[0]),
    "class": _class_text,
    "index": lambda data: str(struct.unpack("=I", data)[0]),
    "verdict": lambda data: f"goto {data.decode()}",
    "range": _range_text,
}


def render_value(layout: Layout, fields: tuple[Field, ...], data: bytes) -> str:
    """Bytes of a key or datum as nft prints them. A range is written as first and last address at the end."""
    shown, at = [], 0
    for name in fields:
        length = _length(layout, name, len(data) - at)
        shown.append(_TEXT[name](data[at : at + length]))
        at += length
    return " . ".join(shown)


def _length(layout: Layout, name: Field, rest: int) -> int:
    if name == "verdict":
        return rest
    addresses = {"addr": 1, "range": 2}.get(name)
    return layout.address_length * addresses if addresses else 4


def key_length(layout: Layout, name: str) -> int:
    """Bytes of a key as the kernel has it (a range counts once there)."""
    addresses = sum(field in ("addr", "range") for field in SETS[name].key)
    return layout.address_length * addresses + 4 * (len(SETS[name].key) - addresses)
