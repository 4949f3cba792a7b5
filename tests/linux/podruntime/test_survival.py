"""What outlives what: kills of everything but the pod and of everything, traces of a crash, and what removal takes."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from seamark.linux import cgroups
from seamark.linux.clock import SystemClock
from seamark.linux.podruntime import PodRuntime, remove_all
from seamark.linux.podruntime.connection import SupervisorError, connect
from seamark.linux.podruntime.network import link_name
from seamark.linux.process import kill_exactly, start_time
from seamark.linux.runtime import RuntimeFault

if TYPE_CHECKING:
    from tests.linux.podruntime.conftest import Node

pytestmark = [pytest.mark.net, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

SLEEP = ("sleep", "600")


async def started(node: Node, number: int, *argv: str) -> None:
    await node.runtime.create_sandbox(node.sandbox(number))
    await node.runtime.start_container(node.container(number, *(argv or SLEEP)))


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


# ---- kills in the middle


async def test_kill_of_runc_in_the_middle_is_a_failed_start_and_the_next_one_works(node: Node, tmp_path: Path) -> None:
    slow = tmp_path / "runc"
    slow.write_text(
        f'#!/bin/sh\necho $$ >> {tmp_path}/pids\ncase "$*" in *run*main-0) sleep 60;; esac\nexec runc "$@"\n'
    )
    slow.chmod(0o755)
    runtime = PodRuntime(state_dir=node.directory, node_namespace=node.pin, clock=SystemClock(), program=str(slow))
    node.restarts.append(runtime)
    await runtime.create_sandbox(node.sandbox(1))
    start = asyncio.create_task(runtime.start_container(node.container(1, *SLEEP)))
    pid = await asyncio.to_thread(_first_pid, tmp_path / "pids")
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(RuntimeFault, match="the OCI runtime failed") as caught:
        await start
    assert caught.value.reason == "RunContainerError"
    assert (await node.ended(1)).exit_code == 128
    await runtime.start_container(node.container(1, *SLEEP, attempt=1))
    assert await node.command(1, "true") == (0, "")


def _first_pid(file: Path) -> int:
    for _ in range(2000):
        if file.exists() and file.read_text().endswith("\n"):
            return int(file.read_text().split()[0])
        time.sleep(0.005)
    raise AssertionError("runc was never started")


async def test_kill_of_a_container_is_seen_at_once(node: Node) -> None:
    await started(node, 1)
    (container,) = await node.until(1, bool)
    os.kill(container.pid, signal.SIGKILL)
    ended = await node.ended(1)
    assert (ended.exit_code, ended.oom) == (137, False)


# ---- a machine that is at its limits

LIMITED = """
import asyncio, os, sys
from pathlib import Path
from seamark.linux.clock import SystemClock
from seamark.linux.podruntime import PodRuntime, remove_all
from seamark.linux.runtime import ContainerConfig, Image, RuntimeFault, SandboxConfig

UID, IMAGE = os.environ["POD_UID"], Image("seamark.local/host", "sha256:0", ("/",))

def container(name, directory):
    return ContainerConfig(UID, name, 0, IMAGE, ("sleep", "600"), (), str(directory / f"{name}.log"))

async def attempt(what, work):
    try:
        print(what, await work, flush=True)
    except RuntimeFault as fault:
        print(what, fault.reason, flush=True)

async def full_disk(runtime, directory):
    await runtime.start_container(container("main", directory))
    with open(directory / "filler", "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    await attempt("exec", runtime.probe_exec(UID, "main", ("echo", "runs"), timeout=20))
    await attempt("start", runtime.start_container(container("second", directory)))
    (directory / "filler").unlink()
    await attempt("again", runtime.start_container(container("third", directory)))
    await runtime.signal_container(UID, "main", 9)

async def no_pids(runtime, directory):
    limit = Path(os.environ["PIDS"], "pids.max")
    await runtime.start_container(container("main", directory))
    limit.write_text(Path(os.environ["PIDS"], "pids.current").read_text())
    await attempt("start", runtime.start_container(container("second", directory)))
    await attempt("sandbox", runtime.create_sandbox(SandboxConfig(UID + "b", "default", "b", "b", "10.244.9.8")))
    limit.write_text("max")
    await attempt("again", runtime.start_container(container("third", directory)))

async def main(story, directory, pin):
    runtime = PodRuntime(state_dir=directory, node_namespace=pin, clock=SystemClock())
    try:
        await runtime.create_sandbox(SandboxConfig(UID, "default", "pod", "pod", "10.244.9.9"))
        await globals()[story](runtime, directory)
        await runtime.close()
    finally:
        await remove_all(directory, pin)

asyncio.run(main(sys.argv[1], *map(Path, sys.argv[2:])))
"""


def limited(story: str, before: str, directory: Path, pin: Path, **environment: str) -> list[str]:
    """What the story printed, on a machine changed by the command ``before``."""
    script = f'{before} && exec "$0" -c "$1" {story} "$2" "$3"'
    argv = ["unshare", "--mount", "sh", "-c", script, sys.executable, LIMITED, str(directory), str(pin)]
    own = {**os.environ, "POD_UID": f"uid-l{os.getpid()}", **environment}
    done = subprocess.run(argv, capture_output=True, text=True, timeout=50, env=own)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_full_disk(tmp_path: Path, pin: Path) -> None:
    """Commands run on; a container cannot start and says so; it can as soon as there is room."""
    directory = tmp_path / "data" / "nodes" / "n"
    (tmp_path / "data").mkdir()
    before = f"mount -t tmpfs -o size=4m none {tmp_path}/data && mkdir -p {directory}"
    assert limited("full_disk", before, directory, pin) == [
        "exec (0, b'runs\\n')",
        "start CreateContainerError",
        "again None",
    ]


@pytest.mark.skipif("pids" not in cgroups.read_layout().controllers, reason="nothing counts processes here")
def test_out_of_process_ids(tmp_path: Path, pin: Path) -> None:
    group = Path(cgroups.read_layout().controllers["pids"], f"seamark-test-{os.getpid()}")
    group.mkdir()
    try:
        before = f"echo $$ > {group}/cgroup.procs"
        told = limited("no_pids", before, tmp_path / "nodes" / "n", pin, PIDS=str(group))
        assert told == ["start RunContainerError", "sandbox FailedCreatePodSandBox", "again None"]
    finally:
        group.rmdir()
