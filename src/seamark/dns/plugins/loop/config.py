"""``loop [exit]``."""

from __future__ import annotations

from dataclasses import dataclass

from seamark.dns.corefile.block import Block


@dataclass(frozen=True, slots=True)
class Config:
    """``exit``: a loop ends the process, as with CoreDNS; else the upstream that loops is put out of use."""

    zone: str
    exit: bool = False


def parse(block: Block) -> Config:
    word = block.optional("exit")
    if word is not None and word.text != "exit":
        raise word.error(f"'loop' takes 'exit' or nothing, not '{word.text}'")
    block.no_lines()
    return Config(block.zones[0] if block.zones else ".", word is not None)
