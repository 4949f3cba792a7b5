"""What a template can look at, and what it can call besides Go's own functions. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import dns.flags
import dns.message
import dns.rdataclass
import dns.rdatatype

from seamark.dns.gotemplate import Method, Struct, Template, TemplateError, parse_template
from seamark.dns.gotemplate.functions import Called
from seamark.dns.plugin import Query

MAX_BITS = 64
_DIGITS = {base: frozenset("0123456789abcdefghijklmnopqrstuvwxyz"[:base]) for base in range(2, 37)}


class Pattern(NamedTuple):
    """``text`` is as it is written."""

    text: str
    compiled: re.Pattern[str]


@dataclass(slots=True)
class Matched:
    """What conditions and templates are about: the query, how a pattern fits its name, and what ``var`` made of it."""

    query: Query
    match: re.Match[str]
    pattern: Pattern
    variables: dict[str, Any] = field(default_factory=dict)

    @property
    def groups(self) -> dict[str, str]:
        """By number and by name; empty where one fits nothing."""
        numbered = (self.match[0], *self.match.groups(""))
        return {str(at): text for at, text in enumerate(numbered)} | self.match.groupdict("")


class Said(NamedTuple):
    """What zone, class and type are called in a template."""

    zone: str
    rdclass: str
    rdtype: str


def root_of(matched: Matched, said: Said) -> Struct:
    query = matched.query
    fields: dict[str, Callable[[], Any] | Method] = {
        "Zone": lambda: said.zone,
        "Name": lambda: query.text,
        "Regex": lambda: matched.pattern.text,
        "Match": lambda: [matched.match[0], *matched.match.groups("")],
        "Group": lambda: matched.groups,
        "Class": lambda: said.rdclass,
        "Type": lambda: said.rdtype,
        "Message": lambda: _message(query.message),
        "Question": lambda: _question(query.message),
        "Remote": lambda: query.client,
        "Var": lambda: matched.variables,
        "Meta": Method(partial(_metadata, query.metadata), 1),
    }
    return Struct(fields)


FIELDS = ("Zone", "Name", "Regex", "Match", "Group", "Class", "Type", "Message", "Question", "Remote", "Var", "Meta")


def _metadata(known: Mapping[str, Callable[[], str]], label: str) -> str:
    return known[label]() if label in known else ""


def _question(message: dns.message.Message) -> Struct:
    asked = message.question[0]
    fields: dict[str, Callable[[], Any] | Method] = {
        "Name": lambda: asked.name.to_text(),
        "Qtype": lambda: int(asked.rdtype),
        "Qclass": lambda: int(asked.rdclass),
    }
    kind, rdclass = dns.rdatatype.to_text(asked.rdtype), dns.rdataclass.to_text(asked.rdclass)
    return Struct(fields, lambda: f";{asked.name.to_text()}\t{rdclass}\t {kind}")


def _message(message: dns.message.Message) -> Struct:
    """The header, and the question. Of other sections queries have an OPT at most."""

    def flag(bit: int) -> Callable[[], bool]:
        return lambda: bool(message.flags & bit)

    fields: dict[str, Callable[[], Any] | Method] = {
        "Id": lambda: message.id,
        "Response": flag(dns.flags.QR),
        "Opcode": lambda: int(message.opcode()),
        "Authoritative": flag(dns.flags.AA),
        "Truncated": flag(dns.flags.TC),
        "RecursionDesired": flag(dns.flags.RD),
        "RecursionAvailable": flag(dns.flags.RA),
        "Zero": flag(0x40),
        "AuthenticatedData": flag(dns.flags.AD),
        "CheckingDisabled": flag(dns.flags.CD),
        "Rcode": lambda: int(message.rcode()),
        "Question": lambda: [_question(message)],
        "Answer": list,
        "Ns": list,
    }
    return Struct(fields)


def _parse_int(text: Any, base: Any, bits: Any) -> int:
    """Go's ParseUint."""
    if not isinstance(text, str) or not all(isinstance(each, int) for each in (base, bits)):
        raise TemplateError("parseInt takes a string, a base and a number of bits")
    digits, radix = _without_prefix(text) if base == 0 else (text, base)
    if radix not in _DIGITS or not 0 <= bits <= MAX_BITS:
        raise TemplateError(f"parseInt knows no base {base} of {bits} bits")
    if not digits or not _DIGITS[radix].issuperset(digits.lower()):
        raise TemplateError(f"'{text}' is not a number of base {base}")
    value = int(digits, radix)
    if value >> (bits or MAX_BITS):
        raise TemplateError(f"'{text}' does not fit into {bits or MAX_BITS} bits")
    return value


def _without_prefix(text: str) -> tuple[str, int]:
    """The digits, and the base that stands in front of them."""
    low = text.lower()
    for prefix, base in (("0x", 16), ("0b", 2), ("0o", 8), ("0", 8)):
        if low.startswith(prefix) and len(low) > len(prefix):
            return low.removeprefix(prefix).replace("_", ""), base
    return low.replace("_", ""), 10


FUNCTIONS = {"parseInt": Called("parseInt", _parse_int, 3, 3)}


def parse_record_template(text: str) -> Template:
    """Raises TemplateError."""
    return parse_template(text, FUNCTIONS, FIELDS)
