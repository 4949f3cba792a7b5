"""DNS on the node itself: answered at the cluster's address, translated by nobody, and gone when it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.message
import pytest

from seamark.linux import netns
from seamark.linux.nodelocal import ROUTE_PROTOCOL, TABLE, render_rules
from seamark.testing.networld import World, make_world

NODE, POD, ELSEWHERE = "172.30.0.11", "10.244.0.5", "172.30.0.50"
LOCAL, CLUSTER = "169.254.20.10", "10.96.0.10"
PROXY = f"""
table ip proxy {{
  chain prerouting {{ type nat hook prerouting priority dstnat; ip daddr {CLUSTER} udp dport 53 dnat to {ELSEWHERE};
    ip daddr {CLUSTER} tcp dport 53 dnat to {ELSEWHERE}; }}
  chain output {{ type nat hook output priority -100; ip daddr {CLUSTER} udp dport 53 dnat to {ELSEWHERE};
    ip daddr {CLUSTER} tcp dport 53 dnat to {ELSEWHERE}; }}
}}
"""
ROUTES = ("ip", "route", "show", "table", "local", "proto", ROUTE_PROTOCOL)
COREFILE = ".:53 {\nhosts /nonexistent {\n192.0.2.44 a.test\n}\n}\n"


def test_rules_name_both_families() -> None:
    text = render_rules([LOCAL, "fd00::a"])
    assert f"ip daddr {{ {LOCAL} }} meta l4proto {{ tcp, udp }} th dport 53 notrack" in text
    assert "ip6 saddr { fd00::a } meta l4proto { tcp, udp } th sport 53 notrack" in text


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with make_world(tmp_path, node=NODE, pods=[POD], outside=[ELSEWHERE]) as found:
        subprocess.run(netns.command(found.node_pin, "nft", "-f", "-"), input=PROXY, text=True, check=True)
        yield found


@contextmanager
def serving(world: World, directory: Path, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    (directory / "Corefile").write_text(COREFILE)
    argv = [sys.executable, "-m", "seamark", "dns", "-conf", str(directory / "Corefile"), *more]
    running = subprocess.Popen(netns.command(world.node_pin, *argv))
    try:
        yield running
    finally:
        running.kill()
        running.wait(20)


async def ask(world: World, source: str, server: str, *, tcp: bool = False) -> tuple[str, str]:
    """The answer, and the address that it came from."""
    query = dns.message.make_query("a.test.", "A").to_wire()
    loop = asyncio.get_running_loop()
    kind = socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM
    with netns.open_socket(world.pin_of(source), socket.AF_INET, kind) as asking:
        asking.setblocking(False)
        async with asyncio.timeout(2):
            if tcp:
                await loop.sock_connect(asking, (server, 53))
                await loop.sock_sendall(asking, struct.pack("!H", len(query)) + query)
                wire, peer = (await loop.sock_recv(asking, 4096))[2:], asking.getpeername()
            else:
                await loop.sock_sendto(asking, query, (server, 53))
                wire, peer = await loop.sock_recvfrom(asking, 4096)
    return dns.message.from_wire(wire).answer[0][0].to_text(), peer[0]


async def until_it_answers(world: World) -> None:
    async with asyncio.timeout(30):
        while True:
            try:
                await ask(world, POD, LOCAL)
                return
            except (TimeoutError, OSError):
                await asyncio.sleep(0.05)


@pytest.mark.net
@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")
async def test_pods_and_the_node_are_answered_without_translation(world: World, tmp_path: Path) -> None:
    await world.serve(ELSEWHERE, 53, "UDP")
    assert (await world.ask(POD, CLUSTER, 53, "UDP")).server == f"{ELSEWHERE}:53", "what the proxy does without us"
    with serving(world, tmp_path, "-node-local") as running:
        await until_it_answers(world)
        for server in (LOCAL, CLUSTER):
            for source in (POD, NODE):
                for tcp in (False, True):
                    assert await ask(world, source, server, tcp=tcp) == ("192.0.2.44", server)
        assert "notrack" in world.run_on_node("nft", "list", "table", "inet", TABLE)
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == 0
    assert world.run_on_node(*ROUTES) == ""
    assert TABLE not in world.run_on_node("nft", "list", "tables")
    assert (await world.ask(POD, CLUSTER, 53, "UDP")).server == f"{ELSEWHERE}:53", "back at the cluster's DNS"


@pytest.mark.net
@pytest.mark.skipif(os.geteuid() != 0, reason="namespaces need root")
async def test_what_a_killed_one_left_is_taken_over(world: World, tmp_path: Path) -> None:
    for _ in range(2):
        with serving(world, tmp_path, "-node-local", "-localip", LOCAL):
            await until_it_answers(world)
    assert LOCAL in world.run_on_node(*ROUTES)
    with serving(world, tmp_path, "-node-local", "-localip", LOCAL, "-skipteardown") as running:
        await until_it_answers(world)
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == 0
    assert LOCAL in world.run_on_node(*ROUTES), "left where it was asked to be left"
