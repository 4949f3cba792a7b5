"""A plugin chain that tells what each plugin did with a question; nothing leaves the machine.

``forward`` is not asked to forward: where a question would go out, the walk ends and the upstreams are told.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import dns.message
import dns.rcode

from seamark.compile.searchlist import Outcome
from seamark.dns.plugin import Answer, Next, Plugin, Query
from seamark.dns.reply import answered
from seamark.model.meta import UNKNOWN, Provenance

OUTSIDE = ("forward", "grpc")


@dataclass(slots=True)
class Trace:
    """One question on its way. ``origins`` are the objects behind records, by owner, type and data."""

    plugins: list[tuple[str, str]] = field(default_factory=list)
    upstreams: tuple[str, ...] = ()
    origins: dict[str, Provenance] = field(default_factory=dict)


@dataclass(slots=True)
class Tracer:
    """Where the plugins of an instance write; ``trace`` is that of the question being asked."""

    trace: Trace = field(default_factory=Trace)

    def wrap(self, plugin: Plugin) -> Plugin:
        return _Outside(plugin, self) if plugin.name in OUTSIDE else _Traced(plugin, self)


class _Traced:
    def __init__(self, plugin: Plugin, tracer: Tracer) -> None:
        self._plugin = plugin
        self._tracer = tracer

    @property
    def name(self) -> str:
        return self._plugin.name

    async def serve(self, query: Query, following: Next) -> Answer:
        trace, asked = self._tracer.trace, False

        async def onwards(further: Query) -> Answer:
            nonlocal asked
            asked = True
            if further.name != query.name or further.rdtype != query.rdtype:
                trace.plugins.append((self.name, f"asks for {further.name} {further.rdtype.name} instead"))
            return await following(further)

        answer = await self._plugin.serve(query, onwards)
        if not asked:
            trace.plugins.append((self.name, _said(answer)))
        if answer.by == self.name and answer.message is not None:
            keys = [_key(rrset, rdata) for rrset in answer.message.answer for rdata in rrset]
            trace.origins |= dict(zip(keys, answer.origins, strict=False))
        return answer


class _Outside:
    """Stands where a plugin would ask somebody else."""

    def __init__(self, plugin: Any, tracer: Tracer) -> None:
        self._plugin = plugin
        self._tracer = tracer
        self.name = plugin.name

    async def serve(self, query: Query, following: Next) -> Answer:
        if hasattr(self._plugin, "takes") and not self._plugin.takes(query):
            return await following(query)
        trace = self._tracer.trace
        trace.upstreams = tuple(upstream.address for upstream in getattr(self._plugin, "upstreams", ()))
        trace.plugins.append((self.name, f"would ask {', '.join(trace.upstreams) or 'an upstream'}"))
        return answered(query, self.name)


def outcome_of(answer: Answer, trace: Trace) -> Outcome:
    if trace.upstreams:
        return "outside"
    if answer.rcode == dns.rcode.NXDOMAIN:
        return "nxdomain"
    if answer.rcode != dns.rcode.NOERROR:
        return "servfail"
    return "found" if answer.message is not None and answer.message.answer else "nodata"


def records_of(message: dns.message.Message | None, trace: Trace) -> list[tuple[str, Provenance]]:
    """The answer section, a line a record, each with the object behind it where one is known."""
    found = []
    for rrset in message.answer if message is not None else ():
        for rdata in rrset:
            text = f"{rrset.name} {rrset.ttl} IN {rrset.rdtype.name} {rdata.to_text()}"
            found.append((text, trace.origins.get(_key(rrset, rdata), UNKNOWN)))
    return found


def _key(rrset: Any, rdata: Any) -> str:
    return f"{rrset.name} {rrset.rdtype.name} {rdata.to_text()}".lower()


def _said(answer: Answer) -> str:
    if answer.error:
        return f"{dns.rcode.to_text(answer.rcode)}: {answer.error}"
    if answer.rcode == dns.rcode.NOERROR and answer.message is not None and not answer.message.answer:
        return "answers NODATA"
    return f"answers {dns.rcode.to_text(answer.rcode)}"
