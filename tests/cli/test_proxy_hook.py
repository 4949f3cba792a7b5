"""``seamark proxy --connect-hook`` as a process: pods go by the hook, are told of it, and lose nothing with it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from seamark.client.client import Client
from seamark.linux import cgroups
from seamark.testing.attachednode import RUN, VIP, A, Attach, Attached, B, fill
from seamark.testing.cgroup import OwnCgroup, make_cgroup

FLAGS = ("--kubeconfig", "KUBECONFIG", "--hostname-override", "node1", "--cluster-cidr", "10.244.0.0/16")
pytestmark = [
    pytest.mark.net,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(cgroups.find_unified() is None, reason="no cgroup2 is mounted"),
]


@pytest.fixture
def cgroup() -> Iterator[OwnCgroup]:
    with make_cgroup("seamark-node1") as made:
        yield made


async def explained(node: Attached, kubeconfig: Path) -> list[str]:
    argv = (sys.executable, "-c", RUN, "explain", "conn", "--from", A, "default/web", "--node", "node1")
    where = ("--kubeconfig", str(kubeconfig), "-o", "json")
    found = json.loads(await asyncio.to_thread(node.world.run_on_node, *argv, *where))
    assert (found["to"], found["mend"]) == (f"{VIP}:80/TCP", [])
    hooks: list[str] = found["kernel"]["connectHook"]
    return hooks


async def test_a_killed_proxy_takes_its_hook_along_and_the_rules_take_over(
    attach: Attach, client: Client, cgroup: OwnCgroup, tmp_path: Path
) -> None:
    await fill(client)
    async with attach(*FLAGS, "--connect-hook", str(cgroup.path)) as node:
        await node.world.serve(B, 8080)
        await node.until("/livez", 200)

        async def ask() -> bool:
            """Whether the rules saw the connection."""
            node.world.run_on_node("conntrack", "-F")
            with cgroup.entered():
                connecting = node.world.open_client(A)
            with connecting:
                assert (await node.world.exchange(connecting, VIP, 80)).server == f"{B}:8080"
            return f"dst={VIP}" in node.world.run_on_node("conntrack", "-L")

        async with asyncio.timeout(5):
            while await ask():  # noqa: ASYNC110 - the hook is there after the rules
                await asyncio.sleep(0.05)
        (line,) = await explained(node, tmp_path / "kubeconfig")
        assert line.startswith(f"processes in {cgroup.path}: connect() itself goes to {B}:8080;")
        node.process.kill()
        await node.process.wait()
        assert await ask()
        assert await explained(node, tmp_path / "kubeconfig") == []
