"""``prometheus [ADDRESS] { tls FILE }``."""

from __future__ import annotations

from dataclasses import dataclass

from seamark.dns.corefile.address import parse_listen
from seamark.dns.corefile.block import Block, Line
from seamark.dns.corefile.lexer import Token

DEFAULT = "localhost:9153"


@dataclass(frozen=True, slots=True)
class Config:
    """``tls``: the file that says how metrics are served by HTTPS; None = they are not."""

    address: str = DEFAULT
    tls: Token | None = None


def parse(block: Block) -> Config:
    token = block.optional("an address such as :9153")
    files: list[Token] = []

    def read_tls(line: Line) -> None:
        if files:
            raise line.name.error("tls block already specified")
        files.append(line.one("a file"))

    block.read({"tls": read_tls}, {"runtime_metrics": "the metrics of Go's runtime do not exist here"})
    return Config(parse_listen(token) if token else DEFAULT, files[0] if files else None)
