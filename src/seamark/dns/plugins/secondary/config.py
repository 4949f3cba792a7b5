"""``secondary [ZONES...] { transfer from ADDRESS...; catalog [MEMBER-ZONES...]; fallthrough [ZONES...] }``."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

from seamark.dns.corefile.address import split_address
from seamark.dns.corefile.block import Block, Line
from seamark.dns.corefile.keys import parse_zones
from seamark.dns.corefile.lexer import Token

PORT = 53
MANY = True
REFUSED = {"upstream": "aliases are always followed"}


@dataclass(frozen=True, slots=True)
class Config:
    """``catalog``: the zones are catalogs, and their members are at or below these; empty = all, None = no catalogs."""

    zones: tuple[str, ...]
    primaries: tuple[tuple[str, int], ...]
    fallthrough: tuple[str, ...] | None = None
    catalog: tuple[str, ...] | None = None


class _Reader:
    def __init__(self) -> None:
        self.primaries: list[tuple[str, int]] = []
        self.fallthrough: tuple[str, ...] | None = None
        self.catalog: tuple[str, ...] | None = None

    def read_transfer(self, line: Line) -> None:
        first, *rest = line.some("from and addresses")
        if first.text != "from":
            raise first.error(f"'{first.text}': secondary transfers from addresses; 'to' is the plugin transfer's")
        if not rest:
            raise first.error("'transfer from' needs an address")
        self.primaries += [_address(word) for word in rest]

    def read_fallthrough(self, line: Line) -> None:
        self.fallthrough = parse_zones(line.args, (".",))

    def read_catalog(self, line: Line) -> None:
        """Several lines add up, and one without zones allows all."""
        zones = parse_zones(line.args, ())
        is_open = not zones or self.catalog == ()
        self.catalog = () if is_open else tuple(dict.fromkeys((*(self.catalog or ()), *zones)))


def parse(block: Block) -> Config:
    reader = _Reader()
    readers = {"transfer": reader.read_transfer, "catalog": reader.read_catalog, "fallthrough": reader.read_fallthrough}
    block.read(readers, REFUSED)
    if not reader.primaries:
        raise block.name.error("'secondary' needs 'transfer from' with the address of a primary")
    zones = parse_zones(block.args, block.zones)
    return Config(zones, tuple(reader.primaries), reader.fallthrough, reader.catalog)


def _address(word: Token) -> tuple[str, int]:
    try:
        host, port = split_address(word.text)
        return str(ip_address(host)), port or PORT
    except ValueError:
        raise word.error(f"'{word.text}' is not an address") from None
