"""``timeouts { read|write|idle DURATION; maxtcpqueries N }``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from seamark.dns.corefile.block import Block, Line, duration, integer
from seamark.dns.host import Timeouts

LEAST, MOST = 1.0, 86400.0


@dataclass(frozen=True, slots=True)
class Config:
    timeouts: Timeouts


def parse(block: Block) -> Config:
    block.none()
    found: dict[str, Any] = {}

    def read(line: Line) -> None:
        word = line.one("a duration")
        seconds = replace(word, text=f"{word.text}s") if word.text.isdecimal() else word
        found[line.name.text] = duration(seconds, least=LEAST, most=MOST)

    def read_queries(line: Line) -> None:
        word = line.one("a number")
        found["queries"] = -1 if word.text == "-1" else integer(word, least=1)

    block.read({"read": read, "write": read, "idle": read, "maxtcpqueries": read_queries})
    if not found:
        raise block.name.error("'timeouts' needs read, write, idle or maxtcpqueries in braces")
    return Config(replace(Timeouts(), **found))
