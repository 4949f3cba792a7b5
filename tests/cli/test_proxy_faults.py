"""``seamark proxy`` as a process, when things go wrong around it: killed, no API server, no nft, others' rules."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sys
import time
from pathlib import Path

import pytest

from seamark.client.client import Client
from seamark.linux.ipvs import Ipvs, IpvsError
from seamark.machinery.gvr import ENDPOINTSLICES, SERVICES
from seamark.testing.attachednode import RUN, VIP, A, Attach, B, fill
from seamark.testing.networld import World

FLAGS = ("--kubeconfig", "KUBECONFIG", "--hostname-override", "node1", "--cluster-cidr", "10.244.0.0/16")
AWAY_SECONDS = float(os.environ.get("SEAMARK_AWAY_SECONDS", "1"))
"""How long the API server is away; ``make soak-proxy`` makes it a minute."""
pytestmark = [pytest.mark.net, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]


async def test_killed_at_any_moment_the_next_start_makes_it_right(attach: Attach, client: Client) -> None:
    await fill(client)
    for turn in range(4):
        for number in range(20):
            meta = {"name": f"s{turn}-{number}", "namespace": "default"}
            await client.create(SERVICES, {"metadata": meta, "spec": {"ports": [{"port": 80}]}})
        async with attach(*FLAGS) as node:
            async with asyncio.timeout(10):
                while "table ip seamark" not in node.world.run_on_node("nft", "list", "tables"):  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
            await asyncio.sleep(turn * 0.015)  # in the middle of the first load, later, or after it
            node.process.kill()
            await node.process.wait()
        await client.delete(SERVICES, f"s{turn}-0", namespace="default")
    async with attach(*FLAGS) as node:
        await node.world.serve(B, 8080)
        await node.until("/livez", 200)
        await node.answers(A, VIP, 80, A)
        wanted = {s["spec"]["clusterIP"] for s in await client.list(SERVICES)}
        listed = node.world.run_on_node("nft", "-j", "list", "set", "ip", "seamark", "vips")
        (vips,) = (item["set"]["elem"] for item in json.loads(listed)["nftables"] if "set" in item)
        assert set(vips) == wanted
        assert len(wanted) == 77


async def test_killed_again_and_again_a_connection_lives_and_new_ones_work(attach: Attach, client: Client) -> None:
    """SIGKILL while Services come and go, at moments that differ; clients connect all the time."""
    await fill(client)
    both = [{"name": "http", "port": 80}, {"name": "talk", "port": 81}]
    await client.patch(SERVICES, "web", {"spec": {"ports": both}}, namespace="default")
    served = [{"name": "http", "port": 8080, "protocol": "TCP"}, {"name": "talk", "port": 8081, "protocol": "TCP"}]
    await client.patch(ENDPOINTSLICES, "web-x", {"ports": served}, namespace="default")
    failures: list[str] = []

    async def connect(world: World) -> None:
        while True:
            answer = await world.ask(A, VIP, 80, patience=0.9)
            if answer.server != f"{B}:8080":
                failures.append(str(answer))

    async def churn() -> None:
        for number in range(100_000):
            meta = {"name": f"c{number % 7}", "namespace": "default"}
            if number % 14 < 7:
                await client.create(SERVICES, {"metadata": meta, "spec": {"ports": [{"port": 80}]}})
            else:
                await client.delete(SERVICES, meta["name"], namespace="default")
            await asyncio.sleep(0.004)

    async with attach(*FLAGS) as node:
        await node.world.serve(B, 8080)
        await node.answers(A, VIP, 80, A)
        async with node.world.conversation(A, B, VIP, 81) as goes_on:
            work = [asyncio.create_task(one) for one in (connect(node.world), churn())]
            for turn in range(6):
                await asyncio.sleep(0.03 * turn)
                node.process.kill()
                await node.process.wait()
                await goes_on()
                await node.restart()
                await node.until("/livez", 200)
                await goes_on()
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
            assert failures == []


@pytest.mark.timeout(60 + AWAY_SECONDS)
async def test_traffic_goes_on_while_the_api_server_is_away(attach: Attach, client: Client) -> None:
    """It is reached over the node's loopback, which is taken down; what changed meanwhile is in force afterwards. A
    proxy that starts without it waits, and leaves the rules alone.
    """
    await fill(client)
    second = "10.244.1.4"
    async with attach(*FLAGS) as node:
        for pod in (B, second):
            await node.world.serve(pod, 8080)
        await node.until("/livez", 200)
        await node.answers(A, VIP, 80, A)
        node.world.run_on_node("ip", "link", "set", "lo", "down")
        patch = {"endpoints": [{"addresses": [second], "nodeName": "node1"}]}
        await client.patch(ENDPOINTSLICES, "web-x", patch, namespace="default")
        asked, until = 0, time.monotonic() + AWAY_SECONDS
        while time.monotonic() < until or asked < 20:
            assert (await node.world.ask(A, VIP, 80)).server == f"{B}:8080"
            asked += 1
            await asyncio.sleep(0.02)
        node.world.run_on_node("ip", "link", "set", "lo", "up")
        await leads_to(node.world, second)
        node.process.kill()
        await node.process.wait()
        before = node.world.run_on_node("nft", "list", "ruleset")
        node.world.run_on_node("ip", "link", "set", "lo", "down")
        await client.patch(ENDPOINTSLICES, "web-x", {"endpoints": [{"addresses": [B]}]}, namespace="default")
        await node.restart()
        for _ in range(20):
            assert (await node.world.ask(A, VIP, 80)).server == f"{second}:8080"
            await asyncio.sleep(0.05)
        assert node.world.run_on_node("nft", "list", "ruleset") == before
        node.world.run_on_node("ip", "link", "set", "lo", "up")
        await leads_to(node.world, B)


async def leads_to(world: World, server: str) -> None:
    async with asyncio.timeout(20):
        while (await world.ask(A, VIP, 80)).server != f"{server}:8080":  # noqa: ASYNC110 - TCP tries again
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("", "nft: program not found: install the package nftables"),
        ("echo 'Error: syntax error, unexpected typeof' >&2; exit 1", "nft: Error: syntax error, unexpected typeof"),
        ("echo 'Error: Could not process rule: Operation not supported' >&2; exit 1", "Operation not supported"),
    ],
    ids=["missing", "old", "refusing"],
)
async def test_without_a_good_nft_one_line_says_so_until_there_is_one(
    attach: Attach, client: Client, tmp_path: Path, script: str, told: str
) -> None:
    """The health port says it as well; the proxy tries again by itself, later and later. Its /usr/sbin is its own."""
    await fill(client)
    programs, log = tmp_path / "sbin", tmp_path / "log"
    programs.mkdir()
    if script:
        install(programs / "nft", f"#!/bin/sh\n{script}\n".encode())
    alone = ("unshare", "-m", "sh", "-c", f'mount --bind {programs} /usr/sbin; exec "$@"', "sh")
    with log.open("wb") as errors:
        async with attach(*FLAGS, wrapper=alone, errors=errors.fileno()) as node:
            await node.world.serve(B, 8080)
            found = json.loads(await node.until("/healthz", 503))
            async with asyncio.timeout(10):
                while "error" not in found:
                    found = json.loads(await node.until("/healthz", 503))
                    await asyncio.sleep(0.05)
            assert told in found["error"]
            assert found["healthy"] is False
            assert (await node.get("/livez", 10256))[0] == 503
            await asyncio.sleep(1.2)  # it has tried again meanwhile
            metrics = await node.until("/metrics", 200, 10249)
            assert failures_in(metrics) >= 2
            install(programs / "nft", the_real_nft())
            assert "error" not in json.loads(await node.until("/healthz", 200))
            await node.answers(A, VIP, 80, A)
    lines = [line for line in log.read_text().splitlines() if "rules not applied" in line]
    assert len(lines) == 1
    assert told in lines[0]


def the_real_nft() -> bytes:
    return Path(shutil.which("nft", path="/usr/sbin:/sbin") or "").read_bytes()


def install(file: Path, program: bytes) -> None:
    """At once, in place of what is there."""
    file.with_suffix(".new").write_bytes(program)
    file.with_suffix(".new").chmod(0o755)
    file.with_suffix(".new").rename(file)


def failures_in(metrics: str) -> float:
    name = 'kubeproxy_sync_proxy_rules_nftables_sync_failures_total{ip_family="IPv4"} '
    return next(float(line.removeprefix(name)) for line in metrics.splitlines() if line.startswith(name))


@pytest.mark.parametrize("mode", ["nftables", "iptables", "ipvs", "userspace"])
async def test_cleanup_removes_exactly_its_own(attach: Attach, client: Client, mode: str) -> None:
    """Beside somebody's tables, rules, routes and links, and what a kube-proxy left."""
    if mode == "iptables" and shutil.which("iptables-save") is None:
        pytest.skip("iptables is not installed")
    await fill(client)
    async with attach(*FLAGS, "--proxy-mode", mode) as node:
        if mode == "ipvs" and not has_ipvs(node.world):
            pytest.skip("this kernel has no IPVS: make test-vm")
        node.process.kill()
        await node.process.wait()
        make_others(node.world, iptables=shutil.which("iptables-save") is not None)
        before = seen_by_admin(node.world)
        await node.restart()
        await node.world.serve(B, 8080)
        await node.until("/livez", 200)
        async with asyncio.timeout(5):
            while (await node.world.ask(A, VIP, 80)).server != f"{B}:8080":  # noqa: ASYNC110 - the kernel
                await asyncio.sleep(0.02)
        node.process.kill()
        await node.process.wait()
        told = node.world.run_on_node(sys.executable, "-c", RUN, "proxy", "--cleanup")
        assert f"{mode}: rules removed" in told
        assert told.count("nothing of ours") == 3
        assert seen_by_admin(node.world) == before
        assert not re.search(r"table \w+ seamark\b", node.world.run_on_node("nft", "list", "tables"))


