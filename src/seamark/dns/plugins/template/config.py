"""``template CLASS TYPE [ZONE...] { match; expr; answer; additional; authority; rcode; ederror; fallthrough; … }``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

import dns.exception
import dns.rcode
import dns.rdataclass
import dns.rdatatype

from seamark.dns.corefile.block import Block, Line, integer
from seamark.dns.corefile.keys import parse_zones
from seamark.dns.expression import Expression, Function, parse_condition
from seamark.dns.patterns import compile_go
from seamark.dns.plugin import Query
from seamark.dns.plugins.template.text import Template, TemplateError, parse_template
from seamark.dns.plugins.view.config import FUNCTIONS

MANY = True
MAX_PATTERN = 10000
SECTIONS = ("answer", "additional", "authority")
NO_VARIABLES = "write the expression where it is used"
ANY_NAME = re.compile("")


@dataclass(frozen=True, slots=True)
class Config:
    rdclass: int
    rdtype: int
    zones: tuple[str, ...]
    patterns: tuple[re.Pattern[str], ...] = (ANY_NAME,)
    answer: tuple[Template, ...] = ()
    additional: tuple[Template, ...] = ()
    authority: tuple[Template, ...] = ()
    rcode: dns.rcode.Rcode = dns.rcode.NOERROR
    ederror: tuple[int, str] | None = None
    fallthrough: tuple[str, ...] | None = None
    conditions: tuple[Expression, ...] = ()


class Matched(NamedTuple):
    """What a condition is about: the query, and how a pattern fits its name."""

    query: Query
    match: re.Match[str]


def _of_query(function: Function) -> Function:
    return Function(function.takes, function.gives, lambda found, *words: function.call(found.query, *words))


def _group(found: Matched, number: int) -> str:
    """Empty where there is no such group, or it fits nothing."""
    return (found.match[number] or "") if 0 <= number <= (found.match.re.groups or 0) else ""


CONDITIONS = {name: _of_query(function) for name, function in FUNCTIONS.items()}
CONDITIONS["group"] = Function(("int",), "string", _group)
"""What ``expr`` may ask: all that *view* knows of a query, and the groups of the pattern."""


class _Reader:
    def __init__(self) -> None:
        self.patterns: list[re.Pattern[str]] = []
        self.sections: dict[str, list[Template]] = {name: [] for name in SECTIONS}
        self.rcode = dns.rcode.NOERROR
        self.ederror: tuple[int, str] | None = None
        self.fallthrough: tuple[str, ...] | None = None
        self.conditions: list[Expression] = []

    def read_expr(self, line: Line) -> None:
        words = line.some("an expression")
        try:
            self.conditions.append(parse_condition(" ".join(word.text for word in words), CONDITIONS))
        except ValueError as error:
            raise words[0].error(f"'expr' of template: {error}") from None

    def read_match(self, line: Line) -> None:
        for word in line.some("regular expressions"):
            if len(word.text) > MAX_PATTERN:
                raise word.error(f"a pattern may have {MAX_PATTERN} characters at most, not {len(word.text)}")
            try:
                self.patterns.append(compile_go(word.text))
            except ValueError as error:
                raise word.error(str(error)) from None

    def read_section(self, line: Line) -> None:
        for word in line.some("a record in quotes"):
            try:
                self.sections[line.name.text].append(parse_template(word.text))
            except TemplateError as error:
                raise word.error(f"'{word.text}': {error}") from None

    def read_rcode(self, line: Line) -> None:
        word = line.one("an rcode")
        try:
            self.rcode = dns.rcode.from_text(word.text)
        except dns.exception.DNSException:
            raise word.error(f"'{word.text}' is not an rcode such as NXDOMAIN") from None

    def read_ederror(self, line: Line) -> None:
        words = line.between(1, 2, "a code and a reason")
        reason = words[1].text if len(words) > 1 else ""
        self.ederror = (integer(words[0], least=0, most=65535), reason)

    def read_fallthrough(self, line: Line) -> None:
        self.fallthrough = parse_zones(line.args, (".",))


def parse(block: Block) -> Config:
    if len(block.args) < 2:
        raise (block.args[-1] if block.args else block.name).error("'template' takes a class and a type, then zones")
    rdclass, rdtype, *zones = block.args
    try:
        found = int(dns.rdataclass.from_text(rdclass.text))
    except dns.exception.DNSException:
        raise rdclass.error(f"'{rdclass.text}' is not a class such as IN or ANY") from None
    try:
        kind = int(dns.rdatatype.from_text(rdtype.text))
    except dns.exception.DNSException:
        raise rdtype.error(f"'{rdtype.text}' is not a type such as A or ANY") from None
    reader = _Reader()
    readers = {**dict.fromkeys(SECTIONS, reader.read_section), "match": reader.read_match, "rcode": reader.read_rcode}
    readers["expr"] = reader.read_expr
    readers |= {"ederror": reader.read_ederror, "fallthrough": reader.read_fallthrough, "upstream": lambda line: None}
    block.read(readers, {"var": NO_VARIABLES})
    return Config(
        found,
        kind,
        parse_zones(tuple(zones), block.zones),
        patterns=tuple(reader.patterns) or (ANY_NAME,),
        rcode=reader.rcode,
        ederror=reader.ederror,
        fallthrough=reader.fallthrough,
        conditions=tuple(reader.conditions),
        **{name: tuple(found) for name, found in reader.sections.items()},
    )
