"""``minimal``."""

from __future__ import annotations

from dataclasses import dataclass

from seamark.dns.corefile.block import Block


@dataclass(frozen=True, slots=True)
class Config:
    """There is nothing to configure."""


def parse(block: Block) -> Config:
    block.none()
    block.no_lines()
    return Config()
