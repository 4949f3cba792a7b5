"""Applies the rules to a question, asks on, and applies what they say of answers, last rule first."""

from __future__ import annotations

from collections.abc import Callable

import dns.edns
import dns.exception
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from seamark.dns.host import Joined, Site
from seamark.dns.plugin import Answer, Next, Query
from seamark.dns.plugins.rewrite.config import Config, NameRule, NumberRule, OptionRule, RcodeRule, TtlRule
from seamark.dns.plugins.rewrite.names import matches, rename, restorer, rewritten
from seamark.dns.reply import failed, reply_to, requery

OnReply = Callable[[Answer], None]


class Rewrite:
    name = "rewrite"

    def __init__(self, config: Config) -> None:
        self.rules = [config]

    async def serve(self, query: Query, following: Next) -> Answer:
        asked = query
        undo: list[OnReply] = []
        for config in self.rules:
            try:
                found = _apply(config, query)
            except (dns.exception.DNSException, ValueError) as error:
                return failed(self.name, f"{query.text} cannot be rewritten: {error}")
            if found is None:
                continue
            query, on_reply = found
            if on_reply is not None:
                undo.append(on_reply)
            if not config.goes_on:
                break
        answer = await following(query)
        for on_reply in reversed(undo):
            on_reply(answer)
        if query is not asked and answer.message is not None:
            answer.message.question = list(asked.message.question)
        return answer


def _apply(config: Config, query: Query) -> tuple[Query, OnReply | None] | None:
    """The question after one rule and what is to happen to its reply; None = the rule does not match."""
    rule = config.rule
    if isinstance(rule, NumberRule):
        return _renumber(rule, query)
    if isinstance(rule, OptionRule):
        return _reoption(rule, query)
    if not matches(rule.match, query.text):
        return None
    if isinstance(rule, TtlRule):
        return query, lambda answer: _retime(answer, rule)
    if isinstance(rule, RcodeRule):
        return query, lambda answer: _recode(query, answer, rule)
    return _rename(rule, query)


def _rename(rule: NameRule, query: Query) -> tuple[Query, OnReply | None] | None:
    text = rewritten(rule, query.text)
    if text == query.text:
        return None
    changed = requery(query, dns.name.from_text(text))
    restore = restorer(rule, asked=query.name, used=changed.name)

    def on_reply(answer: Answer) -> None:
        if answer.message is not None and restore.does_anything:
            rename(answer.message, restore)

    return changed, on_reply


def _renumber(rule: NumberRule, query: Query) -> tuple[Query, OnReply | None] | None:
    asked = query.message.question[0]
    if rule.field == "type":
        if query.rdtype != rule.source:
            return None
        return requery(query, query.name, rdtype=dns.rdatatype.RdataType.make(rule.to)), None
    if asked.rdclass != rule.source:
        return None
    return requery(query, query.name, rdclass=dns.rdataclass.RdataClass.make(rule.to)), None


def _reoption(rule: OptionRule, query: Query) -> tuple[Query, OnReply | None] | None:
    message = query.message
    known = [option for option in message.options if option.otype == rule.code]
    if (rule.action in ("replace", "unset") and not known) or (rule.action == "append" and known):
        return None
    kept = [option for option in message.options if option.otype != rule.code]
    if rule.action != "unset":
        kept.append(dns.edns.GenericOption(dns.edns.OptionType.make(rule.code), _data(rule.data, query)))
    changed = requery(query, query.name)
    payload = message.payload if message.edns >= 0 else 4096
    changed.message.use_edns(0, message.ednsflags if message.edns >= 0 else 0, payload, options=kept)
    return changed, None


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
        "protocol": query.protocol,
    }
    return (own[label] if label in own else query.metadata.get(label, str)()).encode()


def _retime(answer: Answer, rule: TtlRule) -> None:
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


def _recode(query: Query, answer: Answer, rule: RcodeRule) -> None:
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
    return Rewrite(config)
