"""``dnssec [ZONES...] { key file KEY...; cache_capacity CAPACITY }``."""

from __future__ import annotations

from dataclasses import dataclass

from seamark.dns.corefile.block import Block, Line, integer
from seamark.dns.corefile.keys import parse_zones
from seamark.dns.corefile.lexer import Token

CAPACITY = 10000


@dataclass(frozen=True, slots=True)
class Config:
    zones: tuple[str, ...]
    keys: tuple[Token, ...]
    capacity: int = CAPACITY


def parse(block: Block) -> Config:
    keys: list[Token] = []
    capacity = CAPACITY

    def key(line: Line) -> None:
        where, *files = line.some("file and the names of keys")
        if where.text == "aws_secretsmanager":
            raise where.error("'aws_secretsmanager' is not supported; mount the keys as files")
        if where.text != "file":
            raise where.error(f"'{where.text}' is not where keys are (known: file)")
        if not files:
            raise where.error("'key file' needs the name of a key, such as Kexample.org.+013+45330")
        keys.extend(files)

    def cache_capacity(line: Line) -> None:
        nonlocal capacity
        capacity = integer(line.one("a number"), least=1)

    block.read({"key": key, "cache_capacity": cache_capacity})
    if not keys:
        raise block.name.error("'dnssec' needs 'key file' with a key, such as Kexample.org.+013+45330")
    return Config(parse_zones(block.args, block.zones), tuple(keys), capacity)
