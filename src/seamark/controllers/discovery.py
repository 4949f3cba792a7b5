"""What else an API server serves: kinds that are not watched by name; they have owners and end with namespaces too.

Asked once, at the start; custom kinds that come later are known by their definitions.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from seamark.client.client import Client
from seamark.machinery.gvr import EVENTS_V1, GVR
from seamark.machinery.status import StatusError

NEEDED = {"list", "watch", "delete", "deletecollection"}


async def find_further_kinds(client: Client, known: Container[GVR]) -> tuple[GVR, ...]:
    """In each group's preferred version. Left out is a group whose server does not answer."""
    found: list[GVR] = []
    for group in (await client.get_path("/apis"))["groups"]:
        version = group["preferredVersion"]["version"]
        try:
            served = await client.get_path(f"/apis/{group['name']}/{version}")
        except StatusError:
            continue
        found += [gvr for gvr in list_kinds(served, group["name"], version) if gvr not in known]
    return tuple(gvr for gvr in found if gvr.resource != EVENTS_V1.resource)  # many, and they end by themselves


def list_kinds(served: dict[str, Any], group: str, version: str) -> list[GVR]:
    """Those of an APIResourceList that can be followed and removed."""
    return [
        GVR(group, version, resource["name"], resource["kind"], namespaced=resource["namespaced"])
        for resource in served["resources"]
        if "/" not in resource["name"] and set(resource["verbs"]) >= NEEDED
    ]
