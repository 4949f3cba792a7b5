"""Answers out of the question's text."""

from __future__ import annotations

import dns.edns
import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from seamark.dns.corefile.keys import match_zone
from seamark.dns.gotemplate import Struct, Template, TemplateError
from seamark.dns.host import Site
from seamark.dns.plugin import Answer, Next, Query
from seamark.dns.plugins.template.config import Config
from seamark.dns.plugins.template.data import Matched, Said, root_of
from seamark.dns.plugins.template.records import parse_record
from seamark.dns.reply import failed, reply_to, with_option

ANY_CLASS, ANY = dns.rdataclass.ANY, dns.rdatatype.ANY
ADDRESSES = (dns.rdatatype.A, dns.rdatatype.AAAA)


class TemplatePlugin:
    name = "template"

    def __init__(self, config: Config, site: Site) -> None:
        self._config = config
        self._site = site
        self._metrics = site.host.metrics

    async def serve(self, query: Query, following: Next) -> Answer:
        config = self._config
        zone = match_zone(config.zones, query.text)
        asked = query.message.question[0]
        if (
            zone is None
            or (config.rdclass != ANY_CLASS and asked.rdclass not in (ANY_CLASS, config.rdclass))
            or (config.rdtype != ANY and query.rdtype not in (ANY, config.rdtype))
        ):
            return await following(query)
        matched = self._match(query)
        try:
            holds = matched is not None and self._holds(matched)
        except ValueError as error:  # of an expression, such as incidr of no address
            return failed(self.name, str(error))
        if matched is not None and holds:
            return await self._reply(query, matched, self._said(query, zone))
        if match_zone(config.fallthrough or (), query.text) is not None:
            return await following(query)
        return failed(self.name, f"no template matches {query.text}")

    def _match(self, query: Query) -> Matched | None:
        """By the first pattern that fits."""
        for pattern in self._config.patterns:
            found = pattern.compiled.search(query.text)
            if found is not None:
                return Matched(query, found, pattern)
        return None

    def _holds(self, matched: Matched) -> bool:
        """All conditions, once the variables are known. Raises ValueError."""
        for name, expression in self._config.variables:
            matched.variables[name] = expression.evaluate(matched)
        return all(condition.evaluate(matched) is True for condition in self._config.conditions)

    def _said(self, query: Query, zone: str) -> Said:
        asked, config = query.message.question[0], self._config
        rdclass = config.rdclass if asked.rdclass == ANY_CLASS else asked.rdclass
        rdtype = config.rdtype if query.rdtype == ANY else query.rdtype
        return Said(
            zone,
            _named(dns.rdataclass.to_text(dns.rdataclass.RdataClass.make(rdclass)), "CLASS"),
            _named(dns.rdatatype.to_text(dns.rdatatype.RdataType.make(rdtype)), "TYPE"),
        )

    async def _reply(self, query: Query, matched: Matched, said: Said) -> Answer:
        config, root = self._config, root_of(matched, said)
        labels = (query.server, said.zone, self._site.view, said.rdclass, said.rdtype)
        self._metrics.template_matches.labels(*labels).inc()
        if config.rcode == dns.rcode.SERVFAIL:
            return failed(self.name, "the template says SERVFAIL", expected=True)
        message = reply_to(query.message, config.rcode, authoritative=True)
        try:
            for template in config.answer:
                record = self._record(template, root, (*labels, "answer"))
                message.answer.append(record)
                await self._chase(query, record, message)
            message.additional = [self._record(t, root, (*labels, "additional")) for t in config.additional]
            message.authority = [self._record(t, root, (*labels, "authority")) for t in config.authority]
        except (TemplateError, dns.exception.DNSException, ValueError) as error:
            return failed(self.name, str(error))
        if config.ederror is not None:
            code, reason = config.ederror
            with_option(message, dns.edns.EDEOption(dns.edns.EDECode.make(code), reason or None))
        return Answer(config.rcode, message, self.name)

    def _record(self, template: Template, root: Struct, labels: tuple[str, ...]) -> dns.rrset.RRset:
        try:
            text = template.render(root)
        except TemplateError:
            self._metrics.template_failures.labels(*labels, str(template)).inc()
            raise
        try:
            return parse_record(text)
        except (dns.exception.DNSException, ValueError):
            self._metrics.template_rr_failures.labels(*labels, str(template)).inc()
            raise

    async def _chase(self, query: Query, record: dns.rrset.RRset, message: dns.message.Message) -> None:
        """What the own server knows of an alias's target."""
        if query.rdtype in ADDRESSES and record.rdtype == dns.rdatatype.CNAME:
            found = await self._site.lookup(query, record[0].target, query.rdtype)
            if found is not None:
                message.answer += found.answer


def _named(text: str, front: str) -> str:
    """Empty for what has a number alone."""
    return "" if text.removeprefix(front).isdecimal() else text


def make(config: Config, site: Site) -> TemplatePlugin:
    return TemplatePlugin(config, site)
