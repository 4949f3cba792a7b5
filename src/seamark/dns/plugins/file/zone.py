"""One zone out of a file: what stands at a name, by the rules of RFC 1034 section 4.3.2, RFC 4592 and RFC 6672."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.rrset
import dns.zone

from seamark.dns.reply import rrset_of

T = dns.rdatatype
Section = list[dns.rrset.RRset]
STAR = dns.name.Name((b"*",))


@dataclass(slots=True)
class Found:
    """``target``: the answer so far ends in an alias to it, and the question goes on there."""

    answer: Section
    authority: Section
    additional: Section = field(default_factory=list)
    rcode: dns.rcode.Rcode = dns.rcode.NOERROR
    is_referral: bool = False
    target: dns.name.Name | None = None


class Zone:
    """``names`` holds owners with records; ``above`` the names between them and the apex, which exist as well."""

    def __init__(self, origin: dns.name.Name, rrsets: list[dns.rrset.RRset]) -> None:
        self.origin = origin
        self._names: dict[dns.name.Name, dict[dns.rdatatype.RdataType, dns.rrset.RRset]] = {}
        self._above: set[dns.name.Name] = set()
        for rrset in rrsets:
            self._names.setdefault(rrset.name, {})[rrset.rdtype] = rrset
            parent = rrset.name
            while parent != origin:
                parent = parent.parent()
                self._above.add(parent)
        self._soa = self._names[origin][T.SOA]

    @property
    def serial(self) -> int:
        return int(self._soa[0].serial)

    @property
    def servers(self) -> Section:
        return [rrset] if (rrset := self._names[self.origin].get(T.NS)) is not None else []

    def find(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> Found:
        """One step; aliases are the caller's to follow."""
        node = None
        for depth in range(len(self.origin.labels), len(name.labels) + 1):
            at = dns.name.Name(name.labels[-depth:])
            node = self._names.get(at)
            if node is None:
                continue
            if T.DNAME in node and at != name:
                return self._substituted(name, at, node[T.DNAME], rdtype)
            if T.NS in node and at != self.origin and not (at == name and rdtype == T.DS):
                return Found([], [node[T.NS]], self._glue([node[T.NS]]), is_referral=True)
        if node is not None and len(name.labels) >= len(self.origin.labels):
            return self._at(node, node, rdtype)
        if name in self._above:
            return self._denied(dns.rcode.NOERROR)
        wild = self._wildcard(name)
        if wild is None:
            return self._denied(dns.rcode.NXDOMAIN)
        return self._at(wild, {kind: _renamed(rrset, name) for kind, rrset in wild.items()}, rdtype)

    def secured(self, cut: dns.name.Name) -> Section:
        """What secures the zone below a cut: its DS records."""
        return [rrset] if (rrset := self._names.get(cut, {}).get(T.DS)) is not None else []

    def holds(self, name: dns.name.Name) -> bool:
        """Whether the name has records of its own."""
        return name in self._names

    def transfer(self) -> Section:
        rest = [rrset for node in self._names.values() for rrset in node.values() if rrset is not self._soa]
        return [self._soa, *rest, self._soa]

    def _at(
        self,
        node: dict[dns.rdatatype.RdataType, dns.rrset.RRset],
        shown: dict[dns.rdatatype.RdataType, dns.rrset.RRset],
        rdtype: dns.rdatatype.RdataType,
    ) -> Found:
        if T.CNAME in node and rdtype != T.CNAME:
            return Found([shown[T.CNAME]], self.servers, target=node[T.CNAME][0].target)
        found = shown.get(rdtype)
        if found is None:
            return self._denied(dns.rcode.NOERROR)
        is_apex_ns = rdtype == T.NS and found.name == self.origin
        return Found([found], [] if is_apex_ns else self.servers, self._glue([found]))

    def _denied(self, rcode: dns.rcode.Rcode) -> Found:
        return Found([], [self._soa], rcode=rcode)

    def _wildcard(self, name: dns.name.Name) -> dict[dns.rdatatype.RdataType, dns.rrset.RRset] | None:
        """The one below the closest name that exists; a name in between hides those above it."""
        closest = name.parent()
        while closest not in self._names and closest not in self._above:
            closest = closest.parent()
        return self._names.get(STAR.concatenate(closest))

    def _substituted(
        self, name: dns.name.Name, at: dns.name.Name, dname: dns.rrset.RRset, rdtype: dns.rdatatype.RdataType
    ) -> Found:
        target = name.relativize(at).concatenate(dname[0].target)
        if target == name:
            return Found([], [], rcode=dns.rcode.SERVFAIL)
        alias = rrset_of(name, dname.ttl, [dns.rdata.from_text("IN", "CNAME", target.to_text())])
        return Found([dname, alias], self.servers, target=None if rdtype == T.CNAME else target)

    def _glue(self, rrsets: Section) -> Section:
        """Addresses in this zone of what NS, MX and SRV name."""
        found: dict[tuple[dns.name.Name, int], dns.rrset.RRset] = {}
        for rrset in rrsets:
            for rdata in rrset:
                target = getattr(rdata, "exchange", None) if rrset.rdtype == T.MX else getattr(rdata, "target", None)
                if rrset.rdtype in (T.NS, T.MX, T.SRV) and target is not None:
                    node = self._names.get(target, {})
                    found |= {(target, kind): node[kind] for kind in (T.A, T.AAAA) if kind in node}
        return list(found.values())


def read_zone(path: Path, origin: str) -> Zone:
    """Raises OSError, ValueError or DNSException, which say where."""
    apex = dns.name.from_text(origin)
    with path.open(encoding="utf-8") as text:
        parsed = dns.zone.from_file(
            text, apex, relativize=False, allow_include=True, check_origin=False, filename=str(path)
        )
    return make_zone(parsed, origin)


def make_zone(parsed: dns.zone.Zone, origin: str) -> Zone:
    """Of a zone read from a file or out of a transfer, names absolute. Raises ValueError."""
    apex = dns.name.from_text(origin)
    rrsets = []
    for name, rdataset in parsed.iterate_rdatasets():
        rrset = dns.rrset.RRset(name.canonicalize(), rdataset.rdclass, rdataset.rdtype, rdataset.covers)
        for rdata in rdataset:
            rrset.add(_lowered(rdata), rdataset.ttl)
        rrsets.append(rrset)
    if not any(rrset.rdtype == T.SOA and rrset.name == apex for rrset in rrsets):
        raise ValueError(f"it has no SOA record at {origin}")
    return Zone(apex, rrsets)


def _lowered(rdata: dns.rdata.Rdata) -> dns.rdata.Rdata:
    """Names that answers go on from, as CoreDNS spells them."""
    if rdata.rdtype not in (T.NS, T.SOA, T.CNAME, T.MX):
        return rdata
    held = {name: getattr(rdata, name) for name in ("target", "mname", "rname", "exchange") if hasattr(rdata, name)}
    return rdata.replace(**{name: value.canonicalize() for name, value in held.items()})


def _renamed(rrset: dns.rrset.RRset, owner: dns.name.Name) -> dns.rrset.RRset:
    found = dns.rrset.RRset(owner, rrset.rdclass, rrset.rdtype, rrset.covers)
    found.items, found.ttl = rrset.items, rrset.ttl
    return found
