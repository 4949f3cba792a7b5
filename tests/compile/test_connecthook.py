"""What connect() is told: who is hooked, and that maps are whole at every step of every change."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamark.compile.connecthook import HookBatch, HookMirror, numbers_bytes, place_bytes, render_place, select_hooked
from seamark.compile.endpoints import BackendEndpoint
from seamark.compile.ruleset import DROP, REFUSE, NodeConfig, PortKey, PortRules, Target
from seamark.model.meta import UNKNOWN

NODE = NodeConfig("node1", ("172.30.0.11",), ("10.244.0.0/16",), ("10.96.0.0/12",))
ALL_MASQUERADED = NodeConfig("node1", (), (), (), masquerade_all=True)
VIP = place_bytes("10.96.0.9", 80)


def backend(number: int) -> BackendEndpoint:
    return BackendEndpoint(f"10.244.0.{number}", 8080, True, True, False, "node1", "", UNKNOWN)


def rules(name: str = "web", *numbers: int, protocol: Any = "TCP", **fields: Any) -> PortRules:
    target = Target("balance", tuple(map(backend, numbers))) if numbers else REFUSE
    known: dict[str, Any] = {
        "key": PortKey("default", name, "http", protocol),
        "port": 80,
        "cluster_ips": ("10.96.0.9",),
        "internal": target,
        "external": target,
        "external_short_circuit": None,
    }
    return PortRules(**{**known, **fields})


class Maps:
    """Two maps as the kernel has them."""

    def __init__(self) -> None:
        self.endpoints: dict[bytes, bytes] = {}
        self.frontends: dict[bytes, bytes] = {}

    def apply(self, batch: HookBatch) -> None:
        assert not self.endpoints.keys() & dict(batch.endpoints).keys(), "a pool never changes"
        self.endpoints.update(batch.endpoints)
        self._are_whole()
        for element in batch.frontends:
            self.frontends.update([element])
            self._are_whole()
        for key in batch.gone_frontends:
            del self.frontends[key]
        for key in batch.gone_endpoints:
            del self.endpoints[key]
            self._are_whole()

    def _are_whole(self) -> None:
        for value in self.frontends.values():
            pool, count = struct.unpack("=II", value)
            assert count
            assert all(numbers_bytes(pool, index) in self.endpoints for index in range(count))

    def view(self) -> dict[bytes, list[bytes]]:
        found = {}
        for key, value in self.frontends.items():
            pool, count = struct.unpack("=II", value)
            found[key] = [self.endpoints[numbers_bytes(pool, index)] for index in range(count)]
        assert sum(map(len, found.values())) == len(self.endpoints), "nothing is left behind"
        return found


def places(*numbers: int) -> list[bytes]:
    return [place_bytes(f"10.244.0.{number}", 8080) for number in numbers]


def mirror(**room: int) -> HookMirror:
    return HookMirror(NODE, **{"frontends": 100, "endpoints": 1000, **room})


def applied(found: HookMirror, maps: Maps, *ports: PortRules, gone: tuple[PortKey, ...] = ()) -> HookBatch:
    changes: Mapping[PortKey, PortRules | None] = {**dict.fromkeys(gone), **{port.key: port for port in ports}}
    batch = found.update(changes)
    maps.apply(batch)
    return batch


@pytest.mark.parametrize(
    ("given_rules", "node", "hooked"),
    [
        pytest.param(rules("web", 1, 2), NODE, True, id="a ClusterIP"),
        pytest.param(rules("web", 1, node_port=30080), NODE, True, id="the ClusterIP of one with a node port"),
        pytest.param(
            rules("web", 1, source_ranges=("192.0.2.0/24",)), NODE, True, id="source ranges are for outsiders"
        ),
        pytest.param(rules("web", internal=Target("balance", (backend(1),), "local")), NODE, True, id="policy Local"),
        pytest.param(rules("web", 1, protocol="UDP"), NODE, False, id="UDP"),
        pytest.param(rules("web", 1, protocol="SCTP"), NODE, False, id="SCTP"),
        pytest.param(rules("web", 1, affinity_seconds=10800), NODE, False, id="affinity"),
        pytest.param(rules("web"), NODE, False, id="no endpoint: refused by the rules"),
        pytest.param(rules("web", 1, internal=DROP), NODE, False, id="endpoints elsewhere alone: dropped by the rules"),
        pytest.param(rules("web", 1), ALL_MASQUERADED, False, id="everything is masqueraded"),
    ],
)
def test_who_is_hooked(given_rules: PortRules, node: NodeConfig, *, hooked: bool) -> None:
    assert bool(select_hooked(given_rules, node)) == hooked
    maps = Maps()
    maps.apply(HookMirror(node, frontends=9, endpoints=9).update({given_rules.key: given_rules}))
    assert (maps.view() != {}) == hooked


def test_places_are_ipv6_in_network_order() -> None:
    assert place_bytes("10.96.0.9", 80).hex() == "00000000000000000000ffff0a6000090050" + "0000"
    assert place_bytes("fd00::9", 443).hex() == "fd0000000000000000000000000000090" + "1bb0000"


@pytest.mark.parametrize(("ip", "shown"), [("10.96.0.9", "10.96.0.9:80"), ("fd00::9", "[fd00::9]:80")])
def test_places_can_be_read(ip: str, shown: str) -> None:
    assert render_place(place_bytes(ip, 80)) == shown


def test_only_cluster_ips_are_frontends() -> None:
    maps = Maps()
    applied(
        mirror(), maps, rules("web", 1, node_port=30080, external_ips=("192.0.2.1",), load_balancer_ips=("192.0.2.2",))
    )
    assert maps.view() == {VIP: places(1)}


def test_a_change_is_what_differs() -> None:
    found, maps = mirror(), Maps()
    applied(found, maps, rules("web", 1, 2), rules("other", 3, cluster_ips=("10.96.0.10",)))
    batch = applied(found, maps, rules("web", 2, 4))
    assert (len(batch.endpoints), len(batch.frontends), len(batch.gone_endpoints)) == (2, 1, 2)
    assert maps.view()[VIP] == places(2, 4)
    assert applied(found, maps, rules("web", 2, 4, node_port=30080)).size == 0
    applied(found, maps, rules("web"))
    assert VIP not in maps.view()


def test_the_lesser_name_has_an_address_of_two_even_where_it_is_not_hooked() -> None:
    found, maps = mirror(), Maps()
    applied(found, maps, rules("b", 2))
    applied(found, maps, rules("a", 1))
    assert maps.view() == {VIP: places(1)}
    applied(found, maps, rules("a", 1, affinity_seconds=60))
    assert maps.view() == {}
    applied(found, maps, gone=(rules("a").key,))
    assert maps.view() == {VIP: places(2)}


def test_an_address_moves_from_a_service_to_the_next_in_one_change() -> None:
    found, maps = mirror(), Maps()
    applied(found, maps, rules("old", 1))
    applied(found, maps, rules("new", 2), gone=(rules("old").key,))
    assert maps.view() == {VIP: places(2)}


@pytest.mark.parametrize("room", [{"endpoints": 3}, {"frontends": 1}])
def test_what_does_not_fit_is_left_to_the_rules(room: dict[str, int]) -> None:
    found, maps = mirror(**room), Maps()
    applied(found, maps, rules("a", 1, 2), rules("b", 3, 4, cluster_ips=("10.96.0.10",)))
    assert maps.view() == {VIP: places(1, 2)}
    applied(found, maps, rules("b", 3, 4, cluster_ips=("10.96.0.10",)), gone=(rules("a").key,))
    assert maps.view() == {}, "what goes makes room for the next change only"
    applied(found, maps, rules("b", 3, 4, cluster_ips=("10.96.0.10",)))
    assert maps.view() == {place_bytes("10.96.0.10", 80): places(3, 4)}


NAMES = st.sampled_from("abcd")
IPS = st.lists(st.sampled_from(["10.96.0.9", "10.96.0.10", "fd00::9"]), min_size=1, max_size=2, unique=True).map(tuple)
SOME = st.builds(
    lambda name, numbers, ips, affinity: rules(name, *numbers, cluster_ips=ips, affinity_seconds=affinity),
    NAMES,
    st.lists(st.integers(1, 9), max_size=4, unique=True),
    IPS,
    st.sampled_from([0, 0, 0, 60]),
)


@given(st.lists(st.tuples(st.lists(SOME, max_size=3), st.lists(NAMES, max_size=2)), max_size=6))
def test_changes_one_after_another_give_what_the_whole_gives(steps: list[tuple[list[PortRules], list[str]]]) -> None:
    found, maps, ports = mirror(), Maps(), {}
    for added, gone in steps:
        changes: dict[PortKey, PortRules | None] = {port.key: port for port in added}
        changes |= {rules(name).key: None for name in gone}
        ports |= changes
        maps.apply(found.update(changes))
    whole = Maps()
    whole.apply(mirror().update({key: port for key, port in ports.items() if port is not None}))
    assert maps.view() == whole.view()
