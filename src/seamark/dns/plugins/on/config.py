"""``on EVENT COMMAND [ARGS...] [&]``."""

from __future__ import annotations

from dataclasses import dataclass

from seamark.dns.corefile.block import Block
from seamark.dns.corefile.lexer import Token

MANY = True
EVENTS = ("startup", "shutdown")
BACKGROUND = "&"


@dataclass(frozen=True, slots=True)
class Config:
    token: Token
    event: str
    command: tuple[str, ...]
    waits: bool


def parse(block: Block) -> Config:
    block.no_lines()
    event, *words = block.some("an event and a command")
    if event.text == "certrenew":
        raise event.error("'certrenew' never happens: certificates are not fetched by this server")
    if event.text not in EVENTS:
        raise event.error(f"'{event.text}' is not an event of on (known: {', '.join(EVENTS)})")
    command = tuple(word.text for word in words)
    waits = command[-1:] != (BACKGROUND,)
    command = command if waits else command[:-1]
    if not command:
        raise event.error(f"'on {event.text}' needs a command")
    return Config(event, event.text, command, waits)
