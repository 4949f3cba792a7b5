"""hosts(5) text -> names and addresses. Pure; lines that cannot be used are left out of a file, as CoreDNS does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address

import dns.exception
import dns.name


@dataclass(slots=True)
class Entries:
    """Names are lower-case and absolute; ``*.x`` stands for one label in front of x and owns no reverse name."""

    addresses: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    """name -> A or AAAA -> addresses."""
    names: dict[str, list[str]] = field(default_factory=dict)
    """canonical address -> names."""

    def find(self, name: str) -> dict[str, list[str]] | None:
        """The addresses by type; None for an unknown name."""
        found = self.addresses.get(name)
        return found if found is not None else self.addresses.get(f"*.{name.partition('.')[2]}")

    def __len__(self) -> int:
        own = sum(len(found) for types in self.addresses.values() for found in types.values())
        return own + sum(len(names) for names in self.names.values())


def parse_entries(lines: Iterable[str], *, reverse: bool) -> Entries:
    found = Entries()
    for line in lines:
        first, *words = line.partition("#")[0].split() or [""]
        try:
            address = ip_address(first)
        except ValueError:
            continue
        rdtype = "A" if address.version == 4 else "AAAA"
        for word in words:
            name = _normal(word)
            if name is None:
                continue
            _add(found.addresses.setdefault(name, {}).setdefault(rdtype, []), str(address))
            if reverse and not name.startswith("*."):
                _add(found.names.setdefault(str(address), []), name)
    return found


def check_entry(words: list[str]) -> str:
    """Why these words are no entry; empty if they are one."""
    if not words:
        return "an empty line"
    try:
        ip_address(words[0])
    except ValueError:
        return f"'{words[0]}' is neither a property nor an address"
    if len(words) < 2:
        return f"no name follows the address {words[0]}"
    bad = next((word for word in words[1:] if _normal(word) is None), None)
    return f"'{bad}' is not a domain name" if bad else ""


def _normal(word: str) -> str | None:
    try:
        return dns.name.from_text(word.lower()).to_text()
    except dns.exception.DNSException:
        return None


def _add(found: list[str], value: str) -> None:
    if value not in found:
        found.append(value)
