"""One way to write a Corefile: four spaces a level, one space between words, comments kept. Pure.

Lines stay lines; only white space changes, so the meaning does not. Also ``render``: a Corefile as the server
understands it, imports in place, plugins in the order queries meet them: what two Corefiles are compared by.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from seamark.dns.corefile.block import Block
from seamark.dns.corefile.keys import parse_key
from seamark.dns.corefile.lexer import Token
from seamark.dns.corefile.parser import Corefile

BOM = "\ufeff"
INDENT = "    "
SPACE = " \t\r\v\f"


def format_corefile(text: str) -> str:
    """The text in the one form; formatting it again changes nothing."""
    found: list[str] = []
    depth = 0
    for words in _lines(text.removeprefix(BOM).replace("\r", "")):
        if not words:
            if found and found[-1]:
                found.append("")
            continue
        opened, closed = words.count("{"), words.count("}")
        if words[0] == "}":
            depth, closed = max(0, depth - 1), closed - 1
            while found and not found[-1]:
                found.pop()
        found.append(INDENT * depth + " ".join(words))
        depth = max(0, depth + opened - closed)
    formatted = "\n".join(found).strip("\n") + "\n"
    return BOM + formatted if formatted.startswith(BOM) else formatted  # the first one is nobody's word


def _lines(text: str) -> Iterator[list[str]]:
    """The words of each line; a quoted word may hold line ends, a comment is the last word."""
    words: list[str] = []
    at = 0
    while at < len(text):
        char = text[at]
        if char == "\n":
            yield words
            words = []
            at += 1
        elif char in SPACE:
            at += 1
        else:
            end = _end_of_word(text, at)
            words.append(text[at:end].rstrip() if char == "#" else text[at:end])
            at = end
    yield words


def _end_of_word(text: str, at: int) -> int:
    if text[at] == "#":
        end = text.find("\n", at)
        return len(text) if end < 0 else end
    if text[at] == '"':
        end = at + 1
        while end < len(text) and text[end] != '"':
            end += 2 if text.startswith('\\"', end) else 1
        return min(end + 1, len(text))
    end = at
    while end < len(text) and text[end] not in SPACE + "\n#":
        end += 1
    return end


def render(corefile: Corefile, order: Sequence[str], *, default_port: int = 53) -> list[str]:
    """Lines of the Corefile in normal form: blocks by key, no imports, no comments. Raises CorefileError."""
    found: dict[str, list[str]] = {}
    for block in corefile.blocks:
        keys = " ".join(str(key) for token in block.keys for key in parse_key(token, default_port=default_port))
        rank = {name: number for number, name in enumerate(order)}
        directives = sorted(block.directives, key=lambda one: rank.get(one.name.text, len(rank)))
        found[keys] = [f"{keys} {{", *(line for one in directives for line in _directive(one)), "}"]
    return [line for keys in sorted(found) for line in found[keys]]


def _directive(block: Block) -> Iterator[str]:
    head = INDENT + _words((block.name, *block.args))
    if not block.lines:
        yield head
        return
    yield f"{head} {{"
    for line in block.lines:
        yield 2 * INDENT + _words(line.words)
    yield f"{INDENT}}}"


def _words(tokens: Iterable[Token]) -> str:
    return " ".join(_quoted(token.text) for token in tokens)


def _quoted(text: str) -> str:
    plain = text and not any(char in text for char in ' \t\n"#') and text not in ("{", "}")
    return text if plain else '"' + text.replace('"', '\\"') + '"'
