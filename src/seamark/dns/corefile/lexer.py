"""Corefile text -> tokens, each with file, line and column.

A token ends at white space; one that starts with a double quote ends at the next one (``\\"`` inside is a quote, no
other escape exists) and may span lines. ``#`` outside quotes starts a comment that runs to the end of the line. A byte
order mark and carriage returns are skipped. ``{$VAR}`` and ``{%VAR%}`` are replaced from the given environment; an
unknown variable is empty, and what is put in is never split into several tokens.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

_VARIABLE = re.compile(r"\{\$([^}]+)\}|\{%([^%}]+)%\}")
_SPACE = " \t\v\f\n\x85\xa0"


class CorefileError(Exception):
    """What is wrong with a Corefile, and where. ``word`` is the token at fault, empty at the end of the file."""

    def __init__(self, message: str, token: Token) -> None:
        super().__init__(f"{token.file}:{token.line}:{token.column}: {message}")
        self.message = message
        self.file = token.file
        self.line = token.line
        self.column = token.column
        self.word = token.text


@dataclass(frozen=True, slots=True)
class Token:
    """``first`` = the first on its line; ``via`` = the imports it came through, outermost first."""

    text: str
    file: str
    line: int
    column: int
    first: bool = False
    quoted: bool = False
    via: tuple[str, ...] = ()

    @property
    def opens(self) -> bool:
        return self.text == "{" and not self.quoted

    @property
    def closes(self) -> bool:
        return self.text == "}" and not self.quoted

    def error(self, message: str) -> CorefileError:
        return CorefileError(message, self)


def parse_tokens(text: str, *, file: str, environment: Mapping[str, str]) -> list[Token]:
    """All tokens of one file. Raises CorefileError for a quote that is never closed."""
    found = _Lexer(text.removeprefix("\ufeff").replace("\r", ""), file).tokens()
    return [
        replace(token, text=_substitute(token.text, environment)) if "{" in token.text else token for token in found
    ]


class _Lexer:
    """A cursor over the text that knows its line and column."""

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file
        self.at = 0
        self.line = 1
        self.line_start = 0
        self.last_line = 0

    def tokens(self) -> list[Token]:
        found: list[Token] = []
        while self._skip():
            found.append(self._quoted() if self.text[self.at] == '"' else self._bare())
        return found

    def _skip(self) -> bool:
        """Past white space and comments; False at the end."""
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            elif char in _SPACE:
                self._newline(char)
                self.at += 1
            else:
                return True
        return False

    def _newline(self, char: str) -> None:
        if char == "\n":
            self.line += 1
            self.line_start = self.at + 1

    def _bare(self) -> Token:
        start = self.at
        while self.at < len(self.text) and self.text[self.at] not in _SPACE and self.text[self.at] != "#":
            self.at += 1
        return self._token(self.text[start : self.at], self.line, start - self.line_start + 1, quoted=False)

    def _quoted(self) -> Token:
        line, column = self.line, self.at - self.line_start + 1
        found: list[str] = []
        self.at += 1
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == "\\" and self.text[self.at + 1 : self.at + 2] == '"':
                self.at += 1
                char = '"'
            elif char == '"':
                self.at += 1
                return self._token("".join(found), line, column, quoted=True)
            self._newline(char)
            found.append(char)
            self.at += 1
        raise CorefileError("a quote is opened here and never closed", Token('"', self.file, line, column))

    def _token(self, text: str, line: int, column: int, *, quoted: bool) -> Token:
        first = line != self.last_line
        self.last_line = self.line
        return Token(text, self.file, line, column, first=first, quoted=quoted)


def _substitute(text: str, environment: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda found: environment.get(found[1] or found[2], ""), text)
