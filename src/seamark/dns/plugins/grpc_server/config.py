"""``grpc_server { max_connections N; max_streams N }``."""

from __future__ import annotations

from seamark.dns.corefile.block import Block
from seamark.dns.plugins.limits import Config, parse_limits


def parse(block: Block) -> Config:
    return parse_limits(block, "grpc", {"max_connections": 0, "max_streams": 0})
