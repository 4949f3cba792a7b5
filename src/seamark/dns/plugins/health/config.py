"""``health [ADDRESS] { lameduck DURATION }``."""

from __future__ import annotations

from dataclasses import dataclass

from seamark.dns.corefile.address import parse_listen
from seamark.dns.corefile.block import Block, Line, duration

DEFAULT = ":8080"


@dataclass(frozen=True, slots=True)
class Config:
    address: str = DEFAULT
    lameduck: float = 0.0


def parse(block: Block) -> Config:
    token = block.optional("an address such as :8080")
    lameduck: list[float] = []
    block.read({"lameduck": lambda line: lameduck.append(_lameduck(line))})
    return Config(parse_listen(token) if token else DEFAULT, lameduck[-1] if lameduck else 0.0)


def _lameduck(line: Line) -> float:
    return duration(line.one("a duration"))
