"""One zone out of a file: what stands at a name, by the rules of RFC 1034 section 4.3.2, RFC 4592 and RFC 6672.

A zone that was signed (by NSEC) gives its signatures and proofs of denial to who asks for them (RFC 4035 section 3.1).
"""

from __future__ import annotations

from bisect import bisect_right
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
POINTING = (T.NS, T.MX, T.SRV, T.SVCB, T.HTTPS)
UNSUPPORTED = (T.NSEC3, T.NSEC3PARAM)
STAR = dns.name.Name((b"*",))


@dataclass(slots=True)
class Found:
    """``target``: the answer so far ends in an alias to it, and the question goes on there. ``wild``: the wildcard that
    the answer, or its absence, is made of. ``proofs`` belong to the authority section, with those of aliases before.
    """

    answer: Section
    authority: Section
    additional: Section = field(default_factory=list)
    rcode: dns.rcode.Rcode = dns.rcode.NOERROR
    is_referral: bool = False
    target: dns.name.Name | None = None
    wild: dns.name.Name | None = None
    is_between: bool = False
    """The name has no records, but names below it have."""
    proofs: Section = field(default_factory=list)


class Zone:
    """``names`` holds owners with records; ``above`` the names between them and the apex, which exist as well."""

    def __init__(self, origin: dns.name.Name, rrsets: list[dns.rrset.RRset]) -> None:
        self.origin = origin
        self._names: dict[dns.name.Name, dict[dns.rdatatype.RdataType, dns.rrset.RRset]] = {}
        self._above: set[dns.name.Name] = set()
        self._signatures: dict[tuple[dns.name.Name, dns.rdatatype.RdataType], dns.rrset.RRset] = {}
        for rrset in rrsets:
            node = self._names.setdefault(rrset.name, {})
            if rrset.rdtype == T.RRSIG:
                self._signatures[rrset.name, rrset.covers] = rrset
            else:
                node[rrset.rdtype] = rrset
            parent = rrset.name
            while parent != origin:
                parent = parent.parent()
                self._above.add(parent)
        self._soa = self._names[origin][T.SOA]
        self._proving = sorted(name for name, node in self._names.items() if T.NSEC in node)
        """In canonical order, which is how names compare."""

    @property
    def serial(self) -> int:
        return int(self._soa[0].serial)

    @property
    def servers(self) -> Section:
        return [rrset] if (rrset := self._names[self.origin].get(T.NS)) is not None else []

    @property
    def is_signed(self) -> bool:
        return bool(self._proving)

    def find(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, *, secured: bool = False) -> Found:
        """One step; aliases are the caller's to follow. ``secured``: with signatures, and proofs of what is not."""
        found = self._find(name, rdtype)
        if secured:
            found.proofs = self._proofs(found, name)
            self._sign(found, name)
        return found

    def signed(self, section: Section) -> Section:
        """With the signatures there are."""
        return [each for rrset in section for each in (rrset, *self._signature(rrset.name, rrset.rdtype))]

    def _find(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> Found:
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
            return self._signatures_at(name) if rdtype == T.RRSIG else self._at(node, node, rdtype)
        if name in self._above:
            found = self._denied(dns.rcode.NOERROR)
            found.is_between = True
            return found
        star = STAR.concatenate(self._closest(name))
        wild = self._names.get(star)
        if wild is None:
            return self._denied(dns.rcode.NOERROR if star in self._above else dns.rcode.NXDOMAIN)
        found = self._at(wild, {kind: _renamed(rrset, name) for kind, rrset in wild.items()}, rdtype)
        found.wild = star
        return found

    def holds(self, name: dns.name.Name) -> bool:
        """Whether the name has records of its own."""
        return name in self._names

    def transfer(self) -> Section:
        rest = [rrset for node in self._names.values() for rrset in node.values() if rrset is not self._soa]
        return [self._soa, *rest, *self._signatures.values(), self._soa]

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

    def _closest(self, name: dns.name.Name) -> dns.name.Name:
        """The closest name above that exists; one in between hides the wildcards above it."""
        closest = name.parent()
        while closest not in self._names and closest not in self._above:
            closest = closest.parent()
        return closest

    def _signatures_at(self, name: dns.name.Name) -> Found:
        found = [rrset for (owner, _), rrset in self._signatures.items() if owner == name]
        return Found(found, self.servers) if found else self._denied(dns.rcode.NOERROR)

    def _signature(self, name: dns.name.Name, covered: dns.rdatatype.RdataType) -> Section:
        return [rrset] if (rrset := self._signatures.get((name, covered))) is not None else []

    def _sign(self, found: Found, name: dns.name.Name) -> None:
        answer = self.signed(found.answer)
        if found.wild is not None:  # its signature tells by its labels that this is made of it
            for rrset in found.answer:
                answer += [_renamed(each, name) for each in self._signature(found.wild, rrset.rdtype)]
        found.answer, found.additional = answer, self.signed(found.additional)
        found.authority, found.proofs = self.signed(found.authority), self.signed(found.proofs)

    def _proofs(self, found: Found, name: dns.name.Name) -> Section:
        """DS records of a cut, and the NSEC records that prove what there is not."""
        if found.is_referral:
            node = self._names[found.authority[0].name]
            return [node[kind] for kind in (T.DS if T.DS in node else T.NSEC,) if kind in node]
        if not self._proving:
            return []
        if found.rcode == dns.rcode.NXDOMAIN:
            proving = [self._before(name), self._before(STAR.concatenate(self._closest(name)))]
        elif found.wild is not None:
            proving = [self._before(name)] if found.answer else [found.wild, self._before(name)]
        elif not found.answer:
            proving = [name if name in self._names else self._before(name)]
        else:
            proving = []
        nodes = (self._names[each] for each in dict.fromkeys(proving))
        return [node[T.NSEC] for node in nodes if T.NSEC in node]

    def _before(self, name: dns.name.Name) -> dns.name.Name:
        """The last name with an NSEC record up to this one."""
        return self._proving[bisect_right(self._proving, name) - 1]

    def _substituted(
        self, name: dns.name.Name, at: dns.name.Name, dname: dns.rrset.RRset, rdtype: dns.rdatatype.RdataType
    ) -> Found:
        target = name.relativize(at).concatenate(dname[0].target)
        if target == name:
            return Found([], [], rcode=dns.rcode.SERVFAIL)
        alias = rrset_of(name, dname.ttl, [dns.rdata.from_text("IN", "CNAME", target.to_text())])
        return Found([dname, alias], self.servers, target=None if rdtype == T.CNAME else target)

    def _glue(self, rrsets: Section) -> Section:
        """Addresses in this zone of what records name."""
        found: dict[tuple[dns.name.Name, int], dns.rrset.RRset] = {}
        for rrset in rrsets:
            for rdata in rrset:
                target = getattr(rdata, "exchange", None) if rrset.rdtype == T.MX else getattr(rdata, "target", None)
                if rrset.rdtype in POINTING and target is not None:
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
        if rdataset.rdtype in UNSUPPORTED:
            raise ValueError(f"NSEC3 zone is not supported, dropping RR: {name} for zone: {origin}")
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
