"""Takes a pod off the machine, with its supervisor's help or without, and all pods of a node for ``seamark down``.

A supervisor that listens is asked first: it is the parent of what it ends. For what a crash, a kill -9 or a reboot
left, processes are found by the recorded pids (with their start times, so that a later process is never hit), by
runc's own records and by the pod's cgroups; mounts need no work, they end with the supervisor's mount namespace; the
link goes by its name.
"""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
from pathlib import Path
from typing import Any

from seamark.linux import cgroups
from seamark.linux.nft import NftError
from seamark.linux.podruntime.connection import Connection, SupervisorError, connect
from seamark.linux.podruntime.hostports import close_ports
from seamark.linux.podruntime.layout import pods_directory, sandbox_directory
from seamark.linux.podruntime.network import detach
from seamark.linux.process import kill_exactly, start_time
from seamark.linux.runtime import HostPort

log = logging.getLogger(__name__)

STOP_TIMEOUT = 15.0
GONE_TRIES = 500
GONE_PAUSE = 0.01


async def remove_all(state_dir: Path, node_namespace: Path | None) -> None:
    """Ends every pod of the node. Idempotent; works while no main process runs. The agent's files stay."""
    directory = pods_directory(state_dir)
    uids = [entry.name for entry in directory.iterdir()] if directory.is_dir() else []
    await asyncio.gather(*(remove_pod(state_dir, uid, node_namespace) for uid in uids))


async def remove_pod(
    state_dir: Path, uid: str, node_namespace: Path | None, *, connection: Connection | None = None
) -> None:
    """Idempotent. Takes over ``connection`` where there is one."""
    sandbox = sandbox_directory(state_dir, uid)
    connection = connection or connect(sandbox, lambda: None)
    if connection:
        try:
            await asyncio.wait_for(connection.request("stop"), STOP_TIMEOUT)
        except (OSError, SupervisorError, TimeoutError) as error:
            log.warning("pod uid=%s: supervisor did not stop: %s", uid, error)
        connection.close()
    if sandbox.is_dir():
        await _kill_processes(sandbox, uid)
    await _clear(state_dir, uid, node_namespace)


async def _clear(state_dir: Path, uid: str, node_namespace: Path | None) -> None:
    """What remains once no process does: link, cgroups, files."""
    sandbox = sandbox_directory(state_dir, uid)
    await _close_ports(sandbox, uid, node_namespace)
    await detach(uid, node=node_namespace)
    cgroups.remove_group(cgroups.read_layout(), cgroups.group_of(uid))
    try:
        await asyncio.to_thread(shutil.rmtree, sandbox, ignore_errors=True)
    except RuntimeError:  # not even a thread to be had
        shutil.rmtree(sandbox, ignore_errors=True)
    try:
        sandbox.parent.rmdir()
    except OSError:  # the agent's files are still there
        pass


async def _close_ports(sandbox: Path, uid: str, node_namespace: Path | None) -> None:
    ports = [HostPort(**port) for port in _read_json(sandbox / "sandbox.json").get("host_ports", ())]
    if not ports:
        return
    try:
        await close_ports(uid, ports, node=node_namespace)
    except (NftError, OSError) as error:
        log.warning("pod uid=%s: host ports not closed: %s", uid, error)


async def _kill_processes(sandbox: Path, uid: str) -> None:
    """The supervisor first, so that it starts nothing more; then its containers, until none is left."""
    layout = cgroups.read_layout()
    known = _recorded(sandbox)
    for _ in range(GONE_TRIES):
        for pid in cgroups.members(layout, cgroups.group_of(uid)):
            known.setdefault(pid, start_time(pid))
        known |= _recorded_by_runc(sandbox)
        alive = [pid for pid, started in known.items() if kill_exactly(pid, started)]
        if not alive:
            return
        await asyncio.sleep(GONE_PAUSE)


def _recorded(sandbox: Path) -> dict[int, int]:
    state = _read_json(sandbox / "state.json")
    found = {int(state["pid"]): int(state["start"])} if "pid" in state else {}
    for container in state.get("containers", ()):
        if "pid" in container and container.get("status") == "running":
            found[int(container["pid"])] = int(container["start"])
    return found


def _recorded_by_runc(sandbox: Path) -> dict[int, int]:
    states = [_read_json(path) for path in (sandbox / "runc").glob("*/state.json")]
    return {
        int(state["init_process_pid"]): int(state["init_process_start"])
        for state in states
        if state.get("init_process_pid")
    }


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}
