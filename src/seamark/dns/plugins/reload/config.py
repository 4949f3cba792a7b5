"""``reload [INTERVAL] [JITTER]``."""

from __future__ import annotations

from dataclasses import dataclass

from seamark.dns.corefile.block import Block, duration

INTERVAL, JITTER = 30.0, 15.0
LEAST_INTERVAL, LEAST_JITTER = 2.0, 1.0


@dataclass(frozen=True, slots=True)
class Config:
    """Seconds between two looks, and how far a look may be off either way."""

    interval: float = INTERVAL
    jitter: float = JITTER


def parse(block: Block) -> Config:
    block.no_lines()
    if len(block.args) > 2:
        raise block.args[2].error(f"'reload' takes an interval and a jitter, and no '{block.args[2].text}'")
    interval = duration(block.args[0], least=LEAST_INTERVAL) if block.args else INTERVAL
    jitter = min(JITTER, interval / 2)
    if len(block.args) == 2:
        jitter = duration(block.args[1])
        if 0 < jitter < LEAST_JITTER:
            raise block.args[1].error(f"'{block.args[1].text}' has to be 0s or at least {LEAST_JITTER:g}s")
    return Config(interval, min(jitter, interval / 2))
