"""``errors { stacktrace; consolidate DURATION REGEXP [LEVEL] [show_first] }``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from seamark.dns.corefile.block import Block, Line, duration
from seamark.dns.patterns import compile_go

LEVELS = ("warning", "error", "info", "debug")


@dataclass(frozen=True, slots=True)
class Consolidate:
    """Errors that match ``pattern`` are counted and told once per ``period``."""

    period: float
    text: str
    """The pattern as it is written."""
    pattern: re.Pattern[str]
    level: str = "error"
    show_first: bool = False


@dataclass(frozen=True, slots=True)
class Config:
    stacktrace: bool = False
    consolidate: tuple[Consolidate, ...] = ()


def parse(block: Block) -> Config:
    word = block.optional("where errors go")
    if word is not None and word.text != "stdout":
        raise word.error(f"invalid log file: '{word.text}' (known: stdout)")
    found: list[Consolidate] = []
    stacktrace: list[bool] = []

    def read_stacktrace(line: Line) -> None:
        line.none()
        stacktrace.append(True)

    block.read({"stacktrace": read_stacktrace, "consolidate": lambda line: found.append(_consolidate(line))})
    return Config(bool(stacktrace), tuple(found))


def _consolidate(line: Line) -> Consolidate:
    period, pattern, *rest = line.between(2, 4, "a duration, a regular expression, a level and show_first")
    level, show_first = "", False
    for word in rest:
        if word.text == "show_first":
            show_first = True
        elif word.text in LEVELS and not show_first and not level:
            level = word.text
        else:
            raise word.error(f"'{word.text}' is neither a log level ({', '.join(LEVELS)}) nor show_first")
    try:
        compiled = compile_go(pattern.text)
    except ValueError as error:
        raise pattern.error(str(error)) from None
    return Consolidate(duration(period, least=1e-9), pattern.text, compiled, level or "error", show_first)
