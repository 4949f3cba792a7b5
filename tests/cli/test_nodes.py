"""Nodes as a user meets them: the machine itself as a node, clusters side by side, images, what down leaves.

Everything that would change the machine runs in a network and a mount namespace of the test's own.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.net,
    pytest.mark.timeout(180),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]

HOST = "seamark.local/host"
OUTSIDE = """
set -e
ip link set lo up
ip link add up0 type veth peer name up1
ip addr add 10.99.0.2/24 dev up0
ip link set up0 up
ip link set up1 up
ip route add default via 10.99.0.1
nft add table ip foreign
nft 'add chain ip foreign c { type filter hook forward priority 0 ; }'
"""
SNAPSHOT = "ip -o -4 addr; ip route; nft list ruleset; ip rule; sysctl -a 2>/dev/null | grep -E 'ip_forward|up0'"


def kubectl_path() -> str:
    return os.environ.get("KUBECTL") or shutil.which("kubectl") or str(Path(".tools/bin/kubectl").absolute())


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return str(probe.getsockname()[1])


class Machine:
    """A machine for ``--host``: a shell in namespaces of its own, in which every command of the test runs."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self._holder = subprocess.Popen(["unshare", "-n", "-m", "--propagation", "private", "sleep", "600"])
        self._wait_unshared()
        self.run("sh", "-c", OUTSIDE)

    def _wait_unshared(self) -> None:
        own = os.readlink("/proc/self/ns/net")
        deadline = time.monotonic() + 10
        while os.readlink(f"/proc/{self._holder.pid}/ns/net") == own:
            assert time.monotonic() < deadline, "unshare never came to its namespaces"
            time.sleep(0.01)

    def run(self, *argv: str, fails: bool = False) -> str:
        line = ["nsenter", f"--target={self._holder.pid}", "--net", "--mount", "--", *argv]
        done = subprocess.run(line, capture_output=True, text=True, timeout=90, check=False)
        assert (done.returncode != 0) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    def seamark(self, *argv: str, fails: bool = False) -> str:
        line = [sys.executable, "-m", "seamark", argv[0], "--data-dir", str(self.data), *argv[1:]]
        return self.run(*line, fails=fails)

    def kubectl(self, *argv: str) -> str:
        return self.run(kubectl_path(), f"--kubeconfig={self.data}/admin.kubeconfig", *argv)

    def pid(self) -> int:
        return int((self.data / "lock").read_text())

    def end(self) -> None:
        if self.data.exists():
            self.seamark("down", "--purge")
        self._holder.kill()
        self._holder.wait()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path / "cluster")
    try:
        yield made
    finally:
        made.end()


class TestHost:
    """``seamark up --host``: the machine is the node."""

    def test_serves_pods_and_leaves_exactly_what_was(self, machine: Machine) -> None:
        before = machine.run("sh", "-c", SNAPSHOT)
        machine.seamark("up", "--host", "--detach")
        machine.kubectl("create", "deployment", "web", f"--image={HOST}", "--", "python3", "-m", "http.server", "80")
        machine.kubectl("expose", "deployment", "web", "--port=80", "--type=NodePort")
        machine.kubectl("rollout", "status", "deployment", "web", "--timeout=30s")
        port = machine.kubectl("get", "service", "web", "-o", "jsonpath={.spec.ports[0].nodePort}")
        assert "<html" in machine.run("curl", "-s", "-m", "5", f"http://10.99.0.2:{port}/")
        inside = machine.kubectl("exec", "deploy/web", "--", "curl", "-s", "-m", "5", "http://web.default/")
        assert "<html" in inside
        assert machine.seamark("shell", "master1", "--", "ip", "-br", "-4", "addr").count("10.99.0.2/24") == 1
        assert "table ip seamark" in machine.run("nft", "list", "tables")
        machine.seamark("down")
        assert machine.run("sh", "-c", SNAPSHOT) == before

    def test_kill_9_and_down_leave_exactly_what_was(self, machine: Machine) -> None:
        before = machine.run("sh", "-c", SNAPSHOT)
        machine.seamark("up", "--host", "--detach")
        os.kill(machine.pid(), signal.SIGKILL)
        machine.seamark("down")
        assert machine.run("sh", "-c", SNAPSHOT) == before

    def test_without_an_address_is_refused(self, machine: Machine) -> None:
        machine.run("ip", "route", "delete", "default")
        said = machine.seamark("up", "--host", fails=True)
        assert said.strip().splitlines()[-1] == (
            "seamark up: --host: this machine has no address to the outside: Network is unreachable"
        )
