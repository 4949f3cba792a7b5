"""The two servers: CoreDNS from its published module, both as processes on loopback."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.message

from conformance.dns.world import ZONE

VERSION = "v1.15.0"
MODULE = "github.com/coredns/coredns"


def build_coredns() -> Path:
    """The binary, from the module proxy, once per version."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "seamark" / f"coredns-{VERSION}"
    binary = cache / "coredns"
    if not binary.exists():
        if shutil.which("go") is None:
            sys.exit("conformance-dns: go is needed to build CoreDNS; install Go or give --coredns FILE")
        cache.mkdir(parents=True, exist_ok=True)
        print(f"building {MODULE}@{VERSION} into {cache}", flush=True)
        environment = {**os.environ, "GOBIN": str(cache), "CGO_ENABLED": "0"}
        subprocess.run(["nice", "-n", "15", "go", "install", f"{MODULE}@{VERSION}"], check=True, env=environment)
    return binary


@contextmanager
def running(command: list[str], port: int, log: Path) -> Iterator[None]:
    """One server, until the block ends."""
    with log.open("w") as out:
        process = subprocess.Popen(["nice", *command], stdout=out, stderr=subprocess.STDOUT)
    try:
        _await_answers(process, port, log)
        yield
    finally:
        process.terminate()
        process.wait(15)


def _await_answers(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    query = dns.message.make_query(f"dns-version.{ZONE}", "TXT").to_wire()
    with socket.socket(type=socket.SOCK_DGRAM) as asking:
        asking.settimeout(0.3)
        for _ in range(100):
            if process.poll() is not None:
                sys.exit(f"conformance-dns: {process.args!r} ended:\n{log.read_text()[-2000:]}")
            asking.sendto(query, ("127.0.0.1", port))
            try:
                asking.recv(4096)
                return
            except OSError:
                time.sleep(0.1)
    sys.exit(f"conformance-dns: nothing answers on port {port}:\n{log.read_text()[-2000:]}")


def free_port() -> int:
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", 0))
        udp.bind(("127.0.0.1", tcp.getsockname()[1]))
        return int(tcp.getsockname()[1])
