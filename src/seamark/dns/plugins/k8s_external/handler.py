"""External addresses of Services as names, out of the table of kubernetes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.rrset

from seamark.compile.dnsrecords import NO_PORT, address_type
from seamark.dns.corefile.keys import match_zone
from seamark.dns.host import Site
from seamark.dns.plugin import Answer, Next, Query
from seamark.dns.plugins.k8s_external.config import Config
from seamark.dns.reply import address_rdata, answered, rrset_of
from seamark.dns.reverse import address_of
from seamark.model.meta import ObjectKey
from seamark.model.service import Service

T = dns.rdatatype
Section = list[dns.rrset.RRset]
MAX_LABELS = 4


class Target(NamedTuple):
    """One (address or host name, port) of a name; ``host`` is an endpoint's label."""

    data: str
    port: int
    host: str = ""


class External:
    name = "k8s_external"

    def __init__(self, config: Config, site: Site) -> None:
        self._config = config
        self._site = site

    async def start(self) -> None:
        if self._kubernetes() is None:
            raise self._config.token.error("k8s_external reads the table of kubernetes, which is not in this block")

    async def serve(self, query: Query, following: Next) -> Answer:
        zone = match_zone(self._config.zones, query.text)
        if zone is None:
            return await following(query)
        apex = dns.name.from_text(zone)
        labels = [label.decode("latin-1").lower() for label in query.name.relativize(apex).labels]
        if not labels:
            return self._at_apex(query, apex)
        if labels[-1] == self._config.apex:
            if labels == ["ns1", self._config.apex]:
                return self._answer_or_deny(query, apex, self._servers(query.name, T.to_text(query.rdtype)))
            return self._denied(query, apex, dns.rcode.NOERROR if len(labels) == 1 else dns.rcode.NXDOMAIN)
        if query.rdtype == T.PTR and (address := address_of(query.text)) is not None:
            return self._answer_or_deny(query, apex, self._pointers(query, address))
        found = self._find(labels)
        if found is None:
            if match_zone(self._config.fallthrough or (), query.text) is not None:
                return await following(query)
            return self._denied(query, apex, dns.rcode.NXDOMAIN)
        if query.rdtype == T.SRV:
            answer, additional = await self._services(query, labels, found, apex)
            return self._answer_or_deny(query, apex, answer, additional)
        return self._answer_or_deny(query, apex, await self._addresses(query, found))

    # what there is

    def _kubernetes(self) -> Any:
        return next((handler for name, handler in self._site.plugins if name == "kubernetes"), None)

    def _find(self, labels: list[str]) -> list[Target] | None:
        """None = no such name."""
        table = self._kubernetes().table
        namespace, *rest = reversed(labels)
        if not table.exposes(namespace) or len(labels) > MAX_LABELS:
            return None
        if not rest:
            return []
        key = ObjectKey(namespace, rest[0])
        service = table.service(key)
        if service is None:
            return None
        host = rest[1].removeprefix("_") if len(rest) == 2 else ""
        protocol, port = (word.removeprefix("_") for word in rest[1:3]) if len(rest) > 2 else ("", "")
        external = _external(service)
        if self._config.headless and not external and (service.is_headless or host):
            return [
                Target(match.address, match.port, match.host)
                for match in table.endpoints_of(key)
                if host in ("", match.host) and port in ("", match.port_name) and protocol in ("", match.protocol)
            ] or None
        ports = [
            p.port
            for p in service.spec.ports or []
            if port in ("", p.name.lower()) and protocol in ("", p.protocol.lower())
        ]
        return [Target(data, number) for data in external for number in ports] or None

    def _pointers(self, query: Query, address: str) -> Section:
        found = []
        for key, service in self._kubernetes().table.services():
            if address in _external(service):
                target = dns.name.from_text(f"{key.name}.{key.namespace}.{self._config.zones[0]}")
                found.append(dns.rdata.from_text("IN", "PTR", target.to_text()))
        return [rrset_of(query.name, self._config.ttl, found)] if found else []

    # how it is told

    async def _addresses(self, query: Query, found: list[Target]) -> Section:
        wanted = T.to_text(query.rdtype)
        if wanted not in ("A", "AAAA"):
            return []
        ttl = self._config.ttl
        rdatas = [address_rdata(wanted, target.data) for target in found if address_type(target.data) == wanted]
        section = [rrset_of(query.name, ttl, rdatas)] if rdatas else []
        for name in dict.fromkeys(target.data for target in found if address_type(target.data) is None):
            alias = dns.rdata.from_text("IN", "CNAME", dns.name.from_text(name).to_text())
            section.append(rrset_of(query.name, ttl, [alias]))
            message = await self._site.lookup(query, dns.name.from_text(name), query.rdtype)
            section += message.answer if message is not None else []
        return section

    async def _services(
        self, query: Query, labels: list[str], found: list[Target], apex: dns.name.Name
    ) -> tuple[Section, Section]:
        ttl, weight = self._config.ttl, max(1, 100 // max(len(found), 1))
        service = dns.name.Name((*(label.encode() for label in labels[-2:]), *apex.labels))
        rdatas: dict[str, dns.rdata.Rdata] = {}
        additional: dict[tuple[dns.name.Name, str], dict[str, dns.rdata.Rdata]] = {}
        for target in found:
            if target.port == NO_PORT:  # counts for the weight, and is no SRV
                continue
            rdtype = address_type(target.data)
            owner = dns.name.Name((target.host.encode(), *service.labels)) if target.host else service
            name = owner if rdtype else dns.name.from_text(target.data)
            text = f"0 {weight} {target.port} {name}"
            rdatas.setdefault(text, dns.rdata.from_text("IN", "SRV", text))
            if rdtype:
                additional.setdefault((name, rdtype), {})[target.data] = address_rdata(rdtype, target.data)
        answer = [rrset_of(query.name, ttl, rdatas.values())] if rdatas else []
        return answer, [rrset_of(name, ttl, held.values()) for (name, _), held in additional.items()]

    def _at_apex(self, query: Query, apex: dns.name.Name) -> Answer:
        if query.rdtype == T.SOA:
            return answered(query, self.name, answer=[self._soa(apex)])
        if query.rdtype == T.NS:
            server = dns.rdata.from_text("IN", "NS", f"ns1.{self._config.apex}.{apex}")
            owner = dns.name.Name((b"ns1", self._config.apex.encode(), *query.name.labels))
            glue = [*self._servers(owner, "A"), *self._servers(owner, "AAAA")]
            answer = [rrset_of(query.name, self._config.ttl, [server])]
            return answered(query, self.name, answer=answer, additional=glue)
        return self._denied(query, apex, dns.rcode.NOERROR)

    def _servers(self, owner: dns.name.Name, rdtype: str) -> Section:
        """Where this server is reached from outside: by Services that lead to it, else at its own addresses."""
        kubernetes = self._kubernetes()
        table, own = kubernetes.table, kubernetes.own_addresses
        leading = [found for address in own for found in table.services_at(address)]
        addresses = [] if leading else list(own)
        for key, service in leading:
            if self._config.headless and service.is_headless:
                addresses += [match.address for match in table.endpoints_of(key)]
            else:
                addresses += _external(service)
        rdatas = [address_rdata(rdtype, text) for text in addresses if address_type(text) == rdtype]
        return [rrset_of(owner, self._config.ttl, rdatas)] if rdatas else []

    def _answer_or_deny(
        self, query: Query, apex: dns.name.Name, answer: Section, additional: Section | None = None
    ) -> Answer:
        if not answer:
            return self._denied(query, apex, dns.rcode.NOERROR)
        return answered(query, self.name, answer=answer, additional=additional)

    def _denied(self, query: Query, apex: dns.name.Name, rcode: dns.rcode.Rcode) -> Answer:
        return answered(query, self.name, authority=[self._soa(apex)], rcode=rcode)

    def _soa(self, apex: dns.name.Name) -> dns.rrset.RRset:
        own, ttl = self._config.apex, self._config.ttl
        serial = int(self._kubernetes().table.modified) & 0xFFFFFFFF
        text = f"ns1.{own}.{apex} hostmaster.{own}.{apex} {serial} 7200 1800 86400 {ttl}"
        return rrset_of(apex, ttl, [dns.rdata.from_text("IN", "SOA", text)])


def _external(service: Service) -> list[str]:
    """Both kinds of external address, in CoreDNS's order; a host name where there is no address."""
    return list(dict.fromkeys(_each(service)))


def _each(service: Service) -> Iterator[str]:
    yield from service.spec.external_ips or []
    balancer = service.status.load_balancer
    for ingress in (balancer.ingress if balancer else None) or []:
        if ingress.ip or ingress.hostname:
            yield ingress.ip or ingress.hostname


def make(config: Config, site: Site) -> External:
    return External(config, site)
