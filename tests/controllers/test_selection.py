"""``--controllers``, as kube-controller-manager reads it."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.controllers.selection import KNOWN, SelectionError, parse_controllers
from seamark.controllers.settings import ControllerSettings
from seamark.machinery.gvr import DEPLOYMENTS, REPLICASETS
from seamark.testing.builders import make_workload, to_create


@pytest.mark.parametrize(
    ("text", "on"),
    [
        ("*", set(KNOWN)),
        ("", set()),
        ("job-controller", {"job-controller"}),
        ("*,-job-controller", set(KNOWN) - {"job-controller"}),
        ("-job-controller", set()),
        ("job-controller,-job-controller", {"job-controller"}),
    ],
)
def test_selection(text: str, on: set[str]) -> None:
    assert parse_controllers(text) == on


def test_what_is_not_known_is_named() -> None:
    with pytest.raises(SelectionError, match='"nodeipam" is not in the list of known controllers'):
        parse_controllers("*,-nodeipam")


async def test_one_that_is_left_out_does_nothing(bare: Any) -> None:
    enabled = parse_controllers("*,-replicaset-controller")
    bare.start(ControllerSettings(dns_replicas=0, enabled=enabled))
    await bare.client.create(DEPLOYMENTS, to_create(make_workload("Deployment", "web", replicas=2)))

    async def has_replicaset() -> bool:
        return bool(await bare.client.list(REPLICASETS, namespace="default"))

    await bare.eventually(has_replicaset)
    await bare.clock.advance(60)
    assert await bare.pods() == []
