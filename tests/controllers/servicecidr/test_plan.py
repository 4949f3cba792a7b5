"""When a range is ready, when it may go, and what it says while it may not."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from seamark.controllers.servicecidr.plan import (
    FINALIZER,
    READY,
    TERMINATING,
    Action,
    SetFinalizers,
    SetReady,
    Wait,
    plan_servicecidr,
)
from seamark.model.ipaddress import IPAddress, ServiceCidr

NOW = 1795514400.0  # 2026-11-24T10:00:00Z


def cidr(name: str, *cidrs: str, finalizers: tuple[str, ...] = (FINALIZER,), **more: Any) -> ServiceCidr:
    meta = {"name": name, "finalizers": list(finalizers), **more}
    return msgspec.convert({"metadata": meta, "spec": {"cidrs": list(cidrs)}}, ServiceCidr)


def leaving(name: str, *cidrs: str, at: str = "2026-11-24T09:59:00Z") -> ServiceCidr:
    return cidr(name, *cidrs, deletionTimestamp=at)


def address(ip: str, labels: dict[str, str] | None = None) -> IPAddress:
    labels = {"ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io"} if labels is None else labels
    return msgspec.convert({"metadata": {"name": ip, "labels": labels}}, IPAddress)


MINE = leaving("mine", "10.5.0.0/24")
GONE = (SetFinalizers(()),)


@pytest.mark.parametrize(
    ("one", "others", "addresses", "wanted"),
    [
        pytest.param(
            cidr("new", "10.5.0.0/24", finalizers=()),
            [],
            [],
            (SetFinalizers((FINALIZER,)), SetReady(*READY)),
            id="a new one gets the finalizer and is ready",
        ),
        pytest.param(MINE, [], [address("10.96.0.1")], GONE, id="nothing of it is used"),
        pytest.param(MINE, [], [address("10.5.0.9")], (SetReady(*TERMINATING),), id="an address needs it"),
        pytest.param(MINE, [], [address("10.5.0.9", {})], GONE, id="a hand-made address does not"),
        pytest.param(
            MINE, [cidr("b", "10.5.0.0/25")], [address("10.5.0.9")], GONE, id="another range holds the address"
        ),
        pytest.param(
            MINE, [cidr("b", "10.5.0.0/25")], [address("10.5.0.200")], (SetReady(*TERMINATING),), id="or does not"
        ),
        pytest.param(MINE, [cidr("b", "10.0.0.0/8")], [address("10.5.0.9")], GONE, id="a larger range holds it all"),
        pytest.param(leaving("mine", "10.5.0.0/24", at="2026-11-24T09:59:57Z"), [], [], (Wait(7.0),), id="not at once"),
        pytest.param(
            leaving("dual", "10.5.0.0/24", "fd00::/112"),
            [cidr("b", "10.0.0.0/8")],
            [address("fd00::9")],
            (SetReady(*TERMINATING),),
            id="both families count",
        ),
    ],
)
def test_plan(
    one: ServiceCidr, others: list[ServiceCidr], addresses: list[IPAddress], wanted: tuple[Action, ...]
) -> None:
    assert plan_servicecidr(one, others, addresses, now=NOW) == wanted


def test_what_was_said_is_not_said_again() -> None:
    ready = {"type": "Ready", "status": "True", "message": "Kubernetes default Service CIDR is ready"}
    known = msgspec.convert(
        {
            "metadata": {"name": "kubernetes", "finalizers": [FINALIZER]},
            "spec": {"cidrs": ["10.96.0.0/12"]},
            "status": {"conditions": [ready]},
        },
        ServiceCidr,
    )
    assert plan_servicecidr(known, [], [], now=NOW) == ()
