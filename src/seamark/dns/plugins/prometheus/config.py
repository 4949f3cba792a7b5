"""``prometheus [ADDRESS]``."""

from __future__ import annotations

from dataclasses import dataclass

from seamark.dns.corefile.address import parse_listen
from seamark.dns.corefile.block import Block

DEFAULT = "localhost:9153"


@dataclass(frozen=True, slots=True)
class Config:
    address: str = DEFAULT


def parse(block: Block) -> Config:
    token = block.optional("an address such as :9153")
    block.read({}, {"runtime_metrics": "the metrics of Go's runtime do not exist here"})
    return Config(parse_listen(token) if token else DEFAULT)
