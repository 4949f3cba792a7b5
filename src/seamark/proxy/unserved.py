"""Services that no endpoint serves, and the Event that says so: ``no ready endpoints: 0 of 3, selector app=x``.

Only what changes while the proxy runs is told, and only after it has lasted: a pod that starts is no news, nor are the
Services a cluster has always had without pods. Every node's proxy sees the same, so all of them write one Event.
"""

from __future__ import annotations

from collections.abc import Iterable

from seamark.compile.endpoints import Slice, ports_of
from seamark.compile.ruleset import PortRules
from seamark.model.meta import ObjectKey
from seamark.model.service import Service

PATIENCE = 5.0
"""Seconds a Service may be without endpoints before that is told."""
REASON = "NoReadyEndpoints"


class UnservedServices:
    """Which Services have waited for how long."""

    def __init__(self) -> None:
        self._since: dict[ObjectKey, float] = {}
        self._told: set[ObjectKey] = set()

    def observe(self, service: ObjectKey, rules: Iterable[PortRules], now: float) -> None:
        """Its rules, as they are in force now."""
        if any(one.internal.action == "refuse" for one in rules):
            self._since.setdefault(service, now)
        else:
            self._since.pop(service, None)
            self._told.discard(service)

    def take_due(self, now: float) -> list[ObjectKey]:
        """Those to be told of, each once."""
        due = [key for key, since in self._since.items() if now - since >= PATIENCE and key not in self._told]
        self._told.update(due)
        return due


def describe_unserved(service: Service, slices: Iterable[Slice], rules: Iterable[PortRules]) -> str:
    """The Event's message; empty where every port is served after all."""
    rules = list(rules)
    idle = [one for one in rules if one.internal.action == "refuse"]
    if not idle:
        return ""
    selector = ",".join(f"{name}={value}" for name, value in sorted((service.spec.selector or {}).items()))
    chosen = f"selector {selector}" if selector else "no selector"
    endpoints = [e for piece in slices for port in ports_of(piece) for e in port.endpoints]
    ready = len({e.ip for e in endpoints if e.ready})
    known = len({e.ip for e in endpoints})
    if ready:  # there are pods, but not with this port
        names = ", ".join(sorted({one.key.port_name or str(one.port) for one in idle}))
        return f"no ready endpoints of port {names}: 0 of {known}, {chosen}"
    return f"no ready endpoints: 0 of {known}, {chosen}"
