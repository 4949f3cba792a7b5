"""Ports of the node that lead to a pod: as text, and as connections see them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from seamark.linux import netns
from seamark.linux.podruntime.hostports import render_table, table_name
from seamark.linux.runtime import HostPort, RuntimeFault

net = [pytest.mark.net, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]
NODE = "192.0.2.1"
SERVER = """
import select, socket, sys
sockets = []
for port, kind in ((8080, socket.SOCK_STREAM), (8081, socket.SOCK_STREAM), (8080, socket.SOCK_DGRAM)):
    made = socket.socket(socket.AF_INET, kind)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("0.0.0.0", port))
    if kind == socket.SOCK_STREAM:
        made.listen()
    sockets.append(made)
print("ready", flush=True)
while True:
    for ready in select.select(sockets, [], [])[0]:
        port = ready.getsockname()[1]
        if ready.type == socket.SOCK_STREAM:
            peer, address = ready.accept()
            peer.sendall(f"{port} {address[0]}".encode())
            peer.close()
        else:
            _, address = ready.recvfrom(99)
            ready.sendto(f"udp {port} {address[0]}".encode(), address)
"""


def ask(address: str, port: int, *, source: str = "", kind: int = socket.SOCK_STREAM) -> str:
    with socket.socket(socket.AF_INET, kind) as client:
        client.settimeout(3)
        if source:
            client.bind((source, 0))
        client.connect((address, port))
        if kind == socket.SOCK_DGRAM:
            client.send(b"?")
        return client.recv(99).decode()


def run(pin: Path, *argv: str) -> str:
    return subprocess.run(netns.command(pin, *argv), capture_output=True, text=True, check=True).stdout


def tables(pin: Path) -> str:
    return run(pin, "nft", "list", "tables")


def test_a_port_of_one_address_and_one_of_all() -> None:
    text = render_table("u", "10.244.0.7", [HostPort("TCP", 80, 8080, ip="127.0.0.1"), HostPort("UDP", 53, 5353)])
    assert "        ip daddr 127.0.0.1 tcp dport 80 dnat to 10.244.0.7:8080\n" in text
    assert "        udp dport 53 dnat to 10.244.0.7:5353\n" in text


@pytest.mark.parametrize("port", [HostPort("ICMP", 80, 80), HostPort("TCP", 0, 80), HostPort("TCP", 80, 65536)])
def test_only_ports_reach_the_rules(port: HostPort) -> None:
    with pytest.raises(RuntimeFault, match=f"hostPort {port.port}/{port.protocol}"):
        render_table("u", "10.244.0.7", [port])


@pytest.fixture
def serve(node: Any) -> Callable[..., Awaitable[None]]:
    """Starts pod 1 with these host ports; it tells who asked."""

    async def start(*ports: HostPort) -> None:
        await node.runtime.create_sandbox(node.sandbox(1, host_ports=ports))
        await node.runtime.start_container(node.container(1, sys.executable, "-c", SERVER))
        changes = 0
        while not (node.directory / "1-main.log").read_text() and changes < 2000:
            await node.runtime.state(node.uid(1))
            changes += 1

    return start


class TestTraffic:
    pytestmark = net

    async def test_from_the_node_a_pod_and_itself(self, node: Any, serve: Callable[..., Awaitable[None]]) -> None:
        await serve(HostPort("TCP", 80, 8080), HostPort("TCP", 81, 8081, ip="127.0.0.1"), HostPort("UDP", 80, 8080))
        await node.runtime.create_sandbox(node.sandbox(2))
        await node.runtime.start_container(node.container(2, "sleep", "60"))

        def here(*args: Any, **options: Any) -> str:
            return netns.run_in(node.pin, lambda: ask(*args, **options))

        assert here(NODE, 80) == f"8080 {NODE}"
        assert here("127.0.0.1", 80) == f"8080 {NODE}", "a loopback address means nothing to a pod"
        assert here("127.0.0.1", 81, source=NODE) == f"8081 {NODE}"
        assert here(NODE, 80, kind=socket.SOCK_DGRAM) == f"udp 8080 {NODE}"
        with pytest.raises(ConnectionRefusedError):
            here(NODE, 81)
        fetch = f"import socket; print(socket.create_connection(('{NODE}', 80), 3).recv(99).decode())"
        assert await node.command(2, sys.executable, "-c", fetch) == (0, "8080 10.244.9.2\n")
        assert await node.command(1, sys.executable, "-c", fetch) == (0, f"8080 {NODE}\n")

    async def test_a_pod_gets_nowhere_by_the_opening(self, node: Any, serve: Callable[..., Awaitable[None]]) -> None:
        """What a pod sends to the node's loopback would be accepted but for the guard."""
        await serve(HostPort("TCP", 80, 8080))
        inside = Path(f"/proc/{(await node.runtime.state(node.uid(1))).containers[0].pid}/ns/net")
        run(inside, "ip", "address", "delete", "127.0.0.1/8", "dev", "lo")
        run(inside, "ip", "route", "add", "127.0.0.1", "via", "169.254.1.1", "dev", "eth0")
        netns.run_in(inside, lambda: Path("/proc/sys/net/ipv4/conf/eth0/route_localnet").write_text("1"))

        def listen() -> socket.socket:
            made = socket.socket()
            made.bind(("127.0.0.1", 9999))
            made.listen()
            return made

        def knock() -> int:
            with socket.socket() as client:
                client.settimeout(0.3)
                return client.connect_ex(("127.0.0.1", 9999))

        with netns.run_in(node.pin, listen):
            assert netns.run_in(inside, knock) != 0
            run(node.pin, "nft", "delete", "chain", "ip", table_name(node.uid(1)), "guard")
            assert netns.run_in(inside, knock) == 0, "the test would show it"

    async def test_ports_go_with_the_pod(self, node: Any, serve: Callable[..., Awaitable[None]]) -> None:
        await serve(HostPort("TCP", 80, 8080))
        assert table_name(node.uid(1)) in tables(node.pin)
        restarted = node.new_runtime()
        state = await restarted.state(node.uid(1))
        assert state is not None and state.config.host_ports == (HostPort("TCP", 80, 8080),)
        await restarted.remove_sandbox(node.uid(1))
        assert tables(node.pin) == ""
        with pytest.raises(ConnectionRefusedError):
            netns.run_in(node.pin, lambda: ask(NODE, 80))

    async def test_a_port_that_cannot_be_leaves_no_pod(self, node: Any, serve: Callable[..., Awaitable[None]]) -> None:
        with pytest.raises(RuntimeFault, match="hostPort"):
            await serve(HostPort("TCP", 80, 8080, ip="127.0.0.1"), HostPort("TCP", 80, 99999))
        assert await node.runtime.list_sandboxes() == ()
        assert node.links() == [] and tables(node.pin) == ""
