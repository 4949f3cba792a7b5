"""``dnssec [ZONES...] { key file|aws_secretsmanager KEY...; cache_capacity CAPACITY }``."""

from __future__ import annotations

from dataclasses import dataclass

from seamark.dns.corefile.block import Block, Line, integer
from seamark.dns.corefile.keys import parse_zones
from seamark.dns.corefile.lexer import Token

CAPACITY = 10000
FILE, AWS = "file", "aws_secretsmanager"
EXAMPLES = {FILE: "the name of a key, such as Kexample.org.+013+45330", AWS: "the name or ARN of a secret"}


@dataclass(frozen=True, slots=True)
class Config:
    """``secrets`` are keys in AWS Secrets Manager."""

    zones: tuple[str, ...]
    keys: tuple[Token, ...]
    secrets: tuple[Token, ...] = ()
    capacity: int = CAPACITY


def parse(block: Block) -> Config:
    found: dict[str, list[Token]] = {FILE: [], AWS: []}
    capacity = CAPACITY

    def key(line: Line) -> None:
        where, *names = line.some("file or aws_secretsmanager, and the names of keys")
        if where.text not in found:
            raise where.error(f"'{where.text}' is not where keys are (known: {', '.join(found)})")
        if not names:
            raise where.error(f"'key {where.text}' needs {EXAMPLES[where.text]}")
        found[where.text] += names

    def cache_capacity(line: Line) -> None:
        nonlocal capacity
        capacity = integer(line.one("a number"), least=1)

    block.read({"key": key, "cache_capacity": cache_capacity})
    if not any(found.values()):
        raise block.name.error("'dnssec' needs 'key file' with a key, such as Kexample.org.+013+45330")
    return Config(parse_zones(block.args, block.zones), tuple(found[FILE]), tuple(found[AWS]), capacity)
