"""``local { localhost_prefix on|off }``."""

from __future__ import annotations

from dataclasses import dataclass

from seamark.dns.corefile.block import Block, Line


@dataclass(frozen=True, slots=True)
class Config:
    """``prefix``: whether ``localhost.`` in front of any domain counts."""

    prefix: bool = True


def parse(block: Block) -> Config:
    block.none()
    found = [True]

    def read(line: Line) -> None:
        word = line.one("on or off")
        if word.text not in ("on", "off"):
            raise word.error(f"localhost_prefix expects 'on' or 'off', not '{word.text}'")
        found.append(word.text == "on")

    block.read({"localhost_prefix": read})
    return Config(found[-1])
