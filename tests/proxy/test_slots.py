"""Slots of affinity Services with real clients: endpoints that come take nobody away, and are found by new clients."""

from __future__ import annotations

import os
from typing import Any

import pytest

from seamark.testing.networld import OUTSIDE, World

pytestmark = [pytest.mark.net, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

NODE, VIP = "172.30.0.11", "10.96.7.9"
A, B, C = ("10.244.1.2", "10.244.1.3", "10.244.1.4")
CLIENTS = (A, B, C, NODE, OUTSIDE, "10.244.2.2", "10.244.2.3")


async def servers(world: World, client: str, times: int = 4) -> set[str]:
    return {(await world.ask(client, VIP, 80)).server.removesuffix(":8080") for _ in range(times)}


async def test_an_endpoint_that_comes_takes_nobody_and_is_found_by_new_clients(world: World, cluster: Any) -> None:
    for pod in (A, B, C):
        await world.serve(pod, 8080)
    await cluster.service(sessionAffinity="ClientIP")
    await cluster.endpoints(A, B)
    before = {client: await servers(world, client) for client in CLIENTS}
    assert all(len(found) == 1 for found in before.values())
    for endpoints in ((A, B, C), (C, A, B), (A, B, C)):  # once more, and in another order
        await cluster.endpoints(*endpoints)
        assert {client: await servers(world, client) for client in CLIENTS} == before
    await cluster.endpoints(B, C)
    after = {client: await servers(world, client) for client in CLIENTS}
    moved = {client for client in CLIENTS if after[client] != before[client]}
    assert moved == {client for client in CLIENTS if before[client] == {A}}
    await cluster.endpoints(A, B, C)
    assert {client: await servers(world, client) for client in CLIENTS} == after
    found: set[str] = set()
    for _ in range(60):
        world.run_on_node("nft", "flush", "map", "ip", "seamark", "aff")
        await cluster.proxy._tables["IPv4"].check()
        found |= await servers(world, OUTSIDE, 1)
    assert found == {A, B, C}
