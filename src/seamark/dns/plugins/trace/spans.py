"""Spans, and how Zipkin (API v2, JSON) and Datadog's agent (API v0.4 and v0.3, MessagePack) want them told. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
WORD = 2**64
_KNUTH = 1111111111111111111
"""What Datadog's tracers multiply a trace's id by, so that all of them keep the same traces."""
EVERYBODY = "service:,env:"


@dataclass(slots=True)
class Span:
    """Ids in hexadecimal, 16 digits, and up to 32 for a trace; times in nanoseconds, ``start`` of Unix time."""

    name: str
    trace: str
    identity: str
    start: int
    parent: str = ""
    duration: int = 0
    of_query: bool = False
    """The one around all others."""
    shared: bool = False
    """The client's own span, told of from this side."""
    debug: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, slots=True)
class Service:
    """Who tells. ``address`` and ``port`` are where it is asked, where that is one place."""

    name: str
    address: str = ""
    port: int = 0


def render_zipkin(span: Span, service: Service) -> Json:
    endpoint: Json = {"serviceName": service.name}
    if service.address:
        endpoint |= {"ipv6" if ":" in service.address else "ipv4": service.address, "port": service.port}
    found: Json = {
        "traceId": span.trace,
        "id": span.identity,
        "name": span.name,
        "timestamp": span.start // 1000,
        "duration": max(1, span.duration // 1000),
        "localEndpoint": endpoint,
    }
    if span.parent:
        found["parentId"] = span.parent
    if span.of_query:
        found |= {"kind": "SERVER", "tags": {f"coredns.io/{name}": value for name, value in span.tags.items()}}
    if span.error:
        at = (span.start + span.duration) // 1000
        found["tags"]["error"] = "true"
        found["annotations"] = [
            {"timestamp": at, "value": value} for value in ("event:error", f"error.object:{span.error}")
        ]
    return found | ({"shared": True} if span.shared else {}) | ({"debug": True} if span.debug else {})


def render_datadog(spans: Sequence[Span], service: Service, rates: Mapping[str, float], analytics: float) -> list[Json]:
    """One trace. ``rates`` are those the agent asks for, by service; a trace that is not kept is sent all the same, as
    the agent counts it. ``analytics`` is the share of queries to analyse.
    """
    found = []
    for span in spans:
        told = _datadog(span, service)
        if span.of_query:
            rate = rates.get(f"service:{service.name},env:", rates.get(EVERYBODY, 1.0))
            kept = told["trace_id"] * _KNUTH % WORD < rate * WORD
            told["metrics"] |= {"_dd.top_level": 1.0, "_sampling_priority_v1": float(kept), "_dd.agent_psr": rate}
            if analytics:
                told["metrics"]["_dd1.sr.eausr"] = analytics
        found.append(told)
    return found


def _datadog(span: Span, service: Service) -> Json:
    meta = {"dns": "true", "language": "python"} | {f"coredns.io@{name}": value for name, value in span.tags.items()}
    if span.of_query and len(span.trace) > 16:
        meta["_dd.p.tid"] = span.trace[:-16]
    if span.error:
        meta |= {"error.message": span.error, "error.type": "dns_error"}
    return {
        "name": span.name,
        "service": service.name,
        "resource": span.name,
        "type": "",
        "start": span.start,
        "duration": span.duration,
        "trace_id": int(span.trace[-16:], 16),
        "span_id": int(span.identity, 16),
        "parent_id": int(span.parent or "0", 16),
        "error": int(bool(span.error)),
        "meta": meta,
        "metrics": {},
    }
