"""The pools: static band, explicit claims, families, freeing at commit and at rollback."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seamark.resources.core.allocators import Pool, ServicePools, static_band


def pools(*cidrs: str, ports: tuple[int, int] = (30000, 32767), **options: Any) -> ServicePools:
    return ServicePools(cidrs or ("10.96.0.0/12",), ports, choose=random.Random(7).randrange, **options)


def service(*ips: str, ports: tuple[int, ...] = ()) -> dict[str, Any]:
    return {"spec": {"clusterIPs": list(ips), "ports": [{"nodePort": port} for port in ports]}}


@pytest.mark.parametrize(
    ("size", "step", "most", "band"),
    [
        pytest.param(2**20 - 2, 16, 256, 256, id="/12"),
        pytest.param(254, 16, 256, 16, id="/24"),
        pytest.param(14, 16, 256, 0, id="/28 is too small to split"),
        pytest.param(2768, 32, 128, 86, id="node ports 30000-32767"),
    ],
)
def test_static_band(size: int, step: int, most: int, band: int) -> None:
    assert static_band(size, step=step, most=most) == band


def test_unasked_address_comes_from_above_the_static_band() -> None:
    found = {pools().reserve(None).next_ip() for _ in range(50)}
    assert not {ip for ip in found if ip and ip.startswith("10.96.0.")}


def test_small_range_is_given_out_to_the_last_address_and_then_full() -> None:
    claim = pools("10.0.0.0/28").reserve(None)
    found = [claim.next_ip() for _ in range(14)]
    assert sorted(str(ip) for ip in found) == sorted(f"10.0.0.{n}" for n in range(1, 15))
    assert claim.next_ip() is None


def test_lower_part_is_used_when_the_upper_one_is_full() -> None:
    pool = Pool(0, 40, band=16)
    order = [pool.next(lambda n: n - 1) for _ in range(40)]
    assert all(v is not None and v >= 16 for v in order[:24])
    assert sorted(v for v in order if v is not None) == list(range(40))
    assert pool.next(lambda n: 0) is None


def test_held_back_address_is_given_only_to_who_asks() -> None:
    claim = pools("10.0.0.0/28", held_back=["10.0.0.1", "10.0.0.10"]).reserve(None)
    found = {claim.next_ip() for _ in range(12)}
    assert not found & {"10.0.0.1", "10.0.0.10"}
    assert claim.next_ip() is None
    assert claim.claim_ip("10.0.0.10") == ""


def test_taking_and_freeing_a_held_back_address_keeps_the_count() -> None:
    all_pools = pools("10.0.0.0/28", held_back=["10.0.0.1"])
    for _ in range(3):
        all_pools.adopt(service("10.0.0.1"))
        all_pools.release(service("10.0.0.1"))
    claim = all_pools.reserve(None)
    assert len({claim.next_ip() for _ in range(13)}) == 13


@pytest.mark.parametrize(
    ("ip", "why"),
    [
        pytest.param("10.96.0.77", "", id="free"),
        pytest.param("10.96.0.5", "provided IP is already allocated", id="taken"),
        pytest.param("192.168.1.1", "the provided network does not match the current range", id="outside"),
        pytest.param("fd00::1", "the provided network does not match the current range", id="other family"),
        pytest.param(
            "10.96.0.0",
            "the provided IP (10.96.0.0) is not in the valid range. The range of valid IPs is 10.96.0.0/12",
            id="network address",
        ),
        pytest.param(
            "10.111.255.255",
            "the provided IP (10.111.255.255) is not in the valid range. The range of valid IPs is 10.96.0.0/12",
            id="broadcast address",
        ),
    ],
)
def test_claim_ip(ip: str, why: str) -> None:
    all_pools = pools()
    all_pools.adopt(service("10.96.0.5"))
    assert all_pools.reserve(None).claim_ip(ip) == why


@pytest.mark.parametrize(
    ("port", "why"),
    [
        pytest.param(30001, "", id="free"),
        pytest.param(30000, "provided port is already allocated", id="taken"),
        pytest.param(
            1, "provided port is not in the valid range. The range of valid ports is 30000-32767", id="outside"
        ),
    ],
)
def test_claim_node_port(port: int, why: str) -> None:
    all_pools = pools()
    all_pools.adopt(service(ports=(30000,)))
    assert all_pools.reserve(None).claim_node_port(port, "TCP") == why


def test_one_write_may_claim_a_port_for_two_protocols() -> None:
    claim = pools().reserve(None)
    assert claim.claim_node_port(30053, "TCP") == ""
    assert claim.claim_node_port(30053, "UDP") == ""


def test_unasked_node_ports_come_from_above_the_static_band() -> None:
    claim = pools().reserve(None)
    assert all((claim.next_node_port("TCP") or 0) >= 30086 for _ in range(100))


def test_families_follow_the_ranges() -> None:
    both = pools("fd00::/108", "10.96.0.0/12")
    assert both.families == ("IPv6", "IPv4")
    claim = both.reserve(None)
    assert (claim.next_ip() or "").startswith("fd00::")
    assert (claim.next_ip("IPv4") or "").startswith("10.")


def test_low_ipv6_values_stay_ipv6() -> None:
    assert (pools("::/108").reserve(None).next_ip() or "").startswith("::")


def test_rollback_frees_what_was_claimed() -> None:
    all_pools = pools()
    with all_pools.reserve(None) as claim:
        claim.claim_ip("10.96.0.9")
        claim.claim_node_port(30009, "TCP")
    again = all_pools.reserve(None)
    assert again.claim_ip("10.96.0.9") == again.claim_node_port(30009, "TCP") == ""


def test_commit_keeps_the_new_and_frees_the_old() -> None:
    all_pools = pools()
    old, new = service("10.96.0.9", ports=(30009, 30010)), service("10.96.0.9", ports=(30010, 30011))
    all_pools.adopt(old)
    with all_pools.reserve(old) as claim:
        assert claim.claim_ip("10.96.0.9") == ""
        assert claim.claim_node_port(30010, "TCP") == claim.claim_node_port(30011, "TCP") == ""
        claim.settle(new)
        claim.commit()
    other = all_pools.reserve(None)
    assert other.claim_node_port(30009, "TCP") == ""
    for port in (30010, 30011):
        assert other.claim_node_port(port, "TCP") == "provided port is already allocated"
    assert other.claim_ip("10.96.0.9") == "provided IP is already allocated"


def test_commit_without_settle_frees_nothing() -> None:
    """A status write opens a reservation and allocates nothing."""
    all_pools = pools()
    all_pools.adopt(service("10.96.0.9"))
    with all_pools.reserve(service("10.96.0.9")) as claim:
        claim.commit()
    assert all_pools.reserve(None).claim_ip("10.96.0.9") == "provided IP is already allocated"


def test_release_frees_everything_a_deleted_service_held() -> None:
    all_pools = pools()
    gone = service("10.96.0.9", ports=(30009,))
    gone["spec"]["healthCheckNodePort"] = 30099
    assert all_pools.adopt(gone) == []
    all_pools.release(gone)
    claim = all_pools.reserve(None)
    assert claim.claim_ip("10.96.0.9") == claim.claim_node_port(30009, "TCP") == claim.claim_node_port(30099, "") == ""


def test_adopt_tells_what_is_taken_twice_or_foreign() -> None:
    all_pools = pools()
    all_pools.adopt(service("10.96.0.9"))
    assert all_pools.adopt(service("10.96.0.9", ports=(80,))) == [
        "clusterIP 10.96.0.9: provided IP is already allocated",
        "nodePort 80: provided port is not in the valid range. The range of valid ports is 30000-32767",
    ]


@pytest.mark.parametrize(
    "obj",
    [
        pytest.param({"spec": {"clusterIP": "None", "clusterIPs": ["None"]}}, id="headless"),
        pytest.param({"spec": {"type": "ExternalName", "externalName": "a.example"}}, id="ExternalName"),
        pytest.param({"spec": {}}, id="not yet allocated"),
    ],
)
def test_services_that_hold_nothing(obj: dict[str, Any]) -> None:
    assert pools().adopt(obj) == []


def test_ten_thousand_addresses_of_a_wide_range_cost_their_own_number() -> None:
    claim = pools().reserve(None)
    assert len({claim.next_ip() for _ in range(10_000)}) == 10_000


@given(seed=st.integers(0, 2**32), steps=st.lists(st.sampled_from(["create", "change", "fail", "delete"]), max_size=40))
@settings(max_examples=60, deadline=None)
def test_pools_hold_exactly_what_living_services_hold(seed: int, steps: list[str]) -> None:
    """Whatever is written, refused and deleted in whatever order: nothing leaks, nothing is given out twice."""
    chance = random.Random(seed)
    every = [f"10.0.0.{n}" for n in range(1, 15)]
    all_pools = ServicePools(["10.0.0.0/28"], (30000, 30003), choose=chance.randrange)
    living: list[dict[str, Any]] = []
    for step in steps:
        old = chance.choice(living) if living and step in ("change", "delete") else None
        if step == "delete":
            if old is not None:
                living.remove(old)
                all_pools.release(old)
            continue
        with all_pools.reserve(old) as claim:
            ip = claim.next_ip() if old is None or chance.random() < 0.5 else old["spec"]["clusterIPs"][0]
            port = claim.next_node_port("TCP")
            if ip is None or port is None or claim.claim_ip(ip) or step == "fail":
                continue
            new = service(ip, ports=(port,))
            claim.settle(new)
            claim.commit()
        living = [s for s in living if s is not old] + [new]
    held = [s["spec"]["clusterIPs"][0] for s in living]
    assert len(set(held)) == len(held)
    free = [ip for ip in every if all_pools.reserve(None).claim_ip(ip) == ""]
    assert sorted(free) == sorted(set(every) - set(held))
