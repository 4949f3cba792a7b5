"""Lets a query go on, or ends it, by who asks and for what."""

from __future__ import annotations

from ipaddress import ip_address

import dns.edns
import dns.rcode

from seamark.dns.corefile.keys import match_zone
from seamark.dns.host import Joined, Site
from seamark.dns.plugin import Answer, Next, Query
from seamark.dns.plugins.acl.config import Config, Policy
from seamark.dns.reply import reply_to, with_option

BLOCKED, FILTERED = dns.edns.EDECode.BLOCKED, dns.edns.EDECode.FILTERED


class Acl:
    name = "acl"

    def __init__(self, config: Config, site: Site) -> None:
        self.rules = [config]
        self._view = site.view
        self._counters = site.host.metrics.acl

    async def serve(self, query: Query, following: Next) -> Answer:
        action = self._action(query)
        self._counters[action].labels(query.server, query.zone.to_text(), self._view).inc()
        if action == "allow":
            return await following(query)
        if action == "drop":
            return Answer(dns.rcode.NOERROR, None, self.name, dropped=True)
        rcode, code = (dns.rcode.REFUSED, BLOCKED) if action == "block" else (dns.rcode.NOERROR, FILTERED)
        message = reply_to(query.message, rcode)
        with_option(message, dns.edns.EDEOption(code))
        return Answer(rcode, message, self.name)

    def _action(self, query: Query) -> str:
        for rule in self.rules:
            if match_zone(rule.zones, query.text) is not None:
                for policy in rule.policies:
                    if _matches(policy, query):
                        return policy.action
        return "allow"


def _matches(policy: Policy, query: Query) -> bool:
    if policy.types and int(query.rdtype) not in policy.types:
        return False
    return not policy.networks or any(ip_address(query.client) in network for network in policy.networks)


def make(config: Config, site: Site) -> Acl | Joined:
    for _, handler in site.plugins:
        if isinstance(handler, Acl):
            handler.rules.append(config)
            return Joined()
    return Acl(config, site)
