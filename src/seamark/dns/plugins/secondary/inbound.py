"""Asking primaries, one after the other until one answers: their serial, and the whole zone (RFC 5936)."""

from __future__ import annotations

from collections.abc import Callable

import dns.asyncquery
import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.xfr
import dns.zone

from seamark.dns.plugins.file.zone import Zone, make_zone

TIMEOUT = 10.0
BROKEN = (dns.exception.DNSException, OSError, EOFError, ValueError, TimeoutError)
HALF = 2**31
Address = tuple[str, int]


class Primaries:
    """``failure`` is why the last of them did not answer."""

    def __init__(self, addresses: tuple[Address, ...], log: Callable[[str], None]) -> None:
        self._addresses = addresses
        self._log = log
        self.failure = ""

    async def serial(self, name: str) -> int | None:
        """Over TCP, where nobody can answer in another's place easily."""
        for host, port in self._addresses:
            question = dns.message.make_query(name, dns.rdatatype.SOA)
            try:
                reply = await dns.asyncquery.tcp(question, host, timeout=TIMEOUT, port=port)
            except BROKEN as error:
                self.failure = _why(error)
                continue
            found = (rrset for rrset in reply.answer if rrset.rdtype == dns.rdatatype.SOA)
            if (rrset := next(found, None)) is not None:
                return int(rrset[0].serial)
            self.failure = f"{host}: {dns.rcode.to_text(reply.rcode())} and no SOA record"
        return None

    async def transfer(self, name: str, check: Callable[[Zone], None] | None = None) -> Zone | None:
        """``check`` raises ValueError for a zone that will not do."""
        for host, port in self._addresses:
            where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            try:
                zone = await _transfer(name, host, port)
                if check is not None:
                    check(zone)
            except BROKEN as error:
                self.failure = _why(error)
                self._log(f'[ERROR] plugin/file: Failed to transfer `{name}\' from "{where}": {self.failure}')
                continue
            self._log(f"[INFO] plugin/file: Transferred: {name} from {where}")
            return zone
        return None


async def _transfer(name: str, host: str, port: int) -> Zone:
    """Raises one of BROKEN."""
    found = dns.zone.Zone(dns.name.from_text(name), relativize=False)
    query, _ = dns.xfr.make_query(found)
    await dns.asyncquery.inbound_xfr(host, found, query, port=port, timeout=TIMEOUT, lifetime=TIMEOUT * 6)
    return make_zone(found, name)


def _why(error: Exception) -> str:
    return str(error) or type(error).__name__


def times_of(zone: Zone) -> tuple[float, float, float]:
    """Refresh, retry and expire of the SOA, in seconds; none is shorter than one."""
    soa = zone.transfer()[0][0]
    return max(1.0, soa.refresh), max(1.0, soa.retry), max(1.0, soa.expire)


def is_newer(serial: int, than: int) -> bool:
    """RFC 1982."""
    return serial != than and (serial - than) % (2 * HALF) < HALF
