"""One directive of a server block as a plugin's ``parse`` sees it, and how it reads words: counts, numbers, durations.

Every refusal names file, line, column and the word, so ``parse`` functions check nothing twice: they ask for what they
need (``one``, ``none``, ``integer``) and get it or a CorefileError.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from seamark.dns.corefile.lexer import CorefileError, Token

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class _Words:
    """Reading the arguments behind a name."""

    __slots__ = ()

    name: Token
    args: tuple[Token, ...]

    def error(self, message: str, token: Token | None = None) -> CorefileError:
        return (token or self.name).error(f"{self.name.text}: {message}" if token else message)

    def none(self) -> None:
        if self.args:
            raise self.args[0].error(f"'{self.name.text}' takes no argument, but got '{self.args[0].text}'")

    def one(self, what: str) -> Token:
        if len(self.args) != 1:
            raise self._count(f"exactly one argument ({what})")
        return self.args[0]

    def optional(self, what: str) -> Token | None:
        if len(self.args) > 1:
            raise self._count(f"at most one argument ({what})")
        return self.args[0] if self.args else None

    def some(self, what: str) -> tuple[Token, ...]:
        if not self.args:
            raise self._count(f"at least one argument ({what})")
        return self.args

    def between(self, least: int, most: int, what: str) -> tuple[Token, ...]:
        if not least <= len(self.args) <= most:
            wanted = f"exactly {least}" if least == most else f"{least} to {most}"
            raise self._count(f"{wanted} arguments ({what})")
        return self.args

    def _count(self, wanted: str) -> CorefileError:
        extra = self.args[-1] if self.args else self.name
        return extra.error(f"'{self.name.text}' takes {wanted}, but got {len(self.args)}")


@dataclass(frozen=True, slots=True)
class Line(_Words):
    """One line between the braces of a directive: a property and its arguments."""

    words: tuple[Token, ...]
    name: Token = field(init=False)
    args: tuple[Token, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.words[0])
        object.__setattr__(self, "args", self.words[1:])


@dataclass(frozen=True, slots=True)
class Block(_Words):
    """A directive. ``zones`` are those of the server block's keys, filled in before plugins parse."""

    name: Token
    args: tuple[Token, ...] = ()
    lines: tuple[Line, ...] = ()
    braced: bool = False
    zones: tuple[str, ...] = ()

    def no_lines(self) -> None:
        if self.lines:
            first = self.lines[0].name
            raise first.error(f"'{self.name.text}' has no property '{first.text}'")

    def read(self, properties: Mapping[str, Callable[[Line], None]], refused: Mapping[str, str] | None = None) -> None:
        """Calls the reader of each property. ``refused`` tells why a property CoreDNS knows is not accepted here."""
        for line in self.lines:
            reader = properties.get(line.name.text)
            if reader is not None:
                reader(line)
                continue
            why = (refused or {}).get(line.name.text)
            if why is not None:
                raise line.name.error(f"'{self.name.text}' does not support '{line.name.text}': {why}")
            known = ", ".join(sorted(properties))
            raise line.name.error(f"'{self.name.text}' has no property '{line.name.text}' (known: {known or 'none'})")


def integer(token: Token, *, least: int, most: int | None = None) -> int:
    try:
        value = int(token.text)
    except ValueError:
        raise token.error(f"'{token.text}' is not a whole number") from None
    if value < least or (most is not None and value > most):
        bounds = f"from {least} to {most}" if most is not None else f"of at least {least}"
        raise token.error(f"'{token.text}' has to be a number {bounds}")
    return value


def go_duration(seconds: float) -> str:
    """As Go writes it: ``500ms``, ``1.5s``, ``5m0s``, ``1h0m0s``."""
    if 0 < seconds < 1:
        return f"{seconds * 1000:g}ms" if seconds >= 0.001 else f"{seconds * 1e6:g}µs"
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    text = f"{rest:.9f}".rstrip("0").rstrip(".") + "s"
    return f"{hours}h{minutes}m{text}" if hours else f"{minutes}m{text}" if minutes else text


def duration(token: Token, *, least: float = 0.0, most: float | None = None) -> float:
    """Seconds, from Go's notation: ``5s``, ``1m30s``, ``500ms``; a bare ``0`` is allowed."""
    text = token.text
    parts = list(_DURATION.finditer(text))
    if text != "0" and (not parts or "".join(part[0] for part in parts) != text):
        raise token.error(f"'{text}' is not a duration such as 5s, 500ms or 1m30s")
    seconds = sum(float(part[1]) * _UNITS[part[2]] for part in parts)
    if seconds < least or (most is not None and seconds > most):
        bounds = f"from {least:g}s to {most:g}s" if most is not None else f"of at least {least:g}s"
        raise token.error(f"'{text}' has to be a duration {bounds}")
    return seconds
