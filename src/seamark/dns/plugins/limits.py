"""What https, https3, grpc_server and quic have in common: limits of a transport, read and given to the block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from seamark.dns.corefile.block import Block, Line, integer
from seamark.dns.corefile.lexer import Token
from seamark.dns.host import DEFAULT_LIMITS, Limits, Site

FIELDS = {"max_connections": "connections", "max_streams": "streams", "worker_pool_size": "workers"}
MOST = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Config:
    token: Token
    transport: str
    limits: Limits


def parse_limits(block: Block, transport: str, least: Mapping[str, int]) -> Config:
    """``least``: the properties, and the smallest number each may be."""
    block.none()
    given: dict[str, Any] = {}

    def read(line: Line) -> None:
        field = FIELDS[line.name.text]
        if field in given:
            raise line.name.error(f"{line.name.text} already defined")
        given[field] = integer(line.one("a number"), least=least[line.name.text], most=MOST)

    block.read(dict.fromkeys(least, read))
    return Config(block.name, transport, replace(DEFAULT_LIMITS[transport], **given))


class TransportLimits:
    """Sees no queries. Raises CorefileError where it would do nothing."""

    def __init__(self, config: Config, site: Site) -> None:
        self.name = config.token.text
        if all(key.transport != config.transport for key in site.keys):
            why = f"'{self.name}' is for {config.transport}:// servers, and no key of this block is one"
            raise config.token.error(why)
        site.limits[config.transport] = config.limits
