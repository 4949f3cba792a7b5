"""``ready [ADDRESS] { monitor until-ready|continuously }``."""

from __future__ import annotations

from dataclasses import dataclass

from seamark.dns.corefile.address import parse_listen
from seamark.dns.corefile.block import Block, Line

DEFAULT = ":8181"
MODES = ("until-ready", "continuously")


@dataclass(frozen=True, slots=True)
class Config:
    address: str = DEFAULT
    continuously: bool = False


def parse(block: Block) -> Config:
    token = block.optional("an address such as :8181")
    modes: list[str] = []

    def read_monitor(line: Line) -> None:
        word = line.one("until-ready or continuously")
        if word.text not in MODES:
            raise word.error(f"'{word.text}' is not a way to monitor ({' or '.join(MODES)})")
        modes.append(word.text)

    block.read({"monitor": read_monitor})
    return Config(parse_listen(token) if token else DEFAULT, bool(modes) and modes[-1] == "continuously")
