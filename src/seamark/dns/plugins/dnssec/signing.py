"""Signing replies as they are given (RFC 4034, RFC 4035), denials by NSEC "black lies".

A name that does not exist is said to exist without the type asked for, so that one NSEC record and one signature prove
it, and no other name is told (draft-valsorda-dnsop-black-lies, as CoreDNS). NXDOMAIN becomes NOERROR.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence

import dns.dnssec
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from seamark.dns.corefile.keys import match_zone
from seamark.dns.plugin import Query, text_of
from seamark.dns.plugins.dnssec.keys import Key
from seamark.dns.reply import Section, rrset_of
from seamark.machinery.clock import Clock

T = dns.rdatatype
BEFORE, LASTING, RENEWED = 3 * 3600, 8 * 86400, 2 * 86400
"""Seconds: a signature holds from before now, for so long, and is made anew when so little is left."""
_TYPES = "A HINFO TXT AAAA LOC SRV CERT SSHFP RRSIG NSEC TLSA HIP OPENPGPKEY SPF"
_APEX = "A NS SOA HINFO MX TXT AAAA LOC SRV CERT SSHFP RRSIG NSEC DNSKEY TLSA HIP OPENPGPKEY SPF"
_CUT = "A NS HINFO TXT AAAA LOC SRV CERT SSHFP RRSIG NSEC TLSA HIP OPENPGPKEY SPF"
Kept = tuple[float, dns.rrset.RRset]


class Signer:
    """``zones`` are what is signed for. With keys of both kinds those with SEP sign keys alone, the others the rest."""

    def __init__(
        self, zones: tuple[str, ...], keys: Sequence[Key], clock: Clock, capacity: int, *, original_ttl: int = 0
    ) -> None:
        """``original_ttl`` is written into every signature; 0 = each record's own."""
        self._zones = zones
        self._original_ttl = original_ttl
        self._clock = clock
        self._capacity = capacity
        self._kept: OrderedDict[tuple[object, ...], Kept] = OrderedDict()
        split = len({key.signs_keys for key in keys}) == 2
        self._for_keys = [key for key in keys if key.signs_keys or not split]
        self._for_rest = [key for key in keys if not key.signs_keys or not split]
        self.hits = self.misses = 0

    @property
    def entries(self) -> int:
        return len(self._kept)

    def sign(self, query: Query, zone: str, message: dns.message.Message) -> None:
        """Adds signatures, and what proves a denial."""
        denied = _denied(query, message)
        if denied is not None and match_zone((zone,), text_of(denied)) is not None:
            self._deny(query, denied, zone, message)
        elif not message.answer and message.authority and not message.flags & dns.flags.AA:
            self._delegate(query, zone, message)
        else:
            message.answer = self._signed(message.answer)
            message.authority = self._signed(message.authority)
            message.additional = self._signed(message.additional)

    def _deny(self, query: Query, name: dns.name.Name, zone: str, message: dns.message.Message) -> None:
        is_apex = text_of(name) == zone
        types = _types(_APEX if is_apex else _CUT if query.rdtype == T.DS else _TYPES, but=query.rdtype)
        proof = self._proof(name, zone, message.authority[0].ttl, types, _child(name))
        message.set_rcode(dns.rcode.NOERROR)
        message.answer = self._signed(message.answer)
        if query.rdtype == T.NSEC:  # then the proof is the answer
            message.answer, message.authority = [*message.answer, *proof], []
        else:
            message.authority = [*self._signed(message.authority), *proof]

    def _delegate(self, query: Query, zone: str, message: dns.message.Message) -> None:
        """A referral's DS records are signed; that there are none is proved."""
        held = [rrset for rrset in message.authority if rrset.rdtype == T.DS]
        ttl = message.authority[0].ttl
        proof = (
            [self._signature(held[0], zone)]
            if held
            else self._proof(message.authority[0].name, zone, ttl, _types(_CUT), _after(message.authority[0].name))
        )
        message.authority = [*message.authority, *proof]

    def _proof(
        self, owner: dns.name.Name, zone: str, ttl: int, types: Iterable[str], following: dns.name.Name
    ) -> Section:
        nsec = dns.rdata.from_text(dns.rdataclass.IN, T.NSEC, f"{following.to_text()} {' '.join(types)}")
        rrset = rrset_of(owner, ttl, [nsec])
        return [self._signature(rrset, zone), rrset]

    def _signed(self, section: Section) -> Section:
        """Signatures behind the records, so that these are the last to go where there is little room."""
        found = []
        for rrset in section:
            zone = match_zone(self._zones, text_of(rrset.name))
            if zone is not None and rrset.rdtype not in (T.RRSIG, T.OPT):
                found.append(self._signature(rrset, zone))
        return [*section, *found]

    def _signature(self, rrset: dns.rrset.RRset, zone: str) -> dns.rrset.RRset:
        """Made once for the same records, until little of it is left."""
        key = (rrset.name.labels, rrset.rdtype, rrset.ttl, zone, frozenset(rdata.to_digestable() for rdata in rrset))
        now = self._clock.time()
        ends, found = self._kept.get(key, (0.0, None))
        if found is not None and ends - now > RENEWED:
            self._kept.move_to_end(key)
            self.hits += 1
            return found
        self.misses += 1
        found = self._make(rrset, zone, now)
        self._kept[key] = (now + LASTING, found)
        if len(self._kept) > self._capacity:
            self._kept.popitem(last=False)
        return found

    def _make(self, rrset: dns.rrset.RRset, zone: str, now: float) -> dns.rrset.RRset:
        keys = self._for_keys if rrset.rdtype == T.DNSKEY else self._for_rest
        signer = dns.name.from_text(zone)
        signed = rrset_of(rrset.name, self._original_ttl or rrset.ttl, list(rrset))
        rdatas = [
            dns.dnssec.sign(
                signed,
                key.private,
                signer,
                key.record,
                inception=int(now) - BEFORE,
                expiration=int(now) + LASTING,
                verify=False,
            )
            for key in keys
        ]
        return rrset_of(rrset.name, rrset.ttl, rdatas)


def _denied(query: Query, message: dns.message.Message) -> dns.name.Name | None:
    """The name of which the message says that there is no such thing: the one asked, or the end of its aliases."""
    is_denial = message.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)
    if not is_denial or [rrset.rdtype for rrset in message.authority] != [T.SOA]:
        return None
    if not message.answer:
        return query.name
    last = message.answer[-1]
    return last[0].target if last.rdtype == T.CNAME and query.rdtype != T.CNAME else None


def _types(text: str, but: dns.rdatatype.RdataType | None = None) -> list[str]:
    unwanted = T.to_text(but) if but is not None and but != T.NSEC else ""
    return [word for word in text.split() if word != unwanted]


def _child(name: dns.name.Name) -> dns.name.Name:
    """The name that follows in canonical order."""
    return dns.name.Name((b"\0", *name.labels)) if len(name.to_wire() or b"") < 254 else name


def _after(name: dns.name.Name) -> dns.name.Name:
    """The one that follows everything below a name."""
    first, *rest = name.labels
    return dns.name.Name((first + b"\0", *rest)) if len(first) < 63 else _child(name)
