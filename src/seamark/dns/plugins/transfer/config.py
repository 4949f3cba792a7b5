"""``transfer [ZONE...] { to ADDRESS...; source ADDRESS }``."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

from seamark.dns.corefile.address import split_address
from seamark.dns.corefile.block import Block, Line
from seamark.dns.corefile.keys import parse_zones
from seamark.dns.corefile.lexer import Token

MANY = True
EVERYBODY = "*"
PORT = 53


@dataclass(frozen=True, slots=True)
class Config:
    """``to`` may transfer; those of them that are addresses are notified of changes, from ``source`` if given."""

    zones: tuple[str, ...]
    to: frozenset[str]
    notified: tuple[tuple[str, int], ...] = ()
    source: str = ""


class _Reader:
    def __init__(self) -> None:
        self.to: set[str] = set()
        self.notified: dict[tuple[str, int], None] = {}
        self.source = ""

    def read_to(self, line: Line) -> None:
        for word in line.some("addresses or *"):
            if word.text == EVERYBODY:
                self.to.add(EVERYBODY)
                continue
            host, port = _address(word)
            self.to.add(host)
            self.notified[host, port] = None

    def read_source(self, line: Line) -> None:
        if self.source:
            raise line.name.error("source already specified")
        self.source = _address(line.one("an address"))[0]


def _address(word: Token) -> tuple[str, int]:
    try:
        host, port = split_address(word.text)
        return str(ip_address(host)), port or PORT
    except ValueError:
        raise word.error(f"'{word.text}' is not an address") from None


def parse(block: Block) -> Config:
    reader = _Reader()
    block.read({"to": reader.read_to, "source": reader.read_source})
    if not reader.to:
        raise block.name.error("'transfer' needs 'to' with the addresses that may transfer")
    zones = parse_zones(block.args, block.zones)
    return Config(zones, frozenset(reader.to), tuple(reader.notified), reader.source)
