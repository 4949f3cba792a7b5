"""``tsig [ZONES...] { secret NAME KEY; secrets FILE; require [QTYPE...]; require_opcode [OPCODE...] }``."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass

import dns.exception
import dns.name
import dns.opcode
import dns.rdatatype

from seamark.dns.corefile.block import Block, Line
from seamark.dns.corefile.keys import parse_zones
from seamark.dns.corefile.lexer import Token

OPCODES = {name: dns.opcode.from_text(name) for name in ("QUERY", "IQUERY", "STATUS", "NOTIFY", "UPDATE")}
EVERY: frozenset[int] = frozenset({-1})
"""Stands for ``all``."""


@dataclass(frozen=True, slots=True)
class Config:
    zones: tuple[str, ...]
    secrets: tuple[tuple[dns.name.Name, bytes], ...]
    files: tuple[Token, ...] = ()
    types: frozenset[int] = frozenset()
    opcodes: frozenset[int] = frozenset()

    def requires(self, rdtype: int, opcode: int) -> bool:
        return EVERY in (self.types, self.opcodes) or rdtype in self.types or opcode in self.opcodes


class _Reader:
    def __init__(self) -> None:
        self.secrets: dict[dns.name.Name, bytes] = {}
        self.files: list[Token] = []
        self.types: frozenset[int] = frozenset()
        self.opcodes: frozenset[int] = frozenset()

    def read_secret(self, line: Line) -> None:
        name, key = line.between(2, 2, "the name of a key and its secret")
        try:
            found = dns.name.from_text(name.text).canonicalize()
        except dns.exception.DNSException:
            raise name.error(f"'{name.text}' is not a domain name") from None
        if found in self.secrets:
            raise name.error(f"key '{name.text}' redefined")
        try:
            self.secrets[found] = parse_secret(key.text)
        except ValueError:
            raise key.error("the secret of a key is base64") from None

    def read_file(self, line: Line) -> None:
        self.files.append(line.one("a file of keys"))

    def read_types(self, line: Line) -> None:
        self.types = _those(line, lambda word: int(dns.rdatatype.from_text(word)), "a type such as AXFR")

    def read_opcodes(self, line: Line) -> None:
        self.opcodes = _those(line, lambda word: int(OPCODES[word]), f"an opcode ({', '.join(OPCODES)})")


def _those(line: Line, read: Callable[[str], int], what: str) -> frozenset[int]:
    words = line.some("all, none or names")
    if words[0].text in ("all", "none"):
        return EVERY if words[0].text == "all" else frozenset()
    found = set()
    for word in words:
        try:
            found.add(read(word.text))
        except (dns.exception.DNSException, KeyError, ValueError):
            raise word.error(f"'{word.text}' is not {what}") from None
    return frozenset(found)


def parse_secret(text: str) -> bytes:
    """Raises ValueError."""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def parse(block: Block) -> Config:
    reader = _Reader()
    block.read(
        {
            "secret": reader.read_secret,
            "secrets": reader.read_file,
            "require": reader.read_types,
            "require_opcode": reader.read_opcodes,
        }
    )
    return Config(
        parse_zones(block.args, block.zones),
        tuple(reader.secrets.items()),
        tuple(reader.files),
        reader.types,
        reader.opcodes,
    )
