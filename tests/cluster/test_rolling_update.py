"""A rolling update of ten replicas under load loses no request: pods leave the Services before they are told to end."""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import dns.message
import pytest

from seamark.linux import netns

pytestmark = [pytest.mark.net, pytest.mark.timeout(180), pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

REQUESTS_A_SECOND = 100  # of each kind
CLUSTER_DNS, NAME = "10.96.0.10", "each.default.svc.cluster.local."
IMAGE = "192.168.10.33:80/k8s/pod_test:v0.1"


class Cluster:
    """``seamark up`` with three nodes, driven by the commands a user has."""

    def __init__(self, data: Path) -> None:
        self.data = data

    def seamark(self, command: str, *argv: str) -> str:
        line = [sys.executable, "-m", "seamark", *command.split(), "--data-dir", str(self.data), *argv]
        done = subprocess.run(line, capture_output=True, text=True, timeout=90, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def kubectl(self, *argv: str) -> str:
        found = os.environ.get("KUBECTL") or shutil.which("kubectl") or str(Path(".tools/bin/kubectl").absolute())
        line = [found, f"--kubeconfig={self.data}/admin.kubeconfig", *argv]
        done = subprocess.run(line, capture_output=True, text=True, timeout=90, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    made = Cluster(tmp_path / "cluster")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])
    try:
        made.seamark("up", "--nodes", "3", "--detach", "--port", port)
        made.seamark("image build-pod-test")
        yield made
    finally:
        made.seamark("down", "--purge")


class Load:
    """Requests at a steady pace from one node, each on a connection of its own, until told to end. ``address`` says
    where the next one goes.
    """

    def __init__(self, pin: Path, address: Callable[[], str]) -> None:
        self.results: Counter[str] = Counter()
        self._pin = pin
        self._address = address
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(30)

    def _run(self) -> None:
        netns.run_in(self._pin, self._ask_on)

    def _ask_on(self) -> None:
        due = time.monotonic()
        while not self._ended.is_set():
            self.results[self._ask()] += 1
            due += 1 / REQUESTS_A_SECOND
            self._ended.wait(max(0.0, due - time.monotonic()))

    def _ask(self) -> str:
        try:
            with socket.create_connection((self._address(), 80), timeout=5) as connection:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n")
                answer = b"".join(iter(lambda: connection.recv(4096), b""))
        except OSError as error:
            return f"{type(error).__name__}: {error}"
        return "answered" if b"pod-test v0.1" in answer else f"cut short: {answer!r}"


def resolve(name: str) -> str:
    """One of the addresses that DNS gives now, as a client that keeps none of them."""
    query = dns.message.make_query(name, "A")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        client.sendto(query.to_wire(), (CLUSTER_DNS, 53))
        answer = dns.message.from_wire(client.recv(4096))
    return random.choice([record.address for rrset in answer.answer for record in rrset])


def test_no_request_is_lost(cluster: Cluster) -> None:
    """By the address of a Service, which the rules lead to pods, and by a name that is those of the pods themselves."""
    cluster.kubectl("create", "deployment", "web", f"--image={IMAGE}", "--replicas=10")
    cluster.kubectl("expose", "deployment", "web", "--port=80")
    cluster.kubectl("expose", "deployment", "web", "--name=each", "--port=80", "--cluster-ip=None")
    cluster.kubectl("rollout", "status", "deployment", "web", "--timeout=60s")
    address = cluster.kubectl("get", "svc", "web", "-o", "jsonpath={.spec.clusterIP}")
    pin = cluster.data / "run/netns/node2"
    with Load(pin, lambda: address) as by_address, Load(pin, lambda: resolve(NAME)) as by_name:
        cluster.kubectl("rollout", "restart", "deployment", "web")
        cluster.kubectl("rollout", "status", "deployment", "web", "--timeout=90s")
    for load in (by_address, by_name):
        assert set(load.results) == {"answered"}, load.results
        assert load.results["answered"] > REQUESTS_A_SECOND
