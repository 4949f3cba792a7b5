"""A container as an OCI runtime bundle: ``render_spec`` writes the ``config.json`` that runc reads. Pure.

Defaults are those of containerd, so that an image behaves as it does elsewhere: capabilities, masked and read-only
paths, device rules, mounts below /dev. Namespaces: mount (and cgroup with v2) are the container's; pid, too, unless the
pod shares one; network, ipc and uts are the pod's, which the container inherits from the supervisor, so they are not
named here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from seamark.linux.podruntime.seccomp import render_default_profile
from seamark.linux.runtime import RUNTIME_DEFAULT, ContainerConfig, Mount, RuntimeFault, SandboxConfig

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

DEFAULT_CAPABILITIES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
)
# capabilities(7), in the kernel's order: bit 0 first
ALL_CAPABILITIES = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
)
MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
)
READ_ONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


OWN_SHARED_MEMORY = Mount("", "/dev/shm", kind="tmpfs")


@dataclass(frozen=True, slots=True)
class User:
    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is not the container's own: the pod's hostname, the machine's cgroups, what a host image must not show."""

    hostname: str
    user: User
    cgroup_path: str = ""
    cgroup_version: str = "none"
    limits: frozenset[str] = frozenset()
    hidden: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ALL_CAPABILITIES
    processes: str | None = ""  # the namespace to join; empty for one of its own, None for the machine's
    shared_memory: Mount = OWN_SHARED_MEMORY
    seccomp: dict[str, Any] | None = None  # the profile read where the config names a file


def render_spec(config: ContainerConfig, around: Surroundings) -> dict[str, Any]:
    """``config.json`` for ``runc run``; the root is the bundle's ``rootfs``."""
    spec: dict[str, Any] = {
        "ociVersion": "1.0.2",
        "process": _process(config, around),
        "root": {"path": "rootfs", "readonly": config.read_only_root},
        "mounts": _mounts(config, around),
        "linux": {
            "namespaces": _namespaces(config, around),
            "resources": _resources(config, around),
            "maskedPaths": [] if config.privileged or config.unmasked_proc else list(MASKED_PATHS),
            "readonlyPaths": [] if config.privileged or config.unmasked_proc else list(READ_ONLY_PATHS),
        },
    }
    profile = _seccomp(config, around)
    if profile:
        spec["linux"]["seccomp"] = profile
    if around.cgroup_path:
        spec["linux"]["cgroupsPath"] = "/" + around.cgroup_path
    return spec


def render_exec(process: dict[str, Any], command: tuple[str, ...], *, tty: bool) -> dict[str, Any]:
    """The process section of a running container's spec, for another command in it."""
    env = [item for item in process["env"] if not (tty and item.startswith("TERM="))]
    return process | {"args": list(command), "terminal": tty, "env": env + (["TERM=xterm"] if tty else [])}


def parse_user(user: str, passwd: str, group: str) -> User:
    """The image's USER (``name``, ``uid``, ``name:group``, …) looked up in its own passwd and group files."""
    name, _, group_name = user.partition(":")
    if not name and not group_name:
        return User()
    accounts = [line.split(":") for line in passwd.splitlines() if line.count(":") >= 3]
    found = next((fields for fields in accounts if name in (fields[0], fields[2])), None)
    if found is None and not name.isdigit():
        raise RuntimeFault("CreateContainerConfigError", f"user {name!r} of the image is not in its /etc/passwd")
    uid = int(found[2]) if found else int(name)
    gid = int(found[3]) if found else 0
    groups = [line.split(":") for line in group.splitlines() if line.count(":") >= 3]
    if group_name:
        gid = _group_id(group_name, groups)
    login = found[0] if found else ""
    return User(uid, gid, tuple(int(g[2]) for g in groups if login and login in g[3].split(",")))


def _group_id(name: str, groups: list[list[str]]) -> int:
    match = next((fields for fields in groups if fields[0] == name), None)
    if match:
        return int(match[2])
    if not name.isdigit():
        raise RuntimeFault("CreateContainerConfigError", f"group {name!r} of the image is not in its /etc/group")
    return int(name)


def select_user(config: ContainerConfig, account: User) -> User:
    """``account``: that of the config's user, or else of the image's USER."""
    gid = account.gid if config.group is None else config.group
    inherited = () if config.only_given_groups else account.groups
    return User(account.uid, gid, tuple(sorted({*inherited, *config.groups})))


