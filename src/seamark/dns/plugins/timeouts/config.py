"""``timeouts { read|write|idle DURATION }``."""

from __future__ import annotations

from dataclasses import dataclass, replace

from seamark.dns.corefile.block import Block, Line, duration
from seamark.dns.host import Timeouts

LEAST, MOST = 1.0, 86400.0


@dataclass(frozen=True, slots=True)
class Config:
    timeouts: Timeouts


def parse(block: Block) -> Config:
    block.none()
    found: dict[str, float] = {}

    def read(line: Line) -> None:
        word = line.one("a duration")
        seconds = replace(word, text=f"{word.text}s") if word.text.isdecimal() else word
        found[line.name.text] = duration(seconds, least=LEAST, most=MOST)

    block.read({"read": read, "write": read, "idle": read})
    if not found:
        raise block.name.error("'timeouts' needs read, write or idle in braces")
    return Config(replace(Timeouts(), **found))
