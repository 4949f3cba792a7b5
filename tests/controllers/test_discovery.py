"""What an API server serves beside the kinds that are watched by name."""

from __future__ import annotations

from seamark.client.client import Client
from seamark.controllers.caches import Caches
from seamark.controllers.discovery import find_further_kinds, list_kinds
from seamark.machinery.gvr import GVR
from seamark.testing.clock import FakeClock


def test_what_can_be_followed_and_removed() -> None:
    verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
    claims = {"name": "claims", "kind": "Claim", "namespaced": True, "verbs": verbs}
    others = [
        {**claims, "name": "claims/status"},
        {**claims, "name": "reviews", "kind": "Review", "verbs": ["create"]},
        {**claims, "name": "usages", "kind": "Usage", "verbs": ["get", "list"]},
    ]
    assert list_kinds({"resources": [claims, *others]}, "some.test", "v1") == [
        GVR("some.test", "v1", "claims", "Claim")
    ]


async def test_seamark_serves_nothing_that_is_not_watched(client: Client) -> None:
    known = Caches(client, clock=FakeClock()).all
    assert [gvr.resource for gvr in await find_further_kinds(client, known)] == []
