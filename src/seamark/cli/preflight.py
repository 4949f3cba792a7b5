"""What must be there before anything is made: rights, programs, a free port. Each refusal is one line."""

from __future__ import annotations

import os
import shutil
import socket

from seamark.cli.errors import UserError
from seamark.cli.settings import API_PORT

PROGRAMS = {
    "ip": "iproute2",
    "nft": "nftables",
    "nsenter": "util-linux",
}
"""Program -> Debian package, needed by a cluster with nodes."""

_SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def extend_path() -> None:
    """System programs live in sbin, which a user's PATH may lack."""
    parts = os.environ.get("PATH", "").split(":")
    os.environ["PATH"] = ":".join(parts + [p for p in _SBIN if p not in parts])


def check_machine(*, nodes: int, oci_runtime: str = "runc") -> None:
    """Raises UserError when a cluster with that many nodes cannot run here."""
    if nodes == 0:
        return
    if os.geteuid() != 0:
        raise UserError(
            "up: nodes need root to make namespaces (rootless nodes are not there yet); "
            "run it with sudo, or `seamark up --nodes 0` for the API server and controllers alone"
        )
    needed = PROGRAMS | {oci_runtime: os.path.basename(oci_runtime)}
    missing = {program: package for program, package in needed.items() if shutil.which(program) is None}
    if missing:
        names, packages = ", ".join(missing), " ".join(sorted(set(missing.values())))
        raise UserError(f"up: missing on this machine: {names}; `apt-get install {packages}` brings them")
    for namespace in ("net", "mnt", "uts", "ipc", "pid"):
        if not os.path.exists(f"/proc/self/ns/{namespace}"):
            raise UserError(f"up: this kernel has no {namespace} namespaces; pods cannot be isolated")


def bind_api_socket(port: int) -> socket.socket:
    """The API server's socket on 127.0.0.1. UserError when the port is busy."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise UserError(f"up: port {port} on 127.0.0.1: {error.strerror}; end what uses it, or give --port") from None
    listener.setblocking(False)
    return listener


def free_port() -> int:
    """6443, or the next free one of the hundred above it, so that several clusters run side by side."""
    for port in range(API_PORT, API_PORT + 100):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    return API_PORT
