"""``plugin_path DIR { timeout DURATION }``."""

from __future__ import annotations

from dataclasses import dataclass

from seamark.dns.corefile.block import Block, Line, duration

TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class Config:
    """``timeout``: how long one plugin may take for one query, what comes behind it included."""

    directory: str
    timeout: float = TIMEOUT


def parse(block: Block) -> Config:
    directory = block.one("a directory").text
    seconds = [TIMEOUT]

    def read_timeout(line: Line) -> None:
        seconds.append(duration(line.one("a duration"), least=0.001))

    block.read({"timeout": read_timeout})
    return Config(directory, seconds[-1])
