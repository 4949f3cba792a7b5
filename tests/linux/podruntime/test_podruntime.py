"""Pods that really run: their network, their logs, their limits, their ends."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from seamark.linux import cgroups, netns
from seamark.linux.podruntime.network import link_name
from seamark.linux.runtime import Mount, RuntimeFault

if TYPE_CHECKING:
    from tests.linux.podruntime.conftest import Node

pytestmark = [pytest.mark.net, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

SLEEP = ("sleep", "600")
SERVER = """
import socket
listener = socket.create_server(("", 8080))
while True:
    connection, (address, _) = listener.accept()
    connection.sendall(address.encode())
    connection.close()
"""
FETCH = """
import socket, time
for _ in range(200):
    try:
        print(socket.create_connection(("10.244.9.1", 8080), 2).recv(99).decode())
        break
    except ConnectionRefusedError:
        time.sleep(0.02)
"""


async def started(node: Node, number: int, *argv: str) -> None:
    await node.runtime.create_sandbox(node.sandbox(number))
    await node.runtime.start_container(node.container(number, *(argv or SLEEP)))


# ---- network


async def test_pods_and_node_reach_one_another_with_their_own_addresses(node: Node) -> None:
    await started(node, 1, sys.executable, "-c", SERVER)
    await started(node, 2)
    assert await node.command(2, sys.executable, "-c", FETCH) == (0, "10.244.9.2\n")

    def from_node() -> bytes:
        with socket.create_connection(("10.244.9.1", 8080), 2) as connection:
            return connection.recv(99)

    assert netns.run_in(node.pin, from_node) == b"192.0.2.1"
    code, output = await node.command(2, "ping", "-c1", "-W2", "10.244.9.1")
    assert code == 0, output
    assert sorted(node.links()) == sorted(link_name(node.uid(n)) for n in (1, 2))


async def test_what_a_pod_sees_of_itself(node: Node) -> None:
    await started(node, 3)
    assert await node.command(3, "hostname") == (0, "pod-3\n")
    _, links = await node.command(3, "ip", "-o", "-4", "address")
    assert "10.244.9.3/32" in links
    _, routes = await node.command(3, "ip", "route")
    assert routes.startswith("default via 169.254.1.1 dev eth0")
    assert (await node.command(3, "sh", "-c", "ps -e | wc -l"))[1].strip() in {"4", "5"}  # its own pid namespace


async def test_a_pod_with_host_network_lives_in_the_nodes_namespace(node: Node) -> None:
    await node.runtime.create_sandbox(node.sandbox(1, ip="", host_network=True))
    await node.runtime.start_container(node.container(1, *SLEEP))
    _, links = await node.command(1, "ip", "-o", "-4", "address")
    assert "192.0.2.1/32" in links
    assert node.links() == []


async def test_a_bad_address_leaves_nothing(node: Node) -> None:
    with pytest.raises(RuntimeFault, match="IPv4 address without a mask"):
        await node.runtime.create_sandbox(node.sandbox(1, ip="10.244.9.1/24"))
    assert await node.runtime.list_sandboxes() == ()


# ---- containers


async def test_output_goes_to_the_log_and_the_exit_code_into_the_state(node: Node) -> None:
    await started(node, 1, "sh", "-c", "echo out; echo err >&2; printf tail; exit 3")
    state = await node.ended(1)
    assert (state.exit_code, state.oom, state.image) == (3, False, "seamark.local/host")
    assert 0 < state.started <= state.finished
    assert sorted(node.log(1)) == ["stderr F err", "stdout F out", "stdout F tail"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, 137)])
async def test_signals(node: Node, number: int, code: int) -> None:
    # as process 1 a program gets only the signals it handles, and SIGKILL
    script = "import signal,os\nsignal.signal(15, lambda *_: os._exit(143))\nprint('up', flush=True)\nsignal.pause()"
    await started(node, 1, sys.executable, "-c", script)
    client_log = node.directory / "1-main.log"
    while "up" not in client_log.read_text():
        await node.command(1, "true")
    await node.runtime.signal_container(node.uid(1), "main", number)
    assert (await node.ended(1)).exit_code == code


async def test_restarts_get_a_fresh_root_and_two_attempts_are_remembered(node: Node) -> None:
    await node.runtime.create_sandbox(node.sandbox(1))
    for attempt in range(3):
        script = "test -e /left-here && exit 9; touch /left-here"
        await node.runtime.start_container(node.container(1, "sh", "-c", script, attempt=attempt))
        assert (await node.ended(1, attempt=attempt)).exit_code == 0
    state = await node.runtime.state(node.uid(1))
    assert state
    assert [c.attempt for c in state.containers] == [1, 2]


async def test_containers_of_a_pod_share_network_hostname_and_ipc(node: Node) -> None:
    await started(node, 1)
    script = "for n in net uts ipc pid; do readlink /proc/self/ns/$n; done"
    await node.runtime.start_container(node.container(1, "sh", "-c", script, name="other"))
    await node.ended(1, "other")
    theirs = [line.removeprefix("stdout F ") for line in node.log(1, "other")]
    _, ours = await node.command(1, "sh", "-c", script)
    assert theirs[:3] == ours.splitlines()[:3]
    assert theirs[3] != ours.splitlines()[3]


async def test_starting_twice_starts_once(node: Node) -> None:
    await started(node, 1, "sh", "-c", "echo once; sleep 600")
    await node.runtime.create_sandbox(node.sandbox(1))
    await node.runtime.start_container(node.container(1, "sh", "-c", "echo twice"))
    await node.runtime.start_container(node.container(1, "true", attempt=1, name="other"))
    await node.ended(1, "other", 1)
    assert node.log(1) == ["stdout F once"]


async def test_mounts_and_private_root(node: Node, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (tmp_path / "hosts").write_text("here\n")
    mounts = (
        Mount(str(shared), "/data"),
        Mount(str(tmp_path / "hosts"), "/etc/hosts", read_only=True),
        Mount("", "/cache", kind="tmpfs"),
    )
    script = (
        "cat /etc/hosts; echo x >/data/x; echo y >/etc/hosts && exit 1; echo z >/usr/z; touch /cache/c;"
        f" ls {tmp_path} | wc -l; test -w /proc/sys/kernel/hostname && exit 2; ls /usr/z"
    )
    await node.runtime.create_sandbox(node.sandbox(1))
    await node.runtime.start_container(node.container(1, "sh", "-c", script, mounts=mounts))
    state = await node.ended(1)
    log = [line for line in node.log(1) if line.startswith("stdout")]
    assert (state.exit_code, log) == (0, ["stdout F here", "stdout F 0", "stdout F /usr/z"]), node.log(1)
    assert (shared / "x").read_text() == "x\n"


async def test_a_tmpfs_with_a_source_is_shared_by_the_pods_containers(node: Node, tmp_path: Path) -> None:
    source = tmp_path / "memory"
    source.mkdir()
    mounts = (Mount(str(source), "/m", kind="tmpfs"),)
    await node.runtime.create_sandbox(node.sandbox(1))
    await node.runtime.start_container(node.container(1, "sh", "-c", "echo hi >/m/x", mounts=mounts))
    await node.ended(1)
    await node.runtime.start_container(node.container(1, "cat", "/m/x", name="other", mounts=mounts))
    await node.ended(1, "other")
    assert node.log(1, "other") == ["stdout F hi"]
    assert list(source.iterdir()) == []


async def test_a_tmpfs_holds_no_more_than_its_size(node: Node, tmp_path: Path) -> None:
    source = tmp_path / "memory"
    source.mkdir()
    mounts = (Mount(str(source), "/m", kind="tmpfs", options="mode=2777,gid=5555,size=65536"),)
    script = "stat -c '%a %g' /m; head -c 100000 /dev/zero >/m/x; stat -c %s /m/x"
    await node.runtime.create_sandbox(node.sandbox(1))
    await node.runtime.start_container(node.container(1, "sh", "-c", script, mounts=mounts))
    await node.ended(1)
    assert [line for line in node.log(1) if line.startswith("stdout")] == ["stdout F 2777 5555", "stdout F 65536"]


async def test_privileged_has_what_this_process_may_give(node: Node) -> None:
    await node.runtime.create_sandbox(node.sandbox(1))
    await node.runtime.start_container(node.container(1, "sh", "-c", "grep CapEff /proc/self/status", privileged=True))
    await node.ended(1)
    status = subprocess.run(["grep", "CapBnd", "/proc/self/status"], capture_output=True, text=True).stdout  # noqa: ASYNC221
    assert node.log(1) == [f"stdout F CapEff:\t{status.split()[1]}"]


async def test_user_capabilities_and_read_only_root(node: Node) -> None:
    script = "id -u; id -g; id -G; grep CapEff /proc/self/status; touch /x 2>/dev/null || echo read-only"
    config = node.container(1, "sh", "-c", script, user=1000, group=1001, groups=(7,), read_only_root=True)
    await node.runtime.create_sandbox(node.sandbox(1))
    await node.runtime.start_container(config)
    await node.ended(1)
    lines = [line.removeprefix("stdout F ") for line in node.log(1)]
    assert lines == ["1000", "1001", "1001 7", "CapEff:\t0000000000000000", "read-only"]


@pytest.mark.skipif("memory" not in cgroups.read_layout().controllers, reason="nothing counts memory here")
async def test_memory_in_use_by_container(node: Node) -> None:
    script = "import time; held = bytearray(b'x' * (40 << 20)); print('held', flush=True); time.sleep(600)"
    await started(node, 1, sys.executable, "-c", script)
    await node.runtime.start_container(node.container(1, *SLEEP, name="small"))
    while node.log(1) != ["stdout F held"]:  # noqa: ASYNC110 - it is a file that says so
        await asyncio.sleep(0.01)
    used = await node.runtime.memory(node.uid(1))
    assert used["main"] > 40 << 20 > used["small"]
    assert await node.runtime.memory("nosuch") == {}


async def test_memory_limit_and_the_kernels_killer(node: Node) -> None:
    layout = cgroups.read_layout()
    if not layout.memory_events("x"):
        pytest.skip("no memory cgroup")
    hog = "x = bytearray(1 << 20)\nwhile True: x += bytes([1]) * (1 << 22)"
    await node.runtime.create_sandbox(node.sandbox(1))
    await node.runtime.start_container(node.container(1, sys.executable, "-c", hog, memory_bytes=40 << 20))
    state = await node.ended(1)
    assert (state.exit_code, state.oom) == (137, True)


@pytest.mark.parametrize("tty", [False, True])
async def test_a_container_that_cannot_start(node: Node, tty: bool) -> None:
    await node.runtime.create_sandbox(node.sandbox(1))
    with pytest.raises(RuntimeFault) as caught:
        await node.runtime.start_container(node.container(1, "nosuch", tty=tty))
    assert caught.value.reason == "RunContainerError"
    assert caught.value.message == 'exec: "nosuch": executable file not found in $PATH'
    assert (await node.ended(1)).exit_code == 128
    assert node.log(1) == []


async def test_a_layer_that_is_not_there(node: Node) -> None:
    await node.runtime.create_sandbox(node.sandbox(1))
    config = node.container(1, *SLEEP)
    with pytest.raises(RuntimeFault, match="mount overlay"):
        await node.runtime.start_container(replace(config, image=replace(config.image, rootfs=("/nonexistent",))))


async def test_a_container_with_a_terminal_and_an_open_input(node: Node) -> None:
    await node.runtime.create_sandbox(node.sandbox(1))
    await node.runtime.start_container(node.container(1, "sh", "-c", "tty; exit 4", tty=True))
    assert (await node.ended(1)).exit_code == 4
    assert node.log(1) == ["stdout F /dev/pts/0"]
    await node.runtime.start_container(node.container(1, "sh", "-c", "read x; echo end", name="closed"))
    await node.ended(1, "closed")
    await node.runtime.start_container(node.container(1, "sh", "-c", "echo on; read x", name="open", stdin=True))
    containers = await node.until(1, lambda all: any(c.name == "open" for c in all))
    assert {c.name: c.status for c in containers}["open"] == "running"


async def test_container_in_a_sandbox_that_is_not_there(node: Node) -> None:
    with pytest.raises(RuntimeFault, match="no live sandbox"):
        await node.runtime.start_container(node.container(1, "true"))
