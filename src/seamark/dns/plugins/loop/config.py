"""``loop``."""

from __future__ import annotations

from dataclasses import dataclass

from seamark.dns.corefile.block import Block


@dataclass(frozen=True, slots=True)
class Config:
    zone: str


def parse(block: Block) -> Config:
    block.none()
    block.no_lines()
    return Config(block.zones[0] if block.zones else ".")
