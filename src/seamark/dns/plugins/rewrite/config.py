"""``rewrite [continue|stop] FIELD …``: one rule a directive, on its line or in braces."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import dns.exception
import dns.rcode
import dns.rdataclass
import dns.rdatatype

from seamark.dns.corefile.block import Block, Line, integer
from seamark.dns.corefile.lexer import Token
from seamark.dns.patterns import compile_go

MANY = True
KINDS = ("exact", "prefix", "suffix", "substring", "regex")
OPTIONS = ("local", "nsid", "subnet")
ACTIONS = ("set", "append", "replace", "unset")
MAX_PATTERN = 10000
MAX_TTL = 2**31 - 1
SUBNET, NSID = 8, 3
Replacing = tuple[re.Pattern[str], str]


@dataclass(frozen=True, slots=True)
class Match:
    """How a rule finds its names; ``text`` is lower-case."""

    kind: str
    text: str
    pattern: re.Pattern[str] | None = None


@dataclass(frozen=True, slots=True)
class NameRule:
    match: Match
    to: str
    auto: bool = False
    names: tuple[Replacing, ...] = ()
    values: tuple[Replacing, ...] = ()


@dataclass(frozen=True, slots=True)
class NumberRule:
    """Of a type or a class."""

    field: str
    source: int
    to: int


@dataclass(frozen=True, slots=True)
class TtlRule:
    match: Match
    least: int
    most: int


@dataclass(frozen=True, slots=True)
class RcodeRule:
    match: Match
    source: dns.rcode.Rcode
    to: dns.rcode.Rcode


@dataclass(frozen=True, slots=True)
class OptionRule:
    """``data`` may be a name in braces; ``prefixes`` are what is told of a client's address, IPv4 and IPv6 (subnet).

    ``reverts``: the reply holds the client's own option again, not the one that was sent on.
    """

    action: str
    code: int
    data: str = ""
    prefixes: tuple[int, int] = (0, 0)
    reverts: bool = False


@dataclass(frozen=True, slots=True)
class AliasRule:
    """Of the targets of CNAME records in answers."""

    match: Match
    to: str


Rule = NameRule | NumberRule | TtlRule | RcodeRule | OptionRule | AliasRule


@dataclass(frozen=True, slots=True)
class Config:
    rule: Rule
    goes_on: bool = False


def parse(block: Block) -> Config:
    words = [*block.args, *(word for line in block.lines for word in _words(block, line))]
    goes_on = False
    if words and words[0].text in ("continue", "stop"):
        goes_on = words.pop(0).text == "continue"
    if not words:
        raise block.name.error("'rewrite' takes a field such as name, and what to rewrite")
    field, *rest = words
    reader = FIELDS.get(field.text)
    if reader is None:
        raise field.error(f"'{field.text}' is not a field of rewrite (known: {', '.join(FIELDS)})")
    return Config(reader(field, rest), goes_on)


def _words(block: Block, line: Line) -> Iterable[Token]:
    if line.name.text not in {*FIELDS, "answer", "continue", "stop"}:
        known = ", ".join(sorted(FIELDS))
        raise line.name.error(f"'{block.name.text}' has no property '{line.name.text}' (known: {known})")
    return line.words


def _match(field: Token, words: list[Token]) -> Match:
    """Takes the kind, if there is one, and the name off ``words``."""
    kind = words.pop(0).text if words and words[0].text in KINDS else "exact"
    if not words:
        raise field.error(f"'{field.text}' needs a name")
    word = words.pop(0)
    if kind == "regex":
        return Match(kind, word.text, _pattern(word))
    text = word.text.lower()
    whole = kind in ("exact", "suffix")
    return Match(kind, f"{text}." if whole and not text.endswith(".") else text)


def _pattern(word: Token) -> re.Pattern[str]:
    if len(word.text) > MAX_PATTERN:
        raise word.error(f"a pattern may have {MAX_PATTERN} characters at most, not {len(word.text)}")
    try:
        return compile_go(word.text)
    except ValueError as error:
        raise word.error(str(error)) from None


def _name(field: Token, words: list[Token]) -> NameRule:
    match = _match(field, words)
    if not words:
        raise field.error("'name' needs the name to rewrite to")
    to = words.pop(0).text.lower()
    if match.kind in ("exact", "suffix", "regex") and not to.endswith("."):
        to += "."
    auto = False
    found: dict[str, list[Replacing]] = {"name": [], "value": []}
    while words:
        word = words.pop(0)
        how = words.pop(0) if words else word
        if word.text != "answer" or how.text not in ("auto", "name", "value"):
            raise word.error(f"'{word.text}' is not an option of rewrite name (known: answer auto, name, value)")
        if how.text == "auto":
            auto = True
            continue
        if len(words) < 2:
            raise how.error(f"'answer {how.text}' takes a pattern and a replacement")
        pattern, replacement = words.pop(0), words.pop(0)
        found[how.text].append((_pattern(pattern), replacement.text))
    return NameRule(match, to, auto, tuple(found["name"]), tuple(found["value"]))


def _number(field: Token, words: list[Token]) -> NumberRule:
    _count(field, words, 2, "two types" if field.text == "type" else "two classes")
    read: Callable[[str], int] = dns.rdatatype.from_text if field.text == "type" else dns.rdataclass.from_text
    found = []
    for word in words:
        try:
            found.append(int(read(word.text)))
        except dns.exception.DNSException:
            raise word.error(f"'{word.text}' is not a {field.text}") from None
    return NumberRule(field.text, *found)


def _ttl(field: Token, words: list[Token]) -> TtlRule:
    match = _match(field, words)
    _count(field, words, 1, "a name and a TTL")
    least, dash, most = words[0].text.partition("-")
    bounds = [least or "0", (most or str(MAX_TTL)) if dash else least]
    if not all(text.isdecimal() and int(text) <= MAX_TTL for text in bounds) or int(bounds[0]) > int(bounds[1]):
        raise words[0].error(f"'{words[0].text}' is not a TTL such as 30, 30-300, 30- or -300")
    return TtlRule(match, int(bounds[0]), int(bounds[1]))


def _rcode(field: Token, words: list[Token]) -> RcodeRule:
    match = _match(field, words)
    _count(field, words, 2, "a name and two rcodes")
    found = []
    for word in words:
        try:
            found.append(
                dns.rcode.Rcode.make(int(word.text)) if word.text.isdecimal() else dns.rcode.from_text(word.text)
            )
        except (dns.exception.DNSException, ValueError):
            raise word.error(f"'{word.text}' is not an rcode such as SERVFAIL") from None
    return RcodeRule(match, *found)


def _alias(field: Token, words: list[Token]) -> AliasRule:
    match = _match(field, words)
    _count(field, words, 1, "the target to rewrite, and what to")
    to = words[0].text.lower()
    return AliasRule(match, to if to.endswith(".") or match.kind in ("prefix", "substring") else f"{to}.")


def _option(field: Token, words: list[Token]) -> OptionRule:
    if len(words) < 2 or words[0].text not in OPTIONS or words[1].text not in ACTIONS:
        raise (words[0] if words else field).error(f"'edns0' takes {', '.join(OPTIONS)}, then {', '.join(ACTIONS)}")
    kind, action, *rest = words
    reverts = bool(rest) and rest[-1].text == "revert" and action.text != "unset"
    if reverts:
        rest.pop()
    if kind.text == "nsid":
        _count(field, rest, 0, "nothing behind it")
        return OptionRule(action.text, NSID, reverts=reverts)
    if kind.text == "subnet":
        return OptionRule(action.text, SUBNET, prefixes=_prefixes(field, action, rest), reverts=reverts)
    _count(field, rest, 1 if action.text == "unset" else 2, "a code and data")
    try:
        code = int(rest[0].text, 0)
    except ValueError:
        code = -1
    if not 0 <= code <= 0xFFFF:
        raise rest[0].error(f"'{rest[0].text}' is not the code of an option")
    data = rest[1].text if len(rest) > 1 else ""
    if data.startswith("0x") and not re.fullmatch("0x([0-9a-fA-F]{2})*", data):
        raise rest[1].error(f"'{data}' is not hexadecimal")
    return OptionRule(action.text, code, data, reverts=reverts)


def _prefixes(field: Token, action: Token, words: list[Token]) -> tuple[int, int]:
    if action.text == "unset":
        _count(field, words, 0, "nothing behind it")
        return 0, 0
    _count(field, words, 2, "two prefix lengths, of IPv4 and of IPv6")
    v4, v6 = (integer(word, least=0, most=most) for word, most in zip(words, (32, 128), strict=True))
    return v4, v6


def _count(field: Token, words: list[Token], wanted: int, what: str) -> None:
    if len(words) != wanted:
        raise (words[-1] if words else field).error(f"'{field.text}' takes {what}")


FIELDS: dict[str, Callable[[Token, list[Token]], Rule]] = {
    "name": _name,
    "type": _number,
    "class": _number,
    "ttl": _ttl,
    "rcode": _rcode,
    "edns0": _option,
    "cname": _alias,
}
