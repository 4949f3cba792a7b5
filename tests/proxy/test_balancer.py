"""What a userspace proxy chooses, on a clock of its own."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.compile.ruleset import Frontend, NodeConfig, PortRules, compile_ruleset
from seamark.model import codec
from seamark.model.endpointslice import EndpointSlice
from seamark.model.service import Service
from seamark.model.snapshot import Snapshot
from seamark.proxy.balancer import Balancer

NODE = NodeConfig("node1", ("172.30.0.11",), ("10.244.0.0/16",), ("10.96.0.0/12",))
VIP = "10.96.7.9"
INTERNAL, NODE_PORT = Frontend("internal", VIP, "TCP", 80), Frontend("external", "", "TCP", 30080)
A, B, AWAY = ("10.244.1.2", 8080), ("10.244.1.3", 8080), ("10.244.2.2", 8080)


def rules(*places: tuple[str, int], **spec: Any) -> PortRules:
    ports = [{"name": "http", "port": 80, "nodePort": 30080}]
    meta = {"name": "web", "namespace": "default"}
    service = {"metadata": meta, "spec": {"clusterIP": VIP, "type": "NodePort", "ports": ports, **spec}}
    piece = {
        "metadata": {**meta, "labels": {"kubernetes.io/service-name": "web"}},
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": [{"addresses": [ip], "nodeName": "node2" if ip == AWAY[0] else "node1"} for ip, _ in places],
    }
    found = compile_ruleset(Snapshot.of([codec.convert(service, Service), codec.convert(piece, EndpointSlice)]), NODE)
    return next(iter(found.ports.values()))


class Turns:
    """A clock that stands, and a choice that goes round."""

    def __init__(self, first: PortRules) -> None:
        self.time = 0.0
        self.turn = -1
        self.balancer = Balancer(first, NODE, now=lambda: self.time, choose=self._next)

    def _next(self, several: Any) -> Any:
        self.turn += 1
        return several[self.turn % len(several)]

    def pick(self, client: str, frontend: Frontend = INTERNAL) -> tuple[str, int] | None:
        return self.balancer.pick(frontend, client, frontend.ip or NODE.node_ips[0])


def test_every_connection_is_chosen_anew() -> None:
    turns = Turns(rules(A, B))
    assert [turns.pick("10.244.1.9") for _ in range(4)] == [A, B, A, B]


def test_affinity_is_shared_by_the_frontends_and_counts_from_the_last_connection() -> None:
    turns = Turns(rules(A, B, sessionAffinity="ClientIP", sessionAffinityConfig={"clientIP": {"timeoutSeconds": 10}}))
    assert turns.pick("10.244.1.9") == turns.pick("10.244.1.9", NODE_PORT) == A
    assert turns.pick("10.244.1.8") == B
    turns.time = 9.0
    assert turns.pick("10.244.1.9") == A
    turns.time = 18.0
    assert turns.pick("10.244.1.9") == A
    turns.time = 28.0
    assert turns.turn == 1, "nobody was chosen anew so far"
    turns.pick("10.244.1.9")
    assert turns.turn == 2


def test_a_client_whose_endpoint_went_sticks_to_another_even_when_it_comes_back() -> None:
    turns = Turns(rules(A, B, sessionAffinity="ClientIP"))
    assert turns.pick("10.244.1.9") == A
    turns.balancer.update(rules(B, sessionAffinity="ClientIP"))
    assert turns.pick("10.244.1.9") == B
    turns.balancer.update(rules(A, B, sessionAffinity="ClientIP"))
    assert [turns.pick("10.244.1.9") for _ in range(3)] == [B, B, B]


@pytest.mark.parametrize(
    ("client", "wanted"),
    [("10.244.1.9", {A, AWAY}), ("127.0.0.1", {A, AWAY}), ("172.30.0.11", {A, AWAY}), ("192.0.2.1", {A})],
)
def test_policy_local_gives_outsiders_what_is_here(client: str, wanted: set[tuple[str, int]]) -> None:
    turns = Turns(rules(A, AWAY, externalTrafficPolicy="Local"))
    assert {turns.pick(client, NODE_PORT) for _ in range(6)} == wanted


def test_nobody_serves() -> None:
    assert Turns(rules()).pick("10.244.1.9") is None
    away = Turns(rules(AWAY, externalTrafficPolicy="Local"))
    assert away.pick("192.0.2.1", NODE_PORT) is None
    assert away.pick("10.244.1.9", NODE_PORT) == AWAY


def test_flows_live_on_while_their_endpoint_serves() -> None:
    balancer = Turns(rules(A)._replace(serving=frozenset({A, B}))).balancer
    assert balancer.is_serving(B)
    assert not balancer.is_serving(AWAY)
    balancer.update(rules())
    assert balancer.is_serving(AWAY), "there is nothing to move to"
