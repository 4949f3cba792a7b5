"""Pods that really run: network, logs, commands, ends, restarts of everything but the pod."""

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
from seamark.linux.podruntime import remove_all
from seamark.linux.podruntime.connection import SupervisorError, connect
from seamark.linux.podruntime.network import link_name
from seamark.linux.process import kill_exactly, start_time
from seamark.linux.runtime import Mount, RuntimeFault
from seamark.machinery.streams import TerminalSize

if TYPE_CHECKING:
    from tests.linux.podruntime.conftest import Client, Node

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


# ---- commands


async def test_exec_carries_input_outputs_and_exit_code(node: Node, client: type[Client]) -> None:
    await started(node, 1)
    io = client(b"one\n", b"two\n")
    code = await node.runtime.exec(
        node.uid(1), "main", ("sh", "-c", "cat; echo err >&2; exit 7"), io=io, tty=False, stdin=True
    )
    assert (code, io.out, io.err) == (7, b"one\ntwo\n", b"err\n")


async def test_exec_delivers_every_byte(node: Node, client: type[Client]) -> None:
    await started(node, 1)
    data = os.urandom(3 << 20)
    io = client(*(data[at : at + 50_000] for at in range(0, len(data), 50_000)))
    assert await node.runtime.exec(node.uid(1), "main", ("cat",), io=io, tty=False, stdin=True) == 0
    assert io.out == data


async def test_exec_does_not_wait_for_a_child_in_the_background(node: Node, client: type[Client]) -> None:
    await started(node, 1)
    io = client()
    command = ("sh", "-c", "sleep 600 & echo done")
    assert await node.runtime.exec(node.uid(1), "main", command, io=io, tty=False, stdin=False) == 0
    assert io.out == b"done\n"


async def test_exec_on_a_terminal_with_resize(node: Node, client: type[Client]) -> None:
    await started(node, 1)
    io = client(b"stty size; tty; exit 5\n", closes=False)
    io.sizes.put_nowait(TerminalSize(width=123, height=45))
    code = await node.runtime.exec(node.uid(1), "main", ("sh",), io=io, tty=True, stdin=True)
    assert code == 5
    assert b"45 123\r\n/dev/pts/0\r\n" in io.out
    assert io.err == b""


async def test_exec_of_what_does_not_exist(node: Node, client: type[Client]) -> None:
    await started(node, 1)
    for tty in (False, True):
        with pytest.raises(RuntimeFault) as caught:
            await node.runtime.exec(node.uid(1), "main", ("nosuch",), io=client(), tty=tty, stdin=False)
        assert (caught.value.reason, caught.value.message) == (
            "StartError",
            'exec: "nosuch": executable file not found in $PATH',
        )


async def test_a_command_dies_with_its_client(node: Node, client: type[Client]) -> None:
    await started(node, 1)
    io = client(closes=False)
    running = asyncio.create_task(
        node.runtime.exec(node.uid(1), "main", ("sh", "-c", "echo $$; sleep 600; true"), io=io, tty=False, stdin=True)
    )
    await io.shown(b"\n")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    for _ in range(100):
        code, _ = await node.command(1, "kill", "-0", io.out.decode().strip())
        if code != 0:
            break
    assert code != 0
    # the container's own is left; the other may stay a zombie, for process 1 here is no reaper
    assert (await node.command(1, "sh", "-c", "ps -eo stat,comm | grep -c '^[^Z].*sleep'"))[1] == "1\n"


async def test_a_command_in_a_container_that_ended(node: Node, client: type[Client]) -> None:
    await started(node, 1, "true")
    await node.ended(1)
    with pytest.raises(RuntimeFault, match="not running"):
        await node.runtime.exec(node.uid(1), "main", ("true",), io=client(), tty=False, stdin=False)


async def test_a_container_that_ends_takes_its_commands_along(node: Node, client: type[Client]) -> None:
    await started(node, 1)
    io = client(closes=False)
    command = ("sh", "-c", "echo up; sleep 600")
    running = asyncio.create_task(node.runtime.exec(node.uid(1), "main", command, io=io, tty=False, stdin=True))
    await io.shown(b"up")
    await node.runtime.signal_container(node.uid(1), "main", signal.SIGKILL)
    assert await running == 137


async def test_probe_output_is_limited_and_late_ones_are_killed(node: Node) -> None:
    await started(node, 1)
    code, output = await node.runtime.probe_exec(node.uid(1), "main", ("seq", "100000"), timeout=20)
    assert (code, len(output)) == (0, 10 * 1024)
    with pytest.raises(TimeoutError, match=r"'sleep' timed out after 0\.05 seconds"):
        await node.runtime.probe_exec(node.uid(1), "main", ("sleep", "300"), timeout=0.05)


# ---- what outlives what

