"""Where a pod's things lie below the node's state directory, and how its state is written there.

``state_dir/pods/UID/sandbox/`` is all ours and goes as a whole; the rest of ``pods/UID`` (volumes, files, logs) is
the agent's. Pure.

    sandbox.json   what the supervisor was started with     state.json   what it knows, after each change
    socket         where it listens                         runc/        runc's own state
    containers/NAME/ATTEMPT/{config.json,private/{upper,work},rootfs}
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from seamark.linux.runtime import ContainerState, HostPort, SandboxConfig, SandboxState


def pods_directory(state_dir: Path) -> Path:
    return state_dir / "pods"


def sandbox_directory(state_dir: Path, uid: str) -> Path:
    return pods_directory(state_dir) / uid / "sandbox"


def key_of(name: str, attempt: int) -> str:
    return f"{name}-{attempt}"


def bundle_directory(sandbox: Path, name: str, attempt: int) -> Path:
    return sandbox / "containers" / name / str(attempt)


def render_config(config: SandboxConfig) -> dict[str, Any]:
    return asdict(config)


def parse_config(data: dict[str, Any]) -> SandboxConfig:
    known = {name: data[name] for name in SandboxConfig.__slots__ if name in data}
    ports = tuple(HostPort(**port) for port in known.pop("host_ports", ()))
    sysctls = tuple((name, value) for name, value in known.pop("sysctls", ()))
    memory = tuple(known.pop("memory", ()))
    return SandboxConfig(**known, host_ports=ports, sysctls=sysctls, memory=memory)


def parse_container(data: dict[str, Any]) -> ContainerState:
    return ContainerState(**{name: data[name] for name in ContainerState.__slots__ if name in data})


def parse_state(config: SandboxConfig, data: dict[str, Any], *, alive: bool) -> SandboxState:
    """The newest attempt of each container and the one before it, oldest first."""
    containers = [parse_container(item) for item in data.get("containers", ())]
    newest: dict[str, int] = {}
    for container in containers:
        newest[container.name] = max(container.attempt, newest.get(container.name, 0))
    kept = tuple(c for c in containers if c.attempt >= newest[c.name] - 1)
    return SandboxState(config, float(data.get("created", 0.0)), alive, kept)
