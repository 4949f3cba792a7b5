"""Whatever is killed, the cluster is again what the API says, by itself; and nothing of pods that are gone stays."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from seamark.linux import netns
from seamark.linux.process import kill_exactly, start_time
from seamark.testing.traces import count_traces, processes_of

pytestmark = [pytest.mark.net, pytest.mark.timeout(240), pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

PATIENCE = 60.0
Pod = dict[str, Any]


class Cluster:
    """``seamark up`` with one node, driven by the commands a user has."""

    def __init__(self, data: Path, port: int) -> None:
        self.data, self.port = data, port

    def seamark(self, command: str, *argv: str) -> str:
        line = [sys.executable, "-m", "seamark", *command.split(), "--data-dir", str(self.data), *argv]
        done = subprocess.run(line, capture_output=True, text=True, timeout=90, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def up(self) -> None:
        self.seamark("up", "--nodes", "1", "--detach", "--port", str(self.port))

    def kubectl(self, *argv: str) -> str:
        found = os.environ.get("KUBECTL") or shutil.which("kubectl") or str(Path(".tools/bin/kubectl").absolute())
        line = [found, f"--kubeconfig={self.data}/admin.kubeconfig", *argv]
        done = subprocess.run(line, capture_output=True, text=True, timeout=90, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @property
    def main(self) -> int:
        return int((self.data / "lock").read_text())

    def pods(self) -> list[Pod]:
        return list(json.loads(self.kubectl("get", "pods", "-o", "json"))["items"])

    def deploy(self, replicas: int) -> list[Pod]:
        self.kubectl("create", "deployment", "web", "--image=seamark.local/host", f"--replicas={replicas}", "--", *RUN)
        self.kubectl("rollout", "status", "deployment/web", "--timeout=60s")
        return self.pods()

    def sandbox(self, pod: Pod) -> dict[str, Any]:
        path = self.data / "nodes/master1/pods" / pod["metadata"]["uid"] / "sandbox/state.json"
        return dict(json.loads(path.read_text()))

    def until(self, what: str, check: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not check():
            assert time.monotonic() < end, f"never: {what}: {self.kubectl('get', 'pods', '-A')}"
            time.sleep(0.2)

    def restarts(self) -> list[int]:
        return sorted(pod["status"]["containerStatuses"][0]["restartCount"] for pod in self.pods())

    def until_ready(self, replicas: int) -> None:
        def ready() -> bool:
            states = [s for pod in self.pods() for s in pod["status"].get("containerStatuses", ())]
            return len(states) == replicas and all(state["ready"] for state in states)

        self.until(f"{replicas} pods ready", ready)
        for pod in self.pods():
            told = self.kubectl("exec", pod["metadata"]["name"], "--", "hostname").strip()
            assert told == pod["metadata"]["name"]


RUN = ("sh", "-c", "trap 'exit 0' TERM; sleep 6000 & wait")


def kill(pid: int) -> None:
    assert kill_exactly(pid, start_time(pid))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        made = Cluster(tmp_path / "cluster", int(probe.getsockname()[1]))
    try:
        made.up()
        yield made
    finally:
        made.seamark("down", "--purge")


def test_kills_and_a_reboot(cluster: Cluster) -> None:
    first, second = cluster.deploy(2)

    kill(cluster.main)  # pods run on, and nobody's memory of them is lost
    cluster.up()
    cluster.until_ready(2)
    assert cluster.restarts() == [0, 0]

    os.kill(cluster.sandbox(first)["containers"][-1]["pid"], signal.SIGKILL)
    cluster.until("a restart after its container was killed", lambda: cluster.restarts() == [0, 1])
    cluster.until_ready(2)

    kill(cluster.sandbox(second)["pid"])
    cluster.until("a restart after its supervisor was killed", lambda: cluster.restarts() == [1, 1])
    cluster.until_ready(2)

    reboot(cluster)
    cluster.up()
    cluster.until("restarts after the reboot", lambda: cluster.restarts() == [2, 2])
    cluster.until_ready(2)
    assert {pod["metadata"]["uid"] for pod in cluster.pods()} == {p["metadata"]["uid"] for p in (first, second)}


def reboot(cluster: Cluster) -> None:
    """No process, no namespace, no mount is left; the files are."""
    for pid in sorted(processes_of(cluster.data), key=lambda pid: pid != cluster.main):
        kill_exactly(pid, start_time(pid))
    for pin in (cluster.data / "run/netns").iterdir():
        netns.remove(pin)
        pin.touch()  # what a pin is without its mount
    end = time.monotonic() + PATIENCE
    while processes_of(cluster.data) and time.monotonic() < end:
        time.sleep(0.05)


def test_pods_that_are_gone_leave_nothing(cluster: Cluster) -> None:
    """A few here; ``make bench-pods`` does two hundred."""
    cluster.deploy(2)
    cluster.kubectl("delete", "deployment", "web", "--cascade=foreground")
    cluster.until("no pods", lambda: not cluster.pods())
    before = count_traces(cluster.data)
    gone = [pod["metadata"]["uid"] for pod in cluster.deploy(8)]
    cluster.kubectl("delete", "deployment", "web", "--cascade=foreground")
    cluster.until("no pods", lambda: not cluster.pods())
    cluster.until("traces as before", lambda: not grown(before, count_traces(cluster.data, gone)))


def grown(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    """Connections of the API that are still open come and go."""
    counted = {name: after[name] - before[name] for name in after if name != "descriptors of the main process"}
    return {name: more for name, more in counted.items() if more > 0}