OWNER = """
import asyncio, sys
from pathlib import Path
from seamark.linux.clock import SystemClock
from seamark.linux.podruntime import PodRuntime
from seamark.linux.runtime import ContainerConfig, Image, SandboxConfig

async def main(directory, pin, uid):
    runtime = PodRuntime(state_dir=Path(directory), node_namespace=Path(pin), clock=SystemClock())
    await runtime.create_sandbox(SandboxConfig(uid, "default", "pod-1", "pod-1", "10.244.9.1"))
    image = Image("seamark.local/host", "sha256:0", ("/",))
    script = "trap 'echo bye; exit 6' TERM; echo up; while :; do sleep 0.05; done"
    argv = ("sh", "-c", script)
    await runtime.start_container(ContainerConfig(uid, "main", 0, image, argv, (), directory + "/1-main.log"))
    print("started", flush=True)
    await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


async def test_kill_of_the_owner_kills_no_pod_and_a_new_one_adopts_it(node: Node) -> None:
    owner = subprocess.Popen(  # noqa: ASYNC220  read and killed at once
        [sys.executable, "-c", OWNER, str(node.directory), str(node.pin), node.uid(1)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout
    with owner.stdout:
        assert owner.stdout.readline() == "started\n"
        owner.kill()
        owner.wait()
    (state,) = await node.runtime.list_sandboxes()
    assert state.alive
    assert state.config == node.sandbox(1)
    assert [(c.name, c.status) for c in state.containers] == [("main", "running")]
    assert await node.command(1, "hostname") == (0, "pod-1\n")
    await node.runtime.signal_container(node.uid(1), "main", signal.SIGTERM)
    assert (await node.ended(1)).exit_code == 6
    assert node.log(1) == ["stdout F up", "stdout F bye"]


async def test_what_ended_while_nobody_looked_is_known_afterwards(node: Node) -> None:
    await started(node, 1, "sh", "-c", "read x </dev/null; exit 8")
    await node.runtime.close()
    node.runtime = node.new_runtime()
    assert (await node.ended(1)).exit_code == 8


async def test_a_pod_whose_supervisor_died_is_not_alive_and_can_be_made_again(node: Node) -> None:
    await started(node, 1)
    container = (await node.until(1, bool))[0]
    supervisor = int((await asyncio.to_thread(_supervisors, node.directory))[0])
    changes = node.runtime.changes()
    assert kill_exactly(supervisor, start_time(supervisor))
    assert await anext(changes) == node.uid(1)
    (state,) = await node.runtime.list_sandboxes()
    assert not state.alive
    await started(node, 1)
    assert start_time(container.pid) == 0
    (state,) = await node.runtime.list_sandboxes()
    assert state.alive
    assert await node.command(1, "true") == (0, "")


def _supervisors(directory: Path) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if b"seamark.linux.supervisor" in command and str(directory).encode() in command:
            found.append(process.name)
    return found


async def test_a_request_that_makes_no_sense_harms_nobody(node: Node) -> None:
    await started(node, 1)
    connection = connect(node.directory / f"pods/{node.uid(1)}/sandbox", lambda: None)
    assert connection
    for op, fields in (("fly", {}), ("start", {}), ("exec", {"process": {}}), ("signal", {})):
        with pytest.raises(SupervisorError):
            await connection.request(op, **fields)
    connection.close()
    with pytest.raises(ConnectionResetError):
        await connection.request("stop")
    assert await node.command(1, "true") == (0, "")


async def test_without_runc_the_pod_says_what_to_install(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seamark.linux.podruntime.podruntime.shutil.which", lambda *_, **__: None)
    with pytest.raises(RuntimeFault, match="apt-get install runc"):
        await node.new_runtime().create_sandbox(node.sandbox(1))


# ---- removal


async def test_removing_a_pod_takes_everything_but_the_log(node: Node) -> None:
    await started(node, 1)
    await started(node, 2)
    pids = [(await node.until(n, bool))[0].pid for n in (1, 2)]
    await node.runtime.remove_sandbox(node.uid(1))
    assert [start_time(pid) != 0 for pid in pids] == [False, True]
    assert node.links() == [link_name(node.uid(2))]
    assert not (node.directory / f"pods/{node.uid(1)}").exists()
    assert (node.directory / "1-main.log").exists()
    await node.runtime.remove_sandbox(node.uid(1))
    await node.runtime.remove_sandbox("never-was")
    assert [s.config.uid for s in await node.runtime.list_sandboxes()] == [node.uid(2)]


async def test_removal_spares_the_agents_files(node: Node) -> None:
    await started(node, 1)
    kept = node.directory / f"pods/{node.uid(1)}/volumes/v"
    kept.mkdir(parents=True)
    await node.runtime.remove_sandbox(node.uid(1))
    assert kept.exists()
    assert await node.runtime.list_sandboxes() == ()
    (node.directory / f"pods/{node.uid(1)}/volumes/v").rmdir()
    (node.directory / f"pods/{node.uid(1)}/volumes").rmdir()
    (node.directory / f"pods/{node.uid(1)}").rmdir()


async def test_remove_all_works_with_nobody_alive_and_twice(node: Node) -> None:
    await started(node, 1)
    await started(node, 2, "sh", "-c", "sleep 600 & sleep 600")
    pids = [(await node.until(n, bool))[0].pid for n in (1, 2)]
    supervisor = int(_supervisors(node.directory)[0])
    kill_exactly(supervisor, start_time(supervisor))
    await node.runtime.close()
    for _ in range(2):
        await remove_all(node.directory, node.pin)
        assert [start_time(pid) for pid in pids] == [0, 0]
        assert node.links() == []
        assert _supervisors(node.directory) == []
    # and the fixture compares mounts, cgroups and files


async def test_traces_of_a_reboot_are_cleaned(node: Node) -> None:
    await started(node, 1)
    sandbox = node.directory / f"pods/{node.uid(1)}/sandbox"
    texts = {name: (sandbox / name).read_text() for name in ("sandbox.json", "state.json")}
    await node.runtime.remove_sandbox(node.uid(1))
    sandbox.mkdir(parents=True)
    for name, text in texts.items():
        (sandbox / name).write_text(text)
    (state,) = await node.runtime.list_sandboxes()
    assert (state.alive, state.config) == (False, node.sandbox(1))
    await node.runtime.remove_sandbox(node.uid(1))
    assert await node.runtime.list_sandboxes() == ()


@pytest.mark.parametrize("uid", ["", "..", "a/b"])
async def test_a_uid_is_one_directory(node: Node, uid: str) -> None:
    with pytest.raises(RuntimeFault, match="no name of a directory"):
        await node.runtime.create_sandbox(replace(node.sandbox(1), uid=uid))