def make_others(world: World, *, iptables: bool) -> None:
    """What must not be touched: an administrator's, and a kube-proxy's in mode nftables."""
    world.run_on_node("nft", "add table ip theirs; add chain ip theirs nat { type nat hook prerouting priority 5; }")
    world.run_on_node("nft", "add rule ip theirs nat tcp dport 1 redirect to :2; add table inet seamark_other")
    world.run_on_node(
        "nft", "add table ip kube-proxy; add map ip kube-proxy service-ips { type ipv4_addr . inet_service : verdict; }"
    )
    world.run_on_node(
        "nft",
        "add chain ip kube-proxy services; add element ip kube-proxy service-ips { 10.96.0.1 . 443 : goto services }",
    )
    if iptables:
        world.run_on_node("iptables", "-t", "nat", "-N", "THEIRS")
        world.run_on_node("iptables", "-t", "nat", "-A", "PREROUTING", "-p", "tcp", "--dport", "9", "-j", "THEIRS")
        world.run_on_node("iptables", "-A", "FORWARD", "-s", "192.0.2.77", "-j", "DROP")
        for chain in ("POSTROUTING", "OUTPUT"):  # the tables' own chains stay once they have been there
            world.run_on_node("iptables", "-t", "nat", "-A", chain, "-s", "192.0.2.78", "-j", "ACCEPT")
        for chain in ("INPUT", "OUTPUT"):
            world.run_on_node("iptables", "-A", chain, "-s", "192.0.2.78", "-j", "ACCEPT")
    world.run_on_node("ip", "link", "add", "theirs0", "type", "bridge")
    world.run_on_node("ip", "address", "add", "192.0.2.200/32", "dev", "theirs0")
    world.run_on_node("ip", "route", "add", "local", "198.51.100.0/24", "dev", "lo")


def seen_by_admin(world: World) -> list[str]:
    """The whole ruleset but for the empty tables that iptables leaves behind in nft's eyes: iptables-save has those."""
    tables = ("nft list table ip theirs", "nft list table ip kube-proxy", "nft list table inet seamark_other")
    commands = [*tables, "ip -o -4 address", "ip route show table all"]
    commands += ["iptables-save", "iptables-legacy-save"] if shutil.which("iptables-save") else []
    shown = [world.run_on_node(*command.split()) for command in commands]
    return [re.sub(r"#.*|\[\d+:\d+\]|counter packets \d+ bytes \d+", "", text) for text in shown]


def has_ipvs(world: World) -> bool:
    try:
        Ipvs(world.node_pin).close()
    except IpvsError:
        return False
    return True
