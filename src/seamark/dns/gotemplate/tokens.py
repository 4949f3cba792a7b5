"""A template's text and the words of its actions. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from seamark.dns.gotemplate.values import TemplateError

_TOKEN = re.compile(
    r"""(?P<space>\s+)
    |(?P<text>"(?:\\.|[^"\\\n])*"|`[^`]*`)
    |(?P<char>'(?:\\.[^']*|[^'\\\n])')
    |(?P<number>[+-]?(?:0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+
        |(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9_]+)?))(?![\w])
    |(?P<field>\.[^\W\d]\w*)
    |(?P<variable>\$\w*)
    |(?P<word>[^\W\d]\w*)
    |(?P<sign>:=|[|=,().])""",
    re.VERBOSE,
)
_COMMENT = re.compile(r"\{\{(- )?/\*.*?\*/( -)?\}\}", re.DOTALL)


class Token(NamedTuple):
    """``kind`` is text, char, number, field, variable, word, sign or end. ``close``: nothing stands before it."""

    kind: str
    text: str
    close: bool


class Piece(NamedTuple):
    """Text, or the words of an action, the last of which is an ``end``."""

    text: str
    action: list[Token] | None = None


def pieces_of(text: str) -> Iterator[Piece]:
    """Raises TemplateError."""
    at, trims = 0, False
    while (start := text.find("{{", at)) >= 0:
        before = text[at:start]
        comment = _COMMENT.match(text, start)
        trims_before = text.startswith("{{-", start) and text[start + 3 : start + 4].isspace()
        yield Piece(_trimmed(before, left=trims, right=trims_before))
        if comment is not None:
            at, trims = comment.end(), comment[2] is not None
            continue
        words, at, trims = _action(text, start + (3 if trims_before else 2))
        yield Piece("", words)
    yield Piece(_trimmed(text[at:], left=trims, right=False))


def _trimmed(text: str, *, left: bool, right: bool) -> str:
    text = text.lstrip(" \t\r\n") if left else text
    return text.rstrip(" \t\r\n") if right else text


def _action(text: str, at: int) -> tuple[list[Token], int, bool]:
    """Its words, where it ends, and whether the space behind it goes."""
    found: list[Token] = []
    close = True
    while not text.startswith("}}", at):
        if not close and text.startswith("-}}", at):
            return [*found, Token("end", "", close)], at + 3, True
        match = _TOKEN.match(text, at)
        if match is None:
            raise TemplateError(f"'{text[at : at + 12]}' is no part of an action" if text[at:] else "'}}' is missing")
        at = match.end()
        kind = str(match.lastgroup)
        if kind != "space":
            found.append(Token(kind, match[0], close and bool(found)))
        close = kind != "space"
    return [*found, Token("end", "", close)], at + 2, False
