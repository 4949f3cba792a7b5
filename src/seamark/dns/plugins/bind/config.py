"""``bind ADDRESS|INTERFACE... { except ADDRESS|INTERFACE... }``."""

from __future__ import annotations

from dataclasses import dataclass

from seamark.dns.corefile.block import Block, Line
from seamark.dns.corefile.lexer import Token

MANY = True


@dataclass(frozen=True, slots=True)
class Config:
    words: tuple[Token, ...]
    excepted: tuple[str, ...] = ()

    @property
    def hosts(self) -> tuple[str, ...]:
        """As written: two server blocks at the same words are at the same addresses."""
        return tuple(word.text for word in self.words)


def parse(block: Block) -> Config:
    words = block.some("addresses or interfaces")
    excepted: list[str] = []

    def read_except(line: Line) -> None:
        excepted.extend(word.text for word in line.some("addresses or interfaces"))

    block.read({"except": read_except})
    return Config(words, tuple(excepted))
