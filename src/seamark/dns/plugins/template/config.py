"""``template CLASS TYPE [ZONE...] { match; var; expr; answer; additional; authority; rcode; ederror; … }``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import dns.exception
import dns.rcode
import dns.rdataclass
import dns.rdatatype

from seamark.dns.corefile.block import Block, Line, integer
from seamark.dns.corefile.keys import parse_zones
from seamark.dns.expression import Expression, Function, is_reserved, parse_condition, parse_expression
from seamark.dns.gotemplate import Template, TemplateError
from seamark.dns.patterns import compile_go
from seamark.dns.plugins.template.data import Matched, Pattern, parse_record_template
from seamark.dns.plugins.view.config import FUNCTIONS

MANY = True
MAX_PATTERN = 10000
SECTIONS = ("answer", "additional", "authority")
ANY_NAME = Pattern(".*", re.compile(".*"))
_NAME = re.compile(r"[a-zA-Z_]\w*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Config:
    rdclass: int
    rdtype: int
    zones: tuple[str, ...]
    patterns: tuple[Pattern, ...] = (ANY_NAME,)
    variables: tuple[tuple[str, Expression], ...] = ()
    """In their order: each may use those before it."""
    answer: tuple[Template, ...] = ()
    additional: tuple[Template, ...] = ()
    authority: tuple[Template, ...] = ()
    rcode: dns.rcode.Rcode = dns.rcode.NOERROR
    ederror: tuple[int, str] | None = None
    fallthrough: tuple[str, ...] | None = None
    conditions: tuple[Expression, ...] = ()


def _of_query(function: Function) -> Function:
    return Function(function.takes, function.gives, lambda found, *words: function.call(found.query, *words))


def _group(found: Matched, group: Any) -> str:
    """By name or number; empty where there is no such group, or it fits nothing."""
    return "" if isinstance(group, bool) else found.groups.get(str(group), "")


CONDITIONS = {name: _of_query(function) for name, function in FUNCTIONS.items()}
CONDITIONS["group"] = Function(("value",), "string", _group)
"""What ``var`` and ``expr`` may ask: all that *view* knows of a query, and the groups of the pattern."""


class _Reader:
    def __init__(self) -> None:
        self.patterns: list[Pattern] = []
        self.variables: list[tuple[str, Expression]] = []
        self.sections: dict[str, list[Template]] = {name: [] for name in SECTIONS}
        self.rcode = dns.rcode.NOERROR
        self.ederror: tuple[int, str] | None = None
        self.fallthrough: tuple[str, ...] | None = None
        self.conditions: list[Expression] = []

    @property
    def kinds(self) -> dict[str, str]:
        """Of the variables so far."""
        return {name: expression.kind for name, expression in self.variables}

    def read_var(self, line: Line) -> None:
        if len(line.args) < 2:
            raise line.name.error("'var' takes a name and an expression")
        name, *words = line.args
        if not _NAME.fullmatch(name.text):
            raise name.error(f"'{name.text}' is not a variable's name")
        if name.text in CONDITIONS or name.text in self.kinds or is_reserved(name.text):
            raise name.error(f"variable name '{name.text}' is reserved")
        try:
            found = parse_expression(" ".join(word.text for word in words), CONDITIONS, self.kinds)
        except ValueError as error:
            raise words[0].error(f"'var' of template: {error}") from None
        self.variables.append((name.text, found))

    def read_expr(self, line: Line) -> None:
        words = line.some("an expression")
        try:
            self.conditions.append(parse_condition(" ".join(word.text for word in words), CONDITIONS, self.kinds))
        except ValueError as error:
            raise words[0].error(f"'expr' of template: {error}") from None

    def read_match(self, line: Line) -> None:
        for word in line.some("regular expressions"):
            if len(word.text) > MAX_PATTERN:
                raise word.error(f"a pattern may have {MAX_PATTERN} characters at most, not {len(word.text)}")
            try:
                self.patterns.append(Pattern(word.text, compile_go(word.text)))
            except ValueError as error:
                raise word.error(str(error)) from None

    def read_section(self, line: Line) -> None:
        for word in line.some("a record in quotes"):
            try:
                self.sections[line.name.text].append(parse_record_template(word.text))
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
    readers |= {"var": reader.read_var, "expr": reader.read_expr}
    readers |= {"ederror": reader.read_ederror, "fallthrough": reader.read_fallthrough, "upstream": lambda line: None}
    block.read(readers)
    return Config(
        found,
        kind,
        parse_zones(tuple(zones), block.zones),
        patterns=tuple(reader.patterns) or (ANY_NAME,),
        variables=tuple(reader.variables),
        rcode=reader.rcode,
        ederror=reader.ederror,
        fallthrough=reader.fallthrough,
        conditions=tuple(reader.conditions),
        **{name: tuple(found) for name, found in reader.sections.items()},
    )
