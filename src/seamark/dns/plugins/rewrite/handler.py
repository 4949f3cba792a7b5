"""Applies the rules to a question, asks on, and applies what they say of answers, last rule first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from ipaddress import ip_network

import dns.edns
import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
from dns.rdtypes.ANY.CNAME import CNAME

from seamark.dns.host import Joined, Lookup, Site
from seamark.dns.plugin import Answer, Next, Query
from seamark.dns.plugins.rewrite.config import (
    NSID,
    SUBNET,
    AliasRule,
    Config,
    NameRule,
    NumberRule,
    OptionRule,
    RcodeRule,
    TtlRule,
)
from seamark.dns.plugins.rewrite.names import matches, rename, restorer, rewritten
from seamark.dns.reply import failed, reply_to, requery, rrset_of, with_option

OnReply = Callable[[Answer], Awaitable[None]]
Changed = tuple[Query, OnReply | None]


class Rewrite:
    name = "rewrite"

    def __init__(self, config: Config, site: Site) -> None:
        self.rules = [config]
        self._site = site

    async def serve(self, query: Query, following: Next) -> Answer:
        asked = query
        undo: list[OnReply] = []
        for config in self.rules:
            try:
                found = _apply(config, query, self._site)
            except (dns.exception.DNSException, ValueError) as error:
                return failed(self.name, f"{query.text} cannot be rewritten: {error}")
            if found is None:
                continue
            query, on_reply = found
            shows_options = isinstance(config.rule, OptionRule)
            hides = asked.message.edns < 0 and not self._site.host.as_coredns
            if on_reply is not None and not (shows_options and hides):
                undo.append(on_reply)
            if not config.goes_on:
                break
        answer = await following(query)
        for on_reply in reversed(undo):
            await on_reply(answer)
        if query is not asked and answer.message is not None:
            answer.message.question = list(asked.message.question)
        return answer


def _apply(config: Config, query: Query, site: Site) -> Changed | None:
    """The question after one rule and what is to happen to its reply; None = the rule does not match."""
    rule = config.rule
    if isinstance(rule, NumberRule):
        return _renumber(rule, query)
    if isinstance(rule, OptionRule):
        return _reoption(rule, query)
    if isinstance(rule, AliasRule):
        return query, partial(_realias, query, rule, site.lookup)
    if not matches(rule.match, query.text):
        return None
    if isinstance(rule, TtlRule):
        return query, partial(_retime, rule)
    if isinstance(rule, RcodeRule):
        return query, partial(_recode, query, rule)
    return _rename(rule, query, as_coredns=site.host.as_coredns)


def _rename(rule: NameRule, query: Query, *, as_coredns: bool) -> Changed | None:
    text = rewritten(rule, query.text)
    if text == query.text:
        return None
    changed = requery(query, dns.name.from_text(text))
    asked = query.name.canonicalize() if as_coredns else query.name
    restore = restorer(rule, asked=asked, used=changed.name)

    async def on_reply(answer: Answer) -> None:
        if answer.message is not None and restore.does_anything:
            rename(answer.message, restore)

    return changed, on_reply


async def _realias(query: Query, rule: AliasRule, lookup: Lookup, answer: Answer) -> None:
    """Aliases up to the first whose target the rule is about; from there on what the own server says of the new one."""
    message = answer.message
    for index, rrset in enumerate(message.answer if message is not None else ()):
        target = rrset[0].target.to_text().lower() if rrset.rdtype == dns.rdatatype.CNAME else ""
        if message is None or not target or not matches(rule.match, target):
            continue
        new = dns.name.from_text(rewritten(rule, target))
        found = await lookup(query, new, query.rdtype)
        if found is None:
            return
        link = CNAME(rrset.rdclass, rrset.rdtype, new)  # type: ignore[no-untyped-call]
        before = [earlier for earlier in message.answer[:index] if earlier.rdtype == dns.rdatatype.CNAME]
        message.answer = [*before, rrset_of(rrset.name, rrset.ttl, [link]), *found.answer]
        return


def _renumber(rule: NumberRule, query: Query) -> Changed | None:
    asked = query.message.question[0]
    if rule.field == "type":
        if query.rdtype != rule.source:
            return None
        return requery(query, query.name, rdtype=dns.rdatatype.RdataType.make(rule.to)), None
    if asked.rdclass != rule.source:
        return None
    return requery(query, query.name, rdclass=dns.rdataclass.RdataClass.make(rule.to)), None


def _reoption(rule: OptionRule, query: Query) -> Changed | None:
    message = query.message
    known = [option for option in message.options if option.otype == rule.code]
    if (rule.action in ("replace", "unset") and not known) or (rule.action == "append" and known):
        return None
    kept = [option for option in message.options if option.otype != rule.code]
    made = [] if rule.action == "unset" else [_option(rule, query)]
    changed = requery(query, query.name)
    payload = message.payload if message.edns >= 0 else 4096
    changed.message.use_edns(0, message.ednsflags if message.edns >= 0 else 0, payload, options=[*kept, *made])
    shown = known if rule.reverts else made
    if rule.code in (SUBNET, NSID) or not shown:
        return changed, None
    return changed, partial(_show, shown[0])


async def _show(option: dns.edns.Option, answer: Answer) -> None:
    """A local option stands in the reply too, the last rule's value."""
    message = answer.message
    if message is not None and not any(known.otype == option.otype for known in message.options):
        with_option(message, option, flags=0)


def _option(rule: OptionRule, query: Query) -> dns.edns.Option:
    if rule.code == SUBNET:
        length = rule.prefixes[":" in query.client]
        network = ip_network((query.client, length), strict=False)
        return dns.edns.ECSOption(str(network.network_address), length, 0)
    return dns.edns.GenericOption(dns.edns.OptionType.make(rule.code), _data(rule.data, query))


def _data(text: str, query: Query) -> bytes:
    if text.startswith("0x"):
        return bytes.fromhex(text[2:])
    if not (text.startswith("{") and text.endswith("}")):
        return text.encode()
    label = text[1:-1]
    own = {
        "qname": query.text,
        "qtype": dns.rdatatype.to_text(query.rdtype),
        "client_ip": query.client,
        "client_port": str(query.client_port),
        "protocol": query.network,
    }
    return (own[label] if label in own else query.metadata.get(label, str)()).encode()


async def _retime(rule: TtlRule, answer: Answer) -> None:
    message = answer.message
    if message is None:
        return
    for section in (message.answer, message.authority, message.additional):
        for index, rrset in enumerate(section):
            ttl = min(max(rrset.ttl, rule.least), rule.most)
            if ttl != rrset.ttl:
                fresh = dns.rrset.RRset(rrset.name, rrset.rdclass, rrset.rdtype, rrset.covers)
                fresh.items, fresh.ttl = rrset.items, ttl
                section[index] = fresh


async def _recode(query: Query, rule: RcodeRule, answer: Answer) -> None:
    if answer.rcode != rule.source:
        return
    answer.rcode = rule.to
    if answer.message is None:
        answer.message = reply_to(query.message, rule.to)
    answer.message.set_rcode(rule.to)


def make(config: Config, site: Site) -> Rewrite | Joined:
    for _, handler in site.plugins:
        if isinstance(handler, Rewrite):
            handler.rules.append(config)
            return Joined()
    return Rewrite(config, site)
