"""An expression's words. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

MAX_DEPTH = 64
"""How deep expressions may stand in one another."""

OPERATORS = frozenset({"not", "in", "or", "and", "matches", "contains", "startsWith", "endsWith", "let", "if", "else"})
"""Words that are signs."""

_TOKEN = re.compile(
    r"""(?:\s|//[^\n]*|/\*.*?\*/)*(?:
        (?P<bytes>[bB]['"])
        |(?P<text>'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`[^`]*`)
        |(?P<number>0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+
            |(?:[0-9][0-9_]*(?:\.(?!\.)[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9_]+)?)(?![\w$])
        |(?P<item>\#[A-Za-z_$]*)
        |(?P<word>[^\W\d][\w$]*|\$[\w$]*)
        |(?P<sign>\?\.|\?\?|\.\.|::|\|\||&&|==|!=|<=|>=|\*\*|[-+*/%^<>!?:;()\[\]{},.|=])
        |(?P<end>\Z))""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))", re.DOTALL)
_SHORT = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"} | {c: c for c in "\\'\"`?"}


class Token(NamedTuple):
    """``kind`` is text, number, item (``#`` and what follows it), word, sign or end."""

    kind: str
    text: str


def tokens_of(text: str) -> list[Token]:
    """Ends with an ``end``. Raises ValueError."""
    found: list[Token] = []
    at = 0
    while not found or found[-1].kind != "end":
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"'{text[at:].strip()[:12]}' is no part of an expression")
        kind = str(match.lastgroup)
        word = match[kind]
        if kind == "bytes":
            raise ValueError("byte strings (b'…') are not supported")
        if kind == "text":
            word = word[1:-1] if word[0] == "`" else unescape(word[1:-1])
        elif kind == "word" and word in OPERATORS:
            kind = "sign"
        found.append(Token(kind, word))
        at = match.end()
    return found


class Words:
    """A place among the words of an expression."""

    def __init__(self, text: str) -> None:
        self._tokens = tokens_of(text)
        self._at = 0
        self._depth = 0

    @property
    def current(self) -> Token:
        return self._tokens[self._at]

    @property
    def shown(self) -> str:
        return "the end" if self.current.kind == "end" else f"'{self.current.text}'"

    def sees(self, *signs: str) -> bool:
        return self.current.kind == "sign" and self.current.text in signs

    def take(self, *signs: str) -> str:
        """The next word if it is one of these signs, else nothing."""
        if not self.sees(*signs):
            return ""
        self._at += 1
        return self._tokens[self._at - 1].text

    def need(self, sign: str) -> None:
        if not self.take(sign):
            raise ValueError(f"'{sign}' is missing before {self.shown}")

    def word(self, what: str) -> str:
        if self.current.kind != "word":
            raise ValueError(f"{what} is missing before {self.shown}")
        self._at += 1
        return self._tokens[self._at - 1].text

    @contextmanager
    def deeper(self) -> Iterator[None]:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ValueError(f"more than {MAX_DEPTH} expressions in one another")
        yield
        self._depth -= 1

    def behind(self) -> str:
        """The word after the next one."""
        return self._tokens[self._at + 1].text if self.current.kind != "end" else ""

    def move(self, words: int = 1) -> None:
        self._at += words


def number_of(text: str) -> int | float:
    """Raises ValueError."""
    plain = text.replace("_", "").lower()
    if plain[:2] in ("0x", "0o", "0b"):
        found: int | float = int(plain, 0)
    elif "." in plain or "e" in plain:
        found = float(plain)
    else:
        found = int(plain)
    if (isinstance(found, int) and found >= 1 << 63) or found == float("inf"):
        raise ValueError(f"'{text}' is too large a number")
    return found


def unescape(text: str) -> str:
    return _ESCAPE.sub(_meant, text)


def _meant(escape: re.Match[str]) -> str:
    hexadecimal = escape[1] or escape[2] or escape[3]
    if hexadecimal or escape[4]:
        point = int(hexadecimal, 16) if hexadecimal else int(escape[4], 8)
        if point > 0x10FFFF:
            raise ValueError(f"'{escape[0]}' is no character")
        return chr(point)
    if escape[5] not in _SHORT:
        raise ValueError(f"'{escape[0]}' is no escape sequence (a backslash itself is '\\\\')")
    return _SHORT[escape[5]]
