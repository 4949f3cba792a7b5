"""SkyDNS names out of etcd: addresses, aliases, services, mail, texts, pointers.

A message whose host is a name is an alias: followed in the own zones here, asked of the own server elsewhere, and left
out where it leads nowhere. SRV and MX to an address get a name made of the message's key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import dns.exception
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from seamark.client.http import Credentials
from seamark.dns.corefile.keys import match_zone
from seamark.dns.host import Site
from seamark.dns.plugin import Answer, Next, Query
from seamark.dns.plugins.etcd.config import Config
from seamark.dns.plugins.etcd.directory import Directory, MissingError
from seamark.dns.plugins.etcd.gateway import EtcdError, Gateway
from seamark.dns.plugins.etcd.message import Message, name_of
from seamark.dns.reply import address_rdata, answered, rrset_of

T = dns.rdatatype
MAX_ALIASES = 10
MIN_TTL = 30
WEIGHT = 100


class Record(NamedTuple):
    """Each has its own TTL: messages of one name may differ."""

    owner: dns.name.Name
    ttl: int
    rdata: dns.rdata.Rdata


class Etcd:
    name = "etcd"

    def __init__(self, config: Config, site: Site, gateway: Gateway) -> None:
        self._config = config
        self._site = site
        self._gateway = gateway
        self._directory = Directory(config, gateway)

    async def stop(self) -> None:
        await self._gateway.close()

    async def serve(self, query: Query, following: Next) -> Answer:
        zone = match_zone(self._config.zones, query.text)
        if zone is None:
            return await following(query)
        apex = dns.name.from_text(zone)
        try:
            answer, additional = await self._find(query, apex)
        except MissingError:
            if match_zone(self._config.fallthrough or (), query.text) is not None:
                return await following(query)
            return self._denied(query, apex, dns.rcode.NXDOMAIN)
        except (EtcdError, ValueError, dns.exception.DNSException) as error:
            found = self._denied(query, apex, dns.rcode.SERVFAIL)
            found.error = f"plugin/{self.name}: {error}"
            return found
        if not answer:
            return self._denied(query, apex, dns.rcode.NOERROR)
        return answered(query, self.name, answer=_rrsets(answer), additional=_rrsets(additional))

    def _denied(self, query: Query, apex: dns.name.Name, rcode: dns.rcode.Rcode) -> Answer:
        return answered(query, self.name, authority=_rrsets([self._soa(apex)]), rcode=rcode)

    async def _find(self, query: Query, apex: dns.name.Name) -> tuple[list[Record], list[Record]]:
        match query.rdtype:
            case T.A | T.AAAA:
                return await self._addresses(query, apex, query.name, T.to_text(query.rdtype)), []
            case T.TXT:
                return await self._texts(query, apex, query.name), []
            case T.CNAME:
                return await self._alias(query.name), []
            case T.PTR:
                return await self._pointers(query.name), []
            case T.SRV:
                return await self._services(query, apex)
            case T.MX:
                return await self._mail(query, apex)
            case T.SOA:
                return [self._soa(apex)], []
            case T.NS if query.name == apex:
                return await self._servers(apex)
        await self._at(query.name, apex)  # whether there is such a name
        return [], []

    # addresses, texts and the aliases that lead to them

    async def _at(self, name: dns.name.Name, apex: dns.name.Name) -> list[Message]:
        """What addresses of the zone itself are made of stands at ``dns/apex`` below it."""
        if name != apex:
            return await self._directory.find(name)
        try:
            return await self._directory.find(_below("apex.dns", apex))
        except MissingError:
            if not self._config.apex_fallback:
                raise
            return await self._directory.find(name)

    async def _addresses(
        self, query: Query, apex: dns.name.Name, name: dns.name.Name, kind: str, before: tuple[Record, ...] = ()
    ) -> list[Record]:
        found: dict[Record, None] = {}
        for message in await self._at(name, apex):
            if message.kind == kind:
                found.setdefault(Record(name, message.ttl, address_rdata(kind, message.address)))
            elif message.kind == "CNAME":
                found |= dict.fromkeys(await self._followed(query, apex, name, message, before))
        return list(found)

    async def _texts(
        self, query: Query, apex: dns.name.Name, name: dns.name.Name, before: tuple[Record, ...] = ()
    ) -> list[Record]:
        found: dict[Record, None] = {}
        for message in await self._directory.find(name, texts=True):
            if message.kind == "TXT":
                found.setdefault(Record(name, message.ttl, _text(message.value.text)))
            elif message.kind == "CNAME":
                found |= dict.fromkeys(await self._followed(query, apex, name, message, before))
        return list(found)

    async def _followed(
        self, query: Query, apex: dns.name.Name, name: dns.name.Name, message: Message, before: tuple[Record, ...]
    ) -> list[Record]:
        """The alias and what it leads to; nothing for one that leads nowhere, to itself or in a circle."""
        target = _host(message)
        alias = Record(name, message.ttl, _rdata("CNAME", target.to_text()))
        if name.is_subdomain(target) or len(before) > MAX_ALIASES or any(alias.rdata == seen.rdata for seen in before):
            return []
        if not target.is_subdomain(apex):
            return [alias, *await self._elsewhere(query, target, query.rdtype)]
        try:
            if query.rdtype == T.TXT:
                further = await self._texts(query, apex, target, (*before, alias))
            else:
                further = await self._addresses(query, apex, target, T.to_text(query.rdtype), (*before, alias))
        except MissingError:
            return []
        return [alias, *further] if further else []

    async def _elsewhere(self, query: Query, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> list[Record]:
        message = await self._site.lookup(query, name, rdtype)
        return (
            [] if message is None else [Record(rrset.name, rrset.ttl, one) for rrset in message.answer for one in rrset]
        )

    # what has a target

    async def _alias(self, name: dns.name.Name) -> list[Record]:
        first = (await self._directory.find(name, exact=True))[:1]
        return [Record(name, m.ttl, _rdata("CNAME", _host(m).to_text())) for m in first if not m.address]

    async def _pointers(self, name: dns.name.Name) -> list[Record]:
        found = await self._directory.find(name, exact=True)
        return _distinct(Record(name, m.ttl, _rdata("PTR", _host(m).to_text())) for m in found if not m.address)

    async def _services(self, query: Query, apex: dns.name.Name) -> tuple[list[Record], list[Record]]:
        messages = await self._directory.find(query.name)
        weights = _weights(messages)
        answer, targets = [], []
        for message, weight in zip(messages, weights, strict=True):
            if message.kind == "TXT":
                continue
            target = self._target(message)
            text = f"{message.priority} {weight} {message.value.port} {target}"
            answer.append(Record(query.name, message.ttl, _rdata("SRV", text)))
            targets.append((message, target))
        return _distinct(answer), await self._beside(query, apex, targets)

    async def _mail(self, query: Query, apex: dns.name.Name) -> tuple[list[Record], list[Record]]:
        messages = [m for m in await self._directory.find(query.name) if m.value.mail and m.kind != "TXT"]
        targets = [(message, self._target(message)) for message in messages]
        answer = [Record(query.name, m.ttl, _rdata("MX", f"{m.priority} {target}")) for m, target in targets]
        return _distinct(answer), await self._beside(query, apex, targets)

    async def _servers(self, apex: dns.name.Name) -> tuple[list[Record], list[Record]]:
        messages = await self._directory.find(_below("ns.dns", apex))
        for message in messages:
            if not message.address:
                raise ValueError(
                    f"{message.key}: the host of a name server has to be an address, not {message.value.host!r}"
                )
        targets = [(message, self._target(message)) for message in messages]
        answer = {target: Record(apex, m.ttl, _rdata("NS", target.to_text())) for m, target in reversed(targets)}
        return list(reversed(answer.values())), [_address(message, target) for message, target in targets]

    def _target(self, message: Message) -> dns.name.Name:
        """The host, or the name of the key where the host is an address; less ``targetstrip`` labels."""
        found = name_of(message.key, self._config.prefix) if message.address else _host(message)
        strip = message.value.targetstrip
        return dns.name.Name(found.labels[strip:]) if 0 < strip < len(found.labels) - 1 else found

    async def _beside(
        self, query: Query, apex: dns.name.Name, targets: Sequence[tuple[Message, dns.name.Name]]
    ) -> list[Record]:
        """The addresses of targets."""
        found: list[Record] = []
        for message, target in targets:
            if message.address:
                found.append(_address(message, target))
            elif not target.is_subdomain(apex):
                for kind in (T.A, T.AAAA):
                    found += await self._elsewhere(query, target, kind)
            else:
                found += await self._own_addresses(query, apex, target)
        return _distinct(found)

    async def _own_addresses(self, query: Query, apex: dns.name.Name, target: dns.name.Name) -> list[Record]:
        found: list[Record] = []
        for kind in ("A",) if self._site.host.as_coredns else ("A", "AAAA"):
            try:
                found += await self._addresses(query, apex, target, kind)
            except MissingError:
                return []
        return found

    def _soa(self, apex: dns.name.Name) -> Record:
        serial = int(self._site.host.clock.time()) & 0xFFFFFFFF
        names = f"{_below('ns.dns', apex)} {_below('hostmaster', apex)}"
        return Record(apex, MIN_TTL, _rdata("SOA", f"{names} {serial} 7200 1800 86400 {MIN_TTL}"))


def _below(label: str, apex: dns.name.Name) -> dns.name.Name:
    return dns.name.from_text(label, apex)


def _host(message: Message) -> dns.name.Name:
    return dns.name.from_text(message.value.host)


def _address(message: Message, owner: dns.name.Name) -> Record:
    return Record(owner, message.ttl, address_rdata(message.kind, message.address))


def _rdata(rdtype: str, text: str) -> dns.rdata.Rdata:
    return dns.rdata.from_text(dns.rdataclass.IN, T.from_text(rdtype), text)


def _text(text: str) -> dns.rdata.Rdata:
    """In strings of 255 octets."""
    octets = text.encode("utf-8")
    strings = [octets[at : at + 255] for at in range(0, len(octets), 255)]
    wire = b"".join(bytes([len(part)]) + part for part in strings)
    return dns.rdata.from_wire(dns.rdataclass.IN, T.TXT, wire, 0, len(wire))


def _weights(messages: Sequence[Message]) -> Iterator[int]:
    """Each one's share of its priority, in hundredths; of 100 where it says nothing."""
    total: dict[int, int] = {}
    for message in messages:
        total[message.priority] = total.get(message.priority, 0) + (message.value.weight or WEIGHT)
    for message in messages:
        yield max(1, int(100 * (message.value.weight or WEIGHT) / total[message.priority]))


