"""``header { query|response set|clear FLAG... }``."""

from __future__ import annotations

from dataclasses import dataclass

import dns.flags

from seamark.dns.corefile.block import Block, Line

MANY = True
FLAGS = {"aa": dns.flags.AA, "ra": dns.flags.RA, "rd": dns.flags.RD}


@dataclass(frozen=True, slots=True)
class Rule:
    flag: int
    on: bool


@dataclass(frozen=True, slots=True)
class Config:
    query: tuple[Rule, ...] = ()
    response: tuple[Rule, ...] = ()


def parse(block: Block) -> Config:
    block.none()
    found: dict[str, list[Rule]] = {"query": [], "response": []}

    def read(line: Line) -> None:
        action, *flags = line.some("set or clear, and flags")
        if action.text.lower() not in ("set", "clear"):
            raise action.error(f"'{action.text}' is neither set nor clear")
        if not flags:
            raise action.error(f"'{line.name.text} {action.text}' needs at least one flag ({', '.join(FLAGS)})")
        for flag in flags:
            if flag.text.lower() not in FLAGS:
                raise flag.error(f"'{flag.text}' is not a flag of header (known: {', '.join(FLAGS)})")
            found[line.name.text].append(Rule(FLAGS[flag.text.lower()], action.text.lower() == "set"))

    block.read({"query": read, "response": read})
    if not block.lines:
        raise block.name.error("'header' needs at least one line such as 'response set ra' in braces")
    return Config(tuple(found["query"]), tuple(found["response"]))
