"""Which names a rule is about, what becomes of them, and how an answer gets its old names back. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import dns.message
import dns.name
import dns.rdata
import dns.rrset

from seamark.dns.plugins.rewrite.config import AliasRule, Match, NameRule, Replacing

_GROUP = re.compile(r"\{(\d+)\}")
FIELDS = ("target", "exchange", "mname", "rname")
"""Where records hold names: aliases, PTR, NS and SRV; MX; SOA."""
Rename = Callable[[dns.name.Name], dns.name.Name]


def matches(match: Match, name: str) -> bool:
    if match.pattern is not None:
        return match.pattern.search(name) is not None
    tests: dict[str, Callable[[str], bool]] = {
        "exact": lambda text: name == text,
        "prefix": name.startswith,
        "suffix": name.endswith,
        "substring": lambda text: text in name,
    }
    return tests[match.kind](match.text)


def rewritten(rule: NameRule | AliasRule, name: str) -> str:
    """The name to ask for instead."""
    match = rule.match
    if match.pattern is not None:
        found = match.pattern.search(name)
        return _expand(rule.to, found) if found else name
    if match.kind == "exact":
        return rule.to
    if match.kind == "prefix":
        return rule.to + name.removeprefix(match.text)
    if match.kind == "suffix":
        return name.removesuffix(match.text) + rule.to
    return name.replace(match.text, rule.to)


@dataclass(slots=True)
class Restore:
    """What happens to owners, and to names inside records."""

    owners: list[Rename] = field(default_factory=list)
    values: list[Rename] = field(default_factory=list)

    @property
    def does_anything(self) -> bool:
        return bool(self.owners or self.values)


def restorer(rule: NameRule, *, asked: dns.name.Name, used: dns.name.Name) -> Restore:
    """``used`` is what was asked for in place of ``asked``."""
    found = Restore()
    kind, match = rule.match.kind, rule.match
    back: Rename = lambda name: asked if name == used else name  # noqa: E731 - one of four alike
    if kind == "prefix":
        back = _textual(lambda text: match.text + text.removeprefix(rule.to) if text.startswith(rule.to) else text)
    elif kind == "suffix":
        back = _textual(lambda text: text.removesuffix(rule.to) + match.text if text.endswith(rule.to) else text)
    if kind in ("exact", "prefix", "suffix") or rule.auto:
        found.owners.append(lambda name: asked if name == used else back(name))
    if rule.auto:
        found.values.append(back)
    found.owners += [_pattern(replacing) for replacing in rule.names]
    found.values += [_pattern(replacing) for replacing in rule.values]
    return found


def rename(message: dns.message.Message, restore: Restore) -> None:
    """In every section. Rrsets are replaced: a cache may hold the old ones."""
    for section in (message.answer, message.authority, message.additional):
        section[:] = [_renamed(rrset, restore) for rrset in section]


def _renamed(rrset: dns.rrset.RRset, restore: Restore) -> dns.rrset.RRset:
    owner = _through(restore.owners, rrset.name)
    fresh = dns.rrset.RRset(owner, rrset.rdclass, rrset.rdtype, rrset.covers)
    for rdata in rrset:
        fresh.add(_revalued(rdata, restore.values), rrset.ttl)
    return fresh


def _revalued(rdata: dns.rdata.Rdata, renames: list[Rename]) -> dns.rdata.Rdata:
    held = {name: getattr(rdata, name) for name in FIELDS if hasattr(rdata, name)}
    changed = {name: new for name, old in held.items() if (new := _through(renames, old)) != old}
    return rdata.replace(**changed) if changed else rdata


def _through(renames: list[Rename], name: dns.name.Name) -> dns.name.Name:
    for one in renames:
        name = one(name)
    return name


def _textual(change: Callable[[str], str]) -> Rename:
    def renamed(name: dns.name.Name) -> dns.name.Name:
        text = name.to_text().lower()
        found = change(text)
        return name if found == text else dns.name.from_text(found)

    return renamed


def _pattern(replacing: Replacing) -> Rename:
    pattern, to = replacing
    target = to if to.endswith(".") else f"{to}."

    def change(text: str) -> str:
        found = pattern.search(text)
        return _expand(target, found) if found else text

    return _textual(change)


def _expand(text: str, found: re.Match[str]) -> str:
    groups = found.re.groups
    return _GROUP.sub(lambda group: (found[int(group[1])] or "") if int(group[1]) <= groups else group[0], text)