def _distinct(records: Iterable[Record]) -> list[Record]:
    """The first of each owner and data."""
    found: dict[tuple[dns.name.Name, dns.rdata.Rdata], Record] = {}
    for record in records:
        found.setdefault((record.owner, record.rdata), record)
    return list(found.values())


def _rrsets(records: Iterable[Record]) -> list[dns.rrset.RRset]:
    """Neighbours of one name, type and TTL are one rrset."""
    grouped = groupby(records, lambda record: (record.owner, record.rdata.rdtype, record.ttl))
    return [rrset_of(owner, ttl, [record.rdata for record in held]) for (owner, _, ttl), held in grouped]


def make(config: Config, site: Site) -> Etcd:
    """Raises CorefileError for certificates that cannot be used."""
    ca, credentials = _certificates(config, site)
    try:
        gateway = Gateway(config.endpoints, ca=ca, credentials=credentials, login=config.credentials)
    except ValueError as error:
        if not config.tls:
            raise
        raise config.tls[0].error(f"etcd: {error}") from error
    return Etcd(config, site, gateway)


def _certificates(config: Config, site: Site) -> tuple[bytes, Credentials]:
    """``tls`` is (), (CA), (CERT, KEY) or (CERT, KEY, CA)."""
    files = []
    for token in config.tls or ():
        try:
            files.append((site.root / token.text).read_bytes())
        except OSError as error:
            raise token.error(f"etcd: '{token.text}': {error.strerror}") from error
    if len(files) < 2:
        return b"".join(files), Credentials()
    return b"".join(files[2:]), Credentials(certificate=files[0], key=files[1])
