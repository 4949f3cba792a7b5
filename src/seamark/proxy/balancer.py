"""Which endpoint a client gets where no kernel chooses: one service port, decided by its rules, remembered by affinity.

All frontends of a port share the memory, as in the kernel's table. An entry is refreshed by each new connection and
forgotten with its endpoint.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from seamark.compile.endpoints import BackendEndpoint
from seamark.compile.ruleset import Frontend, NodeConfig, PortRules
from seamark.compile.tracer import Packet, decide

Place = tuple[str, int]
Choice = Callable[[Sequence[BackendEndpoint]], BackendEndpoint]

MANY_CLIENTS = 65536
"""Beyond so many remembered clients, those whose time is over are looked for."""


class Balancer:
    """``now`` is monotonic seconds, ``choose`` takes one of several."""

    def __init__(self, rules: PortRules, node: NodeConfig, *, now: Callable[[], float], choose: Choice) -> None:
        self.rules = rules
        self._node = node
        self._now = now
        self._choose = choose
        self._clients: dict[tuple[str, str], tuple[Place, float]] = {}  # (list, client) -> endpoint, forgotten at

    def update(self, rules: PortRules) -> None:
        self.rules = rules

    def pick(self, frontend: Frontend, client: str, destination: str) -> Place | None:
        """Where a new connection of the client to this address goes; None = nowhere."""
        packet = Packet(client, destination, frontend.port, frontend.protocol)
        found = decide(self.rules, frontend, packet, self._node)
        if found.outcome.action != "balance" or found.target is None:
            return None
        endpoints, seconds, key = found.target.endpoints, self.rules.affinity_seconds, (found.target.scope, client)
        place = self._remembered(key, endpoints) if seconds else None
        if place is None:
            place = self._choose(endpoints)[:2]
        if seconds:
            self._remember(key, place, seconds)
        return place

    def is_serving(self, place: Place) -> bool:
        """Whether running UDP flows to the endpoint may live on."""
        return place in self.rules.serving or not self.rules.serving

    def _remembered(self, key: tuple[str, str], endpoints: Sequence[BackendEndpoint]) -> Place | None:
        place, until = self._clients.get(key, (None, 0.0))
        return place if until > self._now() and any(e[:2] == place for e in endpoints) else None

    def _remember(self, key: tuple[str, str], place: Place, seconds: int) -> None:
        now = self._now()
        if len(self._clients) >= MANY_CLIENTS and key not in self._clients:
            self._clients = {k: entry for k, entry in self._clients.items() if entry[1] > now}
        self._clients[key] = (place, now + seconds)
