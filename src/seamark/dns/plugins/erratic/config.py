"""``erratic { drop [AMOUNT]; truncate [AMOUNT]; delay [AMOUNT [DURATION]]; large }``."""

from __future__ import annotations

from dataclasses import dataclass, replace

from seamark.dns.corefile.block import Block, Line, duration, integer
from seamark.dns.corefile.lexer import Token

USUAL = 2
USUAL_DELAY = 0.1


@dataclass(frozen=True, slots=True)
class Config:
    """One query of so many; 0 = none. ``seconds`` is how long a delay takes."""

    drop: int = 0
    truncate: int = 0
    delay: int = 0
    seconds: float = USUAL_DELAY
    large: bool = False


def parse(block: Block) -> Config:
    block.none()
    found = Config()
    dropping: int | None = None

    def drop(line: Line) -> None:
        nonlocal dropping
        dropping = _amount(line.optional("one query of how many"))

    def truncate(line: Line) -> None:
        nonlocal found
        found = replace(found, truncate=_amount(line.optional("one query of how many")))

    def delay(line: Line) -> None:
        nonlocal found
        given = line.between(0, 2, "one query of how many, and for how long")
        seconds = duration(given[1]) if len(given) > 1 else USUAL_DELAY
        found = replace(found, delay=_amount(given[0] if given else None), seconds=seconds)

    def large(line: Line) -> None:
        nonlocal found
        line.none()
        found = replace(found, large=True)

    block.read({"drop": drop, "truncate": truncate, "delay": delay, "large": large})
    if dropping is None:
        dropping = 0 if found.delay or found.truncate else USUAL
    return replace(found, drop=dropping)


def _amount(token: Token | None) -> int:
    return USUAL if token is None else integer(token, least=0)