def parse_capabilities(status: str) -> tuple[str, ...]:
    """What this process may pass on at most: its bounding set (proc(5), status). A container gets no more than that,
    not a privileged one either: runc would fail to set it.
    """
    mask = next(int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapBnd:"))
    return tuple(name for bit, name in enumerate(ALL_CAPABILITIES) if mask >> bit & 1)


def select_capabilities(config: ContainerConfig, known: tuple[str, ...]) -> tuple[str, ...]:
    """The default set, ``drop`` before ``add``, ``ALL`` meaning every one; in the kernel's order."""
    if config.privileged:
        return known
    chosen = set(DEFAULT_CAPABILITIES)
    for name in config.capabilities_drop:
        chosen -= set(known) if name.upper() == "ALL" else {_capability(name)}
    for name in config.capabilities_add:
        chosen |= set(known) if name.upper() == "ALL" else {_capability(name)}
    return tuple(name for name in known if name in chosen)


def _capability(name: str) -> str:
    full = name.upper() if name.upper().startswith("CAP_") else "CAP_" + name.upper()
    if full not in ALL_CAPABILITIES:
        raise RuntimeFault("CreateContainerError", f'unknown capability "{full}" to add or drop')
    return full


def _process(config: ContainerConfig, around: Surroundings) -> dict[str, Any]:
    if not config.argv:
        raise RuntimeFault("CreateContainerError", "no command specified: neither the pod nor the image has one")
    user = around.user
    capabilities = list(select_capabilities(config, around.capabilities))
    effective = capabilities if user.uid == 0 else []
    env = dict(config.env)
    env = {"PATH": PATH, "HOSTNAME": around.hostname} | ({"TERM": "xterm"} if config.tty else {}) | env
    return {
        "terminal": config.tty,
        "user": {"uid": user.uid, "gid": user.gid, "additionalGids": list(user.groups)},
        "args": list(config.argv),
        "env": [f"{name}={value}" for name, value in env.items()],
        "cwd": config.working_dir or config.image.working_dir or "/",
        "capabilities": {
            "bounding": capabilities,
            "effective": effective,
            "permitted": effective,
            "inheritable": [],
        },
        "noNewPrivileges": config.no_new_privileges and not config.privileged,
    }


def _seccomp(config: ContainerConfig, around: Surroundings) -> dict[str, Any] | None:
    if config.privileged or not config.seccomp:
        return None
    if config.seccomp == RUNTIME_DEFAULT:
        return render_default_profile(select_capabilities(config, around.capabilities))
    return around.seccomp


def _namespaces(config: ContainerConfig, around: Surroundings) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [{"type": "mount"}]
    if around.processes is not None:
        found.append({"type": "pid"} | ({"path": around.processes} if around.processes else {}))
    if around.cgroup_version == "v2" and not config.privileged:
        found.append({"type": "cgroup"})
    return found


def select_processes(pod: SandboxConfig, config: ContainerConfig, state: dict[str, Any]) -> str | None:
    """The container's process namespace, as ``Surroundings.processes`` says it; ``state`` is the supervisor's."""
    if pod.host_pid:
        return None
    if pod.share_pid:
        return f"/proc/{int(state['holder'])}/ns/pid"
    if not config.target:
        return ""
    running = [c["pid"] for c in state["containers"] if c["name"] == config.target and c["status"] == "running"]
    if not running:
        raise RuntimeFault("CreateContainerError", f"container {config.name}: its target {config.target} does not run")
    return f"/proc/{int(running[-1])}/ns/pid"


def select_shared_memory(pod: SandboxConfig, directory: str) -> Mount:
    """/dev/shm, which goes with the ipc namespace: the machine's, or one for all containers of the pod."""
    if pod.host_ipc:
        return Mount("/dev/shm", "/dev/shm")
    return Mount(directory, "/dev/shm", kind="tmpfs", options="mode=1777,size=65536k")


def _mounts(config: ContainerConfig, around: Surroundings) -> list[dict[str, Any]]:
    access = "rw" if config.privileged else "ro"
    mounts = [
        _filesystem("/proc", "proc", "nosuid,noexec,nodev"),
        _filesystem("/dev", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"),
        _filesystem("/dev/pts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"),
        _bind(around.shared_memory, "nosuid", "noexec", "nodev"),
        _filesystem("/dev/mqueue", "mqueue", "nosuid,noexec,nodev"),
        _filesystem("/sys", "sysfs", f"nosuid,noexec,nodev,{access}"),
    ]
    if around.cgroup_version != "none":
        mounts.append(_filesystem("/sys/fs/cgroup", "cgroup", f"nosuid,noexec,nodev,relatime,{access}"))
    if config.image.rootfs == ("/",):  # the machine's own files: its run-time state and our data stay its own
        mounts.append(_filesystem("/run", "tmpfs", "nosuid,nodev,mode=755"))
        mounts += [_filesystem(path, "tmpfs", "nosuid,nodev,noexec,mode=555,size=64k") for path in around.hidden]
    mounts += [_bind(Mount(path, path, read_only=True)) for path in config.image.binds]
    return mounts + [_bind(mount) for mount in sorted(config.mounts, key=lambda mount: mount.target.count("/"))]


def _filesystem(target: str, kind: str, options: str) -> dict[str, Any]:
    return {"destination": target, "type": kind, "source": kind, "options": options.split(",")}


def _bind(mount: Mount, *more: str) -> dict[str, Any]:
    """A tmpfs with a source is one that the pod's containers share: the supervisor makes it there, once."""
    if mount.kind == "tmpfs" and not mount.source:
        return _filesystem(mount.target, "tmpfs", "nosuid,nodev,mode=1777" + (",ro" if mount.read_only else ""))
    options = ["rbind", "rprivate", "ro" if mount.read_only else "rw", *more]
    return {"destination": mount.target, "type": "bind", "source": mount.source, "options": options}


def _resources(config: ContainerConfig, around: Surroundings) -> dict[str, Any]:
    resources: dict[str, Any] = {"devices": _devices(privileged=config.privileged)}
    if config.memory_bytes and "memory" in around.limits:
        resources["memory"] = {"limit": config.memory_bytes}
    if config.cpu_millis and "cpu" in around.limits:
        resources["cpu"] = {"period": 100_000, "quota": max(config.cpu_millis * 100, 1000)}
    return resources


def _devices(*, privileged: bool) -> list[dict[str, Any]]:
    """runc itself always allows null, zero, full, random, urandom, tty, console, ptmx and pts."""
    if privileged:
        return [{"allow": True, "access": "rwm"}]
    return [{"allow": False, "access": "rwm"}]
