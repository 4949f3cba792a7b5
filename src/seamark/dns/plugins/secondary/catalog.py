"""Catalog zones (RFC 9432): zones that name others, and what follows for the zones a catalog brought before. Pure.

``parse_catalog`` reads the whole zone or refuses it; ``plan_members`` says what to do about each member. A zone is
never taken from whoever has it already, unless the catalog that has it says that it gives it away (``coo``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

import dns.name
import dns.rdatatype
import dns.rrset

from seamark.dns.corefile.keys import match_zone
from seamark.dns.plugin import text_of

T = dns.rdatatype
VERSION = "2"
OF_MEMBER: list[bytes] = []
HEIR = [b"coo"]
"""What stands in front of a member's id: nothing, or a property's name."""


@dataclass(frozen=True, slots=True)
class Member:
    """``heir``: the catalog that the zone may change to."""

    identity: str
    zone: str
    heir: str = ""


Catalog = tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class Owned:
    """A zone that a catalog brought, and as which member."""

    catalog: str
    identity: str


class What(StrEnum):
    ADD = "add"
    RESET = "reset"
    """The member has another id: its zone begins anew."""
    MIGRATE = "migrate"
    """From another catalog, with what is known of it."""
    TAKE = "take"
    """From another catalog, and begun anew."""
    CLASH = "clash"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Action:
    what: What
    zone: str
    owned: Owned
    before: Owned | None = None


def parse_catalog(origin: str, rrsets: Iterable[dns.rrset.RRset]) -> Catalog:
    """Members by their ids. Raises ValueError for what RFC 9432 §5.1 calls broken."""
    zones = dns.name.from_text(f"zones.{origin}")
    apex, version = zones.parent(), dns.name.from_text(f"version.{origin}")
    at_apex: set[int] = set()
    versions: list[str] = []
    pointers: dict[str, list[str]] = defaultdict(list)
    heirs: dict[str, list[str]] = defaultdict(list)
    for rrset in rrsets:
        owner = rrset.name.canonicalize()
        if owner == apex:
            at_apex.add(rrset.rdtype)
        elif owner == version and rrset.rdtype == T.TXT:
            versions += [b"".join(rdata.strings).decode("latin-1") for rdata in rrset]
        elif rrset.rdtype == T.PTR and owner != zones and owner.is_subdomain(zones):
            *front, last = owner.relativize(zones).labels
            named = [text_of(rdata.target) for rdata in rrset]
            if front == OF_MEMBER:
                pointers[last.decode("latin-1")] += named
            elif front == HEIR:
                heirs[last.decode("latin-1")] += named
    _check(origin, at_apex, versions)
    return tuple(_members(origin, pointers, heirs))


def _check(origin: str, at_apex: set[int], versions: list[str]) -> None:
    for rdtype in (T.SOA, T.NS):
        if rdtype not in at_apex:
            raise ValueError(f"catalog zone {origin} has no {T.to_text(rdtype)} record")
    if len(versions) != 1:
        raise ValueError(f"catalog zone {origin} must have exactly one version TXT record")
    if versions[0] != VERSION:
        raise ValueError(f'catalog zone {origin} has unsupported version "{versions[0]}"')


def _members(origin: str, pointers: Mapping[str, list[str]], heirs: Mapping[str, list[str]]) -> Iterator[Member]:
    known: dict[str, str] = {}
    for identity, zones in sorted(pointers.items()):
        if len(zones) != 1:
            raise ValueError(f"catalog member {identity}.zones.{origin} must have exactly one PTR record")
        if (other := known.setdefault(zones[0], identity)) != identity:
            raise ValueError(f"catalog member zone {zones[0]} is listed by both {other} and {identity}")
        heir = heirs.get(identity, [])
        if len(heir) > 1:
            raise ValueError(f"catalog member {identity} has more than one coo PTR record")
        yield Member(identity, zones[0], heir[0] if heir else "")


def plan_members(
    origin: str, members: Catalog, taken: Mapping[str, Owned | None], others: Mapping[str, Catalog]
) -> tuple[Action, ...]:
    """``taken``: the zones there are, and whose they are (None = the Corefile's); ``others``: the catalogs, by name."""
    found = []
    for member in members:
        owned, before = Owned(origin, member.identity), taken.get(member.zone)
        if member.zone not in taken:
            found.append(Action(What.ADD, member.zone, owned))
        elif before is None:
            found.append(Action(What.CLASH, member.zone, owned))
        elif before.catalog != origin:
            found.append(Action(_claimed(member, origin, before, others), member.zone, owned, before))
        elif before != owned:
            found.append(Action(What.RESET, member.zone, owned, before))
    named = {member.zone for member in members}
    gone = [(zone, owner) for zone, owner in taken.items() if zone not in named and owner and owner.catalog == origin]
    return (*found, *(Action(What.REMOVE, zone, owner) for zone, owner in gone))


def _claimed(member: Member, origin: str, before: Owned, others: Mapping[str, Catalog]) -> What:
    source = next((each for each in others.get(before.catalog, ()) if each.zone == member.zone), None)
    if source is None or source.heir != origin:
        return What.CLASH
    return What.MIGRATE if before.identity == source.identity == member.identity else What.TAKE


def select_members(members: Catalog, allowed: tuple[str, ...]) -> Catalog:
    """Those at or below the zones that may come; none given, all."""
    return tuple(member for member in members if not allowed or match_zone(allowed, member.zone) is not None)
