"""``transfer [ZONE...] { to ADDRESS... }``."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

from seamark.dns.corefile.address import split_address
from seamark.dns.corefile.block import Block, Line
from seamark.dns.corefile.keys import parse_zones

MANY = True
EVERYBODY = "*"


@dataclass(frozen=True, slots=True)
class Config:
    zones: tuple[str, ...]
    to: frozenset[str]


def parse(block: Block) -> Config:
    found: set[str] = set()

    def read_to(line: Line) -> None:
        for word in line.some("addresses or *"):
            if word.text == EVERYBODY:
                found.add(EVERYBODY)
                continue
            try:
                found.add(str(ip_address(split_address(word.text)[0])))
            except ValueError:
                raise word.error(f"'{word.text}' is not an address") from None

    block.read({"to": read_to}, {"source": "nobody is notified, so there is no address to do it from"})
    if not found:
        raise block.name.error("'transfer' needs 'to' with the addresses that may transfer")
    return Config(parse_zones(block.args, block.zones), frozenset(found))
