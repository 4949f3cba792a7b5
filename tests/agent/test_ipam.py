"""Addresses of pods."""

from __future__ import annotations

import pytest

from seamark.agent.ipam import Addresses, RangeExhaustedError, plan_address


def test_goes_round_the_range_before_using_one_again() -> None:
    addresses = Addresses("10.244.1.0/29")
    given = []
    for turn in range(7):
        addresses, ip = addresses.give(f"pod-{turn}")
        given.append(int(ip.rpartition(".")[2]))
        addresses = addresses.free(f"pod-{turn}")
    assert given == [2, 3, 4, 5, 6, 2, 3]


def test_same_pod_keeps_its_address() -> None:
    addresses, first = Addresses("10.244.1.0/24").give("a")
    addresses, again = addresses.give("a")
    assert first == again == "10.244.1.2"


def test_adopted_addresses_are_taken() -> None:
    addresses = Addresses("10.244.1.0/24").adopt("a", "10.244.1.2").adopt("b", "10.244.1.9")
    addresses, ip = addresses.give("c")
    assert ip == "10.244.1.10" and addresses.of("a") == "10.244.1.2"


def test_skips_what_is_taken() -> None:
    assert plan_address("10.244.1.0/24", ["10.244.1.2", "10.244.1.3", "10.244.1.5"], last="10.244.1.2") == "10.244.1.4"


def test_exhausted() -> None:
    taken = ["10.244.1.2", "10.244.1.3", "10.244.1.4", "10.244.1.5", "10.244.1.6"]
    with pytest.raises(RangeExhaustedError, match=r"no free address in pod range 10.244.1.0/29: 5 of 5 in use"):
        plan_address("10.244.1.0/29", taken)


def test_address_of_another_range_is_no_obstacle() -> None:
    assert plan_address("10.244.1.0/24", ["10.9.9.9"], last="10.9.9.9") == "10.244.1.2"
