"""``quic { max_connections N; max_streams N; worker_pool_size N }``."""

from __future__ import annotations

from seamark.dns.corefile.block import Block
from seamark.dns.plugins.limits import Config, parse_limits


def parse(block: Block) -> Config:
    return parse_limits(block, "quic", {"max_connections": 0, "max_streams": 1, "worker_pool_size": 1})
