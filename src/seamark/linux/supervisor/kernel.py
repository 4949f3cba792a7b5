"""The supervisor's system calls: namespaces, mounts, and what /proc says about a process."""

from __future__ import annotations

import ctypes
import os
import signal
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWNET = 0x20000, 0x4000000, 0x8000000, 0x40000000
CLONE_NEWPID = 0x20000000
MS_REC, MS_SLAVE, MNT_DETACH = 16384, 1 << 19, 2
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
NOBODY = 65535
RUN = "run"
"""What runc is handed and hands back lies in memory: a command can be run on a full disk."""

libc = ctypes.CDLL(None, use_errno=True)


def check(result: int, what: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def mount(source: str, target: str, kind: str, options: str = "", *, flags: int = 0) -> None:
    arguments = (source.encode(), target.encode(), kind.encode(), flags, options.encode() or None)
    check(libc.mount(*arguments), f"mount {kind or 'bind'} at {target}")


def write_atomically(path: str, text: str) -> None:
    with open(path + ".new", "w") as file:
        file.write(text)
    os.replace(path + ".new", path)


def read_text(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def exit_code(status: int) -> int:
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def start_time(pid: int) -> int:
    """Clock ticks since boot (proc(5), stat, field 22): with it a pid is never mistaken for a later one."""
    fields = read_text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return int(fields[19]) if len(fields) > 19 else 0


def oom_kills(path: str) -> int:
    """The ``oom_kill`` counter: memory.events (v2) and memory.oom_control (v1) spell it alike."""
    for line in read_text(path).splitlines() if path else ():
        if line.startswith("oom_kill "):
            return int(line.split()[1])
    return 0


def escape_overlay(path: str) -> str:
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")


def mount_root(layers: list[str], directory: str) -> None:
    """The container's root: read-only ``layers`` (lowest first) below a private writable directory."""
    private = f"{directory}/private"
    os.makedirs(f"{directory}/rootfs", exist_ok=True)
    os.makedirs(private, exist_ok=True)
    try:
        _mount_overlay(layers, private, f"{directory}/rootfs")
    except OSError:  # a directory on overlayfs or on a network cannot be an upper layer; memory always can
        mount("tmpfs", private, "tmpfs", "mode=0755")
        _mount_overlay(layers, private, f"{directory}/rootfs")


def _mount_overlay(layers: list[str], private: str, target: str) -> None:
    for name in ("upper", "work"):
        os.makedirs(f"{private}/{name}", exist_ok=True)
    lower = ":".join(escape_overlay(layer) for layer in reversed(layers))
    top = escape_overlay(os.path.abspath(private))
    mount("overlay", target, "overlay", f"lowerdir={lower},upperdir={top}/upper,workdir={top}/work")


def unmount_root(directory: str) -> None:
    unmount(f"{directory}/rootfs")
    unmount(f"{directory}/private")


def unmount(target: str) -> None:
    """Whatever is mounted there; nothing is no error."""
    libc.umount2(os.fsencode(target), MNT_DETACH)


def remove_own_cgroup(group: str) -> None:
    """The pod's group in the tree that this process mounted for itself; nobody else sees it."""
    try:
        if group:
            os.rmdir(f"/sys/fs/cgroup/{group}")
    except OSError:  # no container ever ran
        pass


def become_subreaper() -> None:
    check(libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "become a subreaper")


def join(namespace: str) -> None:
    with open(namespace) as file:
        check(libc.setns(file.fileno(), CLONE_NEWNET), f"enter network namespace {namespace}")


def enter_namespaces(sandbox: dict[str, Any]) -> None:
    """Network: the pod's own, or the node's for a pod with host network (``""`` = the machine's own)."""
    own = 0 if sandbox["host_network"] else CLONE_NEWNET
    if sandbox["host_network"] and sandbox["node_namespace"]:
        join(sandbox["node_namespace"])
    ipc = 0 if sandbox["host_ipc"] else CLONE_NEWIPC
    check(libc.unshare(CLONE_NEWNS | CLONE_NEWUTS | ipc | own), "unshare")
    check(libc.mount(None, b"/", None, MS_REC | MS_SLAVE, None), "make mounts private")
    for line in read_text("/proc/self/mountinfo").splitlines():
        if " - nsfs " in line:  # a copy of another pin would keep that namespace alive
            unmount(line.split()[4].encode().decode("unicode_escape"))
    if sandbox["cgroup"]:  # the machine has mounted none, and runc insists on some
        mount("none", "/sys/fs/cgroup", "cgroup2")
    for directory in sandbox["memory"]:
        mount("tmpfs", directory, "tmpfs", "mode=0755")
    os.makedirs(RUN, exist_ok=True)
    mount("tmpfs", RUN, "tmpfs", "mode=0700,size=16m")
    socket.sethostname(sandbox["hostname"])
    for path, value in sandbox["settings"].items():
        with open(f"/proc/sys/{path}", "w") as file:
            file.write(value)


def hold_processes() -> int:
    """Process 1 of a process namespace for all containers of the pod: it reaps, and sees nothing of the machine."""
    with open("/proc/self/ns/pid") as own:
        check(libc.unshare(CLONE_NEWPID), "unshare processes")
        pid = os.fork()
        if pid == 0:
            try:
                _serve_as_first_process()
            finally:
                os._exit(1)
        check(libc.setns(own.fileno(), CLONE_NEWPID), "return to the machine's processes")
    return pid


def set_title(title: str) -> None:
    """The command as ps shows it, as far as there is room (proc_pid_stat(5), arg_start and arg_end)."""
    start, end = (int(field) for field in read_text("/proc/self/stat").rpartition(")")[2].split()[45:47])
    text = os.fsencode(title)[: end - start - 1]
    ctypes.memmove(start, text.ljust(end - start, b"\0"), end - start)


def _serve_as_first_process() -> None:
    check(libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "end with the supervisor")
    set_title("pause")
    os.closerange(0, os.sysconf("SC_OPEN_MAX"))
    check(libc.unshare(CLONE_NEWNS), "unshare mounts")
    mount("tmpfs", "/proc", "tmpfs", "mode=0555,size=4k")
    os.chroot("/proc")
    os.chdir("/")
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    check(libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "end with the supervisor")  # setuid took it back
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    while True:
        signal.sigwait({signal.SIGCHLD})
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            pass
