"""Other machines than this one, imitated in a mount namespace: cgroups v2, no cgroups, a disk that is an overlay."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from seamark.linux import cgroups

NAME = f"uid-m{os.getpid()}"  # cgroups are named after it, and tests run side by side
pytestmark = [pytest.mark.net, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

POD = """
import asyncio, logging, os, sys
from pathlib import Path
from seamark.linux.clock import SystemClock
from seamark.linux.podruntime import PodRuntime, remove_all
from seamark.linux.runtime import ContainerConfig, Image, SandboxConfig

UID = os.environ["POD_UID"]

async def main(directory, pin):
    logging.basicConfig(format="%(message)s", stream=sys.stdout)
    runtime = PodRuntime(state_dir=directory, node_namespace=pin, clock=SystemClock())
    try:
        await runtime.create_sandbox(SandboxConfig(UID, "default", "pod", "pod", "10.244.9.9"))
        image = Image("seamark.local/host", "sha256:0", ("/",))
        config = ContainerConfig(UID, "main", 0, image, ("sleep", "600"), (), str(directory / "log"))
        await runtime.start_container(config)
        command = ("sh", "-c", "touch /tmp/x && hostname")
        code, output = await runtime.probe_exec(UID, "main", command, timeout=20)
        print(code, output.decode().strip())
        await runtime.remove_sandbox(UID)
        await runtime.close()
    finally:
        await remove_all(directory, pin)

asyncio.run(main(*map(Path, sys.argv[1:])))
"""
HOST = """
import asyncio, os, subprocess, sys
from pathlib import Path
from seamark.linux.clock import SystemClock
from seamark.linux.podruntime import PodRuntime, remove_all
from seamark.linux.runtime import ContainerConfig, Image, SandboxConfig

def show(*command):
    return subprocess.run(command, capture_output=True, text=True).stdout

def settings():
    files = sorted(Path("/proc/sys/net").rglob("*forward*")) + sorted(Path("/proc/sys/net").rglob("rp_filter"))
    return {str(file): file.read_text() for file in files}

UID = os.environ["POD_UID"]

async def main(directory):
    before = settings(), show("ip", "link"), show("ip", "route"), show("ip", "neighbour")
    runtime = PodRuntime(state_dir=directory, node_namespace=None, clock=SystemClock())
    try:
        for number in (1, 2):
            uid = f"{UID}-{number}"
            await runtime.create_sandbox(SandboxConfig(uid, "default", "pod", "pod", f"10.244.9.{number}"))
        image = Image("seamark.local/host", "sha256:0", ("/",))
        config = ContainerConfig(f"{UID}-1", "main", 0, image, ("sleep", "600"), (), str(directory / "log"))
        await runtime.start_container(config)
        code, output = await runtime.probe_exec(f"{UID}-1", "main", ("ping", "-c1", "-W2", "10.244.9.2"), timeout=20)
        print("pod to pod", code)
        changed = {path for path, text in settings().items() if before[0].get(path, text) != text}
        print("changed", sorted(changed))
        await runtime.close()
    finally:
        await remove_all(directory, None)
    print("as before", (settings(), show("ip", "link"), show("ip", "route"), show("ip", "neighbour")) == before)

asyncio.run(main(Path(sys.argv[1])))
"""
NO_CGROUPS = "umount -a -t cgroup,cgroup2; umount /sys/fs/cgroup 2>/dev/null"
UNIFIED = f"{NO_CGROUPS}; mount -t cgroup2 none /sys/fs/cgroup"
WARNING = "no cgroups are mounted on this machine: pods run without memory and cpu limits"


def run_on(machine: str, directory: Path, pin: Path, *, after: str = "true") -> list[str]:
    """The program's output on a machine changed by the commands ``machine``, and what ``after`` prints."""
    script = f'{machine}\n"$0" -c "$1" "$2" "$3" || exit 1\n{after}\n'
    argv = ["unshare", "--mount", "sh", "-c", script, sys.executable, POD, str(directory), str(pin)]
    result = subprocess.run(argv, capture_output=True, text=True, timeout=50, env={**os.environ, "POD_UID": NAME})
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def test_without_cgroups_pods_run_and_it_is_said_once(tmp_path: Path, pin: Path) -> None:
    after = f"mount -t cgroup2 none /sys/fs/cgroup; ls -d /sys/fs/cgroup/seamark-{NAME} 2>&1 | grep -c cannot"
    assert run_on(NO_CGROUPS, tmp_path / "nodes" / "n", pin, after=after) == [WARNING, "0 pod", "1"]


def test_unified_cgroups(tmp_path: Path, pin: Path) -> None:
    assert run_on(UNIFIED, tmp_path / "nodes" / "n", pin) == ["0 pod"]
    assert not [mount for mount in cgroups.read_layout().mounts if Path(mount, f"seamark-{NAME}").exists()]


def test_a_data_directory_on_an_overlay_gets_its_upper_layers_in_memory(tmp_path: Path, pin: Path) -> None:
    for name in ("lower", "upper", "work", "data"):
        (tmp_path / name).mkdir()
    layers = f"lowerdir={tmp_path}/lower,upperdir={tmp_path}/upper,workdir={tmp_path}/work"
    machine = f"mount -t overlay overlay -o {layers} {tmp_path}/data"
    assert run_on(machine, tmp_path / "data" / "nodes" / "n", pin) == ["0 pod"]


def test_a_node_that_is_the_machine_itself_keeps_its_settings(tmp_path: Path) -> None:
    """The machine is a namespace of the test's own here, with forwarding off."""
    script = 'ip link set lo up; exec "$0" -c "$1" "$2"'
    argv = ["unshare", "--mount", "--net", "sh", "-c", script, sys.executable, HOST, str(tmp_path / "nodes" / "n")]
    result = subprocess.run(argv, capture_output=True, text=True, timeout=50, env={**os.environ, "POD_UID": NAME})
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == ["pod to pod 0", "changed []", "as before True"]
