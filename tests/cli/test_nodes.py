"""Nodes as a user meets them: the machine itself as a node, clusters side by side, images, what down leaves.

Everything that would change the machine runs in a network and a mount namespace of the test's own.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

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
    found = os.environ.get("KUBECTL") or shutil.which("kubectl") or ".tools/bin/kubectl"
    return str(Path(found).absolute())


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


class Site:
    """A cluster of namespaces on this machine."""

    def __init__(self, data: Path) -> None:
        self.data = data

    def seamark(self, *argv: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "seamark", *argv, "--data-dir", str(self.data)]
        return subprocess.run(line, capture_output=True, text=True, timeout=90, check=False)

    def up(self, *argv: str) -> None:
        done = self.seamark("up", "--detach", "--port", free_port(), *argv)
        assert done.returncode == 0, done.stderr

    def kubectl(self, *argv: str, text: str = "") -> str:
        line = [kubectl_path(), f"--kubeconfig={self.data}/admin.kubeconfig", *argv]
        done = subprocess.run(line, input=text, capture_output=True, text=True, timeout=90, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Callable[[str], Site]]:
    made: list[Site] = []

    def make(name: str) -> Site:
        made.append(Site(tmp_path / name))
        return made[-1]

    yield make
    for one in made:
        assert one.seamark("down", "--purge").returncode == 0
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()


def save_image(path: Path, *, name: str) -> None:
    """A docker-archive whose image is busybox alone and says what it was started with."""
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("busybox is not installed")
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        tar.add(os.path.realpath(busybox), "bin/busybox")
        link = tarfile.TarInfo("bin/sh")
        link.type, link.linkname = tarfile.SYMTYPE, "busybox"
        tar.addfile(link)
    diff_id = "sha256:" + hashlib.sha256(layer.getvalue()).hexdigest()
    started = {"Entrypoint": ["/bin/sh", "-c", 'echo "$WHO: $0 $1"; exec busybox sleep 600'], "Cmd": ["a", "b"]}
    config = {"config": {**started, "Env": ["PATH=/bin", "WHO=image"]}, "rootfs": {"diff_ids": [diff_id]}}
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    files = {"layer.tar": layer.getvalue(), "config.json": config, "manifest.json": manifest}
    with tarfile.open(path, "w") as tar:
        for file, content in files.items():
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            member = tarfile.TarInfo(file)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def pod(name: str, image: str, policy: str, *args: str) -> str:
    container = {"name": "c", "image": image, "imagePullPolicy": policy, "args": list(args)}
    return json.dumps(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [container]}}
    )


class TestImages:
    def test_list_makes_nothing(self, tmp_path: Path) -> None:
        done = Site(tmp_path / "none").seamark("image", "list")
        assert "seamark.local/host" in done.stdout and not (tmp_path / "none").exists()

    def test_an_archive_loaded_while_the_cluster_runs(self, site: Callable[[str], Site], tmp_path: Path) -> None:
        one = site("one")
        one.up()
        one.kubectl("apply", "-f", "-", text=pod("never", "example.test/other", "Never"))
        waiting = "jsonpath={.status.containerStatuses[0].state.waiting.reason}=ErrImageNeverPull"
        one.kubectl("wait", f"--for={waiting}", "pod/never", "--timeout=20s")
        save_image(tmp_path / "hello.tar", name="example.test/hello:v1")
        assert one.seamark("image", "load", str(tmp_path / "hello.tar")).stdout.endswith("example.test/hello:v1\n")
        one.kubectl("apply", "-f", "-", text=pod("hello", "example.test/hello:v1", "Never"))
        one.kubectl("apply", "-f", "-", text=pod("other", "example.test/hello:v1", "IfNotPresent", "c", "d"))
        one.kubectl("wait", "--for=condition=Ready", "pod/hello", "pod/other", "--timeout=30s")
        assert one.kubectl("logs", "hello") == "image: a b\n"
        assert one.kubectl("logs", "other") == "image: c d\n"


def test_clusters_side_by_side_with_ranges_and_a_domain_of_their_own(site: Callable[[str], Site]) -> None:
    one, two = site("one"), site("two")
    one.up()
    ranges = ("--service-cidr", "10.20.0.0/16", "--pod-cidr", "10.30.0.0/16", "--cluster-dns", "10.20.0.53")
    two.up("--nodes", "2", "--cluster-domain", "example.internal", *ranges)
    two.kubectl("create", "deployment", "web", f"--image={HOST}", "--", "python3", "-m", "http.server", "80")
    two.kubectl("expose", "deployment", "web", "--port=80")
    two.kubectl("rollout", "status", "deployment", "web", "--timeout=30s")
    body = two.kubectl("exec", "deploy/web", "--", "curl", "-s", "-m", "5", "http://web.default.svc.example.internal/")
    assert "<html" in body
    address = two.kubectl("get", "pod", "-l", "app=web", "-o", "jsonpath={.items[0].status.podIP}")
    assert address.startswith("10.30.")
    assert one.kubectl("get", "pod", "-A", "--no-headers").count("coredns") == 2
    began = time.monotonic()
    assert two.seamark("down").returncode == 0  # its python ignores SIGTERM, its DNS lingers for five seconds
    assert time.monotonic() - began < 10
    assert one.kubectl("get", "--raw", "/readyz") == "ok"
    kept = yaml.safe_load((two.data / "seamark.json").read_text())
    assert (kept["cluster_domain"], kept["service_cidr"]) == ("example.internal", "10.20.0.0/16")
    assert two.seamark("up", "--detach").returncode == 0
    two.kubectl("rollout", "status", "deployment", "web", "--timeout=30s")
    body = two.kubectl("exec", "deploy/web", "--", "curl", "-s", "-m", "5", "http://web/")
    assert "<html" in body
