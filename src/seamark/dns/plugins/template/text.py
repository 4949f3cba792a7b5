"""The part of Go's template language that names are made with, and records out of text. Pure.

``{{ … }}`` holds one value: a field of the question, a group of the pattern, ``index .Match N``, ``.Meta "label"`` or
``parseInt VALUE BASE BITS``. What else Go knows is refused when it is read, never left out.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import dns.rrset
import dns.ttl

TTL = 3600
_ACTION = re.compile(r"\{\{-?(.*?)-?\}\}", re.DOTALL)
CLASSES = frozenset({"IN", "CH", "HS"})


class TemplateError(Exception):
    """What is wrong with a template, or with the values it got."""


@dataclass(frozen=True, slots=True)
class Values:
    """What a template can name."""

    name: str
    zone: str
    rdclass: str
    rdtype: str
    remote: str
    matched: re.Match[str]
    question: str
    identity: int
    meta: Mapping[str, Callable[[], str]]


Part = Callable[[Values], str]
FIELDS: dict[str, Part] = {
    ".Name": lambda v: v.name,
    ".Zone": lambda v: v.zone,
    ".Class": lambda v: v.rdclass,
    ".Type": lambda v: v.rdtype,
    ".Remote": lambda v: v.remote,
    ".Regex": lambda v: v.matched.re.pattern,
    ".Question.Name": lambda v: v.question,
    ".Message.Id": lambda v: str(v.identity),
}


@dataclass(frozen=True, slots=True)
class Template:
    source: str
    parts: tuple[str | Part, ...]

    def render(self, values: Values) -> str:
        """Raises TemplateError."""
        return "".join(part if isinstance(part, str) else part(values) for part in self.parts)


def parse_template(text: str) -> Template:
    """Raises TemplateError for what is not known."""
    parts: list[str | Part] = []
    end = 0
    for found in _ACTION.finditer(text):
        parts += [text[end : found.start()], _parse_action(found[1])]
        end = found.end()
    parts.append(text[end:])
    return Template(text, tuple(part for part in parts if part != ""))


def _parse_action(text: str) -> Part:
    try:
        words = shlex.split(text, posix=False)
    except ValueError as error:
        raise TemplateError(f"'{text.strip()}': {error}") from None
    match words:
        case ["index", ".Match", number] if number.isdecimal():
            return lambda values: _group(values, int(number))
        case ["index", ".Group", name]:
            return lambda values: _group(values, _key(name.strip('"')))
        case [".Meta", label]:
            return lambda values: values.meta.get(label.strip('"'), str)()
        case ["parseInt", value, base, bits] if base.isdecimal() and bits.isdecimal():
            inner = _parse_action(value)
            return lambda values: _integer(inner(values), int(base), int(bits))
        case [field] if field in FIELDS:
            return FIELDS[field]
        case [field] if field.startswith(".Group."):
            key = _key(field.removeprefix(".Group."))
            return lambda values: _group(values, key)
    raise TemplateError(f"'{{{{{text}}}}}' is not supported in a template (known: {', '.join(FIELDS)}, .Group.NAME, …)")


def _key(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


def _group(values: Values, key: int | str) -> str:
    try:
        return values.matched[key] or ""
    except IndexError:
        raise TemplateError(f"the pattern '{values.matched.re.pattern}' has no group '{key}'") from None


def _integer(text: str, base: int, bits: int) -> str:
    try:
        value = int(text, base)
    except ValueError:
        raise TemplateError(f"'{text}' is not a number of base {base}") from None
    if not 0 <= value < 2**bits:
        raise TemplateError(f"'{text}' does not fit into {bits} bits")
    return str(value)


def parse_record(text: str) -> dns.rrset.RRset:
    """One record in zone-file form; TTL and class may be missing. Raises ValueError or DNSException."""
    owner, *words = text.split()
    ttl, rdclass = TTL, "IN"
    while words and (words[0].upper() in CLASSES or words[0][:1].isdecimal()):
        word = words.pop(0)
        if word.upper() in CLASSES:
            rdclass = word
        else:
            ttl = dns.ttl.from_text(word)
    if len(words) < 2:
        raise ValueError(f"'{text}' is not a record")
    data = text.split(words[0], 1)[1] if text.count(words[0]) == 1 else " ".join(words[1:])
    return dns.rrset.from_text(owner, ttl, rdclass, words[0], data.strip())
