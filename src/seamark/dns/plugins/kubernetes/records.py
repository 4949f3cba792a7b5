"""Table records -> rrsets as one question sees them. Pure.

Rule (what 0x20 sees): the owner repeats the question's spelling, the zone part of other names repeats the zone as it
was asked, object names are lower-case, PTR targets use the configured zone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from dns.rdtypes.ANY.CNAME import CNAME
from dns.rdtypes.ANY.NS import NS
from dns.rdtypes.ANY.PTR import PTR
from dns.rdtypes.ANY.SOA import SOA
from dns.rdtypes.ANY.TXT import TXT
from dns.rdtypes.IN.SRV import SRV

from seamark.compile.dnstable import Record
from seamark.dns.reply import address_rdata, rrset_of
from seamark.model.meta import Provenance

IN = dns.rdataclass.IN
Make = Callable[..., dns.rdata.Rdata]  # dnspython's record classes are not typed
_SRV: Make = SRV
_PTR: Make = PTR
_CNAME: Make = CNAME
_SOA: Make = SOA
_NS: Make = NS
REFRESH, RETRY, EXPIRE = 7200, 1800, 86400
MAX_SOA_TTL = 300
VERSION, VERSION_TTL = b"1.1.0", 28800


def name_below(relative: str, zone: dns.name.Name) -> dns.name.Name:
    return dns.name.Name((*(label.encode() for label in relative.split(".")), *zone.labels))


def rdata_of(record: Record, zone: dns.name.Name) -> dns.rdata.Rdata:
    """``zone`` completes names that are relative."""
    if record.rdtype in ("A", "AAAA"):
        return address_rdata(record.rdtype, record.data)
    if record.rdtype == "SRV":
        priority, weight, port, target = record.data.split(" ")
        return _SRV(IN, dns.rdatatype.SRV, int(priority), int(weight), int(port), name_below(target, zone))
    if record.rdtype == "PTR":
        return _PTR(IN, dns.rdatatype.PTR, name_below(record.data, zone))
    return _CNAME(IN, dns.rdatatype.CNAME, dns.name.from_text(record.data))


def origins_of(records: Iterable[Record]) -> tuple[Provenance, ...]:
    """The object behind each record, in their order."""
    return tuple(record.origin for record in records)


def rrset_at(owner: dns.name.Name, ttl: int, records: Iterable[Record], zone: dns.name.Name) -> list[dns.rrset.RRset]:
    """No rrset for no records."""
    rdatas = [rdata_of(record, zone) for record in records]
    return [rrset_of(owner, ttl, rdatas)] if rdatas else []


def additional_of(records: Iterable[Record], ttl: int, zone: dns.name.Name) -> list[dns.rrset.RRset]:
    """Address records at the targets of an SRV answer, one rrset per name and type."""
    grouped: dict[tuple[str, str], list[dns.rdata.Rdata]] = {}
    for record in records:
        grouped.setdefault((record.owner, record.rdtype), []).append(rdata_of(record, zone))
    return [rrset_of(name_below(owner, zone), ttl, rdatas) for (owner, _), rdatas in grouped.items()]


def soa(zone: dns.name.Name, ttl: int, serial: int) -> dns.rrset.RRset:
    mname = dns.name.Name((b"ns", b"dns", *zone.labels))
    rname = dns.name.Name((b"hostmaster", *zone.labels))
    rdata = _SOA(IN, dns.rdatatype.SOA, mname, rname, serial & 0xFFFFFFFF, REFRESH, RETRY, EXPIRE, ttl)
    return rrset_of(zone, min(ttl, MAX_SOA_TTL), [rdata])


def version(owner: dns.name.Name) -> dns.rrset.RRset:
    return rrset_of(owner, VERSION_TTL, [TXT(IN, dns.rdatatype.TXT, (VERSION,))])


def name_servers(zone: dns.name.Name, ttl: int, targets: Iterable[dns.name.Name]) -> list[dns.rrset.RRset]:
    rdatas = [_NS(IN, dns.rdatatype.NS, target) for target in dict.fromkeys(targets)]
    return [rrset_of(zone, ttl, rdatas)] if rdatas else []
