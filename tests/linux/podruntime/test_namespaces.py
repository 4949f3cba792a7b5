"""What containers of a pod share with one another and with the machine, and what their seccomp profiles refuse."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from seamark.agent.volumefiles import write_files
from seamark.agent.volumes import File
from seamark.linux.runtime import RUNTIME_DEFAULT, Mount

pytestmark = [pytest.mark.net, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]
UNSHARE = ("unshare", "--uts", "true")


async def processes(node: Any, number: int, name: str = "main") -> list[str]:
    """The commands a container sees, process 1 first."""
    script = 'for p in /proc/[0-9]*; do echo "${p#/proc/} $(tr "\\0" " " <$p/cmdline)"; done'
    command = ("sh", "-c", script)
    code, output = await node.runtime.probe_exec(node.uid(number), name, command, timeout=20)
    assert code == 0
    lines = sorted(output.decode().splitlines(), key=lambda line: int(line.split()[0]))
    return [line.partition(" ")[2] for line in lines]


async def test_containers_that_share_processes(node: Any) -> None:
    await node.runtime.create_sandbox(node.sandbox(1, share_pid=True))
    await node.runtime.start_container(node.container(1, "sleep", "601"))
    await node.runtime.start_container(node.container(1, "sleep", "602", name="side"))
    seen = await processes(node, 1)
    assert {"sleep 601 ", "sleep 602 "} <= set(seen)
    assert seen[0].strip() == "pause"  # process 1 is the pod's
    assert await node.command(1, "ls", "/proc/1/root") != (0, "")  # and shows nothing of the machine
    await node.runtime.signal_container(node.uid(1), "side", 9)
    assert (await node.ended(1, "side")).exit_code == 137
    assert "sleep 602 " not in await processes(node, 1)


async def test_orphans_of_a_shared_pod_are_reaped(node: Any) -> None:
    await node.runtime.create_sandbox(node.sandbox(1, share_pid=True))
    await node.runtime.start_container(node.container(1, "sleep", "600"))
    await node.command(1, "sh", "-c", "(sleep 0.01 &) ; sleep 0.2")
    code, states = await node.command(1, "sh", "-c", "cat /proc/[0-9]*/stat | cut -d' ' -f3")
    assert code == 0
    assert "Z" not in states.split()


async def test_the_end_of_process_1_is_the_end_of_the_pod(node: Any) -> None:
    await node.runtime.create_sandbox(node.sandbox(1, share_pid=True))
    await node.runtime.start_container(node.container(1, "sleep", "600"))
    state = json.loads((node.directory / "pods" / node.uid(1) / "sandbox" / "state.json").read_text())
    changes = node.runtime.changes()
    os.kill(state["holder"], 9)
    while (await node.runtime.state(node.uid(1))).alive:
        await anext(changes)


async def test_a_container_that_looks_at_another(node: Any) -> None:
    await node.runtime.create_sandbox(node.sandbox(1))
    await node.runtime.start_container(node.container(1, "sleep", "601"))
    await node.runtime.start_container(node.container(1, "sleep", "602", name="debugger", target="main"))
    assert (await processes(node, 1, "debugger"))[:1] == ["sleep 601 "]
    assert "sleep 602 " in await processes(node, 1)


async def test_the_machines_processes_and_ipc(node: Any) -> None:
    await node.runtime.create_sandbox(node.sandbox(1, host_pid=True, host_ipc=True))
    await node.runtime.start_container(node.container(1, "sleep", "600"))
    for kind in ("pid", "ipc"):
        code, shown = await node.command(1, "readlink", f"/proc/self/ns/{kind}")
        assert (code, shown.strip()) == (0, os.readlink(f"/proc/self/ns/{kind}"))
    await node.runtime.signal_container(node.uid(1), "main", 9)
    await node.ended(1)


async def test_shared_memory_is_the_pods(node: Any) -> None:
    await node.runtime.create_sandbox(node.sandbox(1))
    for name in ("main", "side"):
        await node.runtime.start_container(node.container(1, "sleep", "600", name=name))
    await node.command(1, "sh", "-c", "echo shared > /dev/shm/x")
    code, text = await node.runtime.probe_exec(node.uid(1), "side", ("cat", "/dev/shm/x"), timeout=20)
    assert (code, text) == (0, b"shared\n")


async def test_sysctls_of_the_pods_own_namespaces(node: Any) -> None:
    given = (("net.ipv4.ip_local_port_range", "2000\t3000"), ("kernel.shm_rmid_forced", "1"))
    await node.runtime.create_sandbox(node.sandbox(1, sysctls=given))
    await node.runtime.start_container(node.container(1, "sleep", "600"))
    for name, value in given:
        assert await node.command(1, "cat", "/proc/sys/" + name.replace(".", "/")) == (0, value + "\n")
    assert Path("/proc/sys/kernel/shm_rmid_forced").read_text() == "0\n"  # noqa: ASYNC240 - the machine's is as it was


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, 0),
        ({"seccomp": RUNTIME_DEFAULT, "capabilities_add": ("SYS_ADMIN",)}, 0),
        ({"seccomp": RUNTIME_DEFAULT, "privileged": True}, 0),
    ],
    ids=["none", "with the capability", "privileged"],
)
async def test_a_new_namespace_is_allowed(node: Any, changes: dict[str, Any], code: int) -> None:
    await node.runtime.create_sandbox(node.sandbox(1))
    granted = {"capabilities_add": ("SYS_ADMIN",)} | changes
    await node.runtime.start_container(node.container(1, "sleep", "600", **granted))
    assert (await node.command(1, *UNSHARE))[0] == code


async def test_the_default_profile_filters_and_lets_programs_run(node: Any) -> None:
    await node.runtime.create_sandbox(node.sandbox(1))
    await node.runtime.start_container(node.container(1, "sleep", "600", seccomp=RUNTIME_DEFAULT))
    assert await node.command(1, "sh", "-c", "grep -w Seccomp: /proc/self/status; ls / | grep -c usr") == (
        0,
        "Seccomp:\t2\n1\n",
    )
    code, _ = await node.command(1, "unshare", "--user", "true")  # needs no capability: only the filter refuses it
    assert code != 0


async def test_a_profile_of_the_users(node: Any, tmp_path: Path) -> None:
    profile = tmp_path / "no-mkdir.json"
    refused = {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}
    profile.write_text(json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [refused]}))
    await node.runtime.create_sandbox(node.sandbox(1))
    await node.runtime.start_container(node.container(1, "sleep", "600", seccomp=str(profile)))
    code, output = await node.command(1, "mkdir", "/tmp/x")
    assert code != 0
    assert "Operation not permitted" in output


async def test_what_is_kept_in_memory_is_seen_by_the_pod_alone(node: Any, tmp_path: Path) -> None:
    place = tmp_path / "secret"
    await node.runtime.create_sandbox(node.sandbox(1, memory=(str(place),)))
    inside = await node.runtime.inside(node.uid(1), place)
    write_files(inside, {"key": File(b"s3cret")}, stamp="one", group=None)
    mounts = (Mount(str(place), "/secret", read_only=True),)
    await node.runtime.start_container(node.container(1, "sleep", "600", mounts=mounts))
    assert await node.command(1, "sh", "-c", "cat /secret/key; stat -f -c ' %T' /secret") == (0, "s3cret tmpfs\n")
    write_files(inside, {"key": File(b"renewed")}, stamp="two", group=None)
    assert await node.command(1, "cat", "/secret/key") == (0, "renewed")
    assert os.listdir(place) == []
