"""How long pods take to be Ready, what they cost at rest, and what they leave behind.

    sudo .venv/bin/python bench/pods.py [--pods 100] [--lives 200] [--runs 11] [--only NAME…]

A cluster of its own for each part (``seamark up``, a fresh data directory, namespaces of its own). Times count from the
start of ``kubectl create`` until the API says Ready. The OCI image is made here: a static busybox and nothing else.
Memory is PSS, which shares out what processes share; CPU is that of the main process, the supervisors and the DNS pods.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from footprint import DNS_PODS, MAIN, SUPERVISORS, Cluster, read_cpu_seconds, read_memory, running, wait_until

from seamark.linux import netns
from seamark.linux.process import kill_exactly, start_time
from seamark.testing.traces import count_traces, processes_of

KUBECTL = os.environ.get("KUBECTL") or shutil.which("kubectl") or ".tools/bin/kubectl"
HOST, OCI = "seamark.local/host", "bench/busybox:1"
SETTLE = 20.0
PODS = "/api/v1/namespaces/default/pods"
Row = tuple[str, str, str]


class Bench:
    """A cluster that is up, and hands to put pods into it."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def kubectl(self, *argv: str, given: Any = None) -> str:
        line = [KUBECTL, f"--kubeconfig={self.cluster.root}/admin.kubeconfig", *argv]
        text = json.dumps(given) if given is not None else None
        return subprocess.run(line, input=text, capture_output=True, text=True, check=True).stdout

    def pods(self) -> list[dict[str, Any]]:
        return list(json.loads(self.cluster.get(PODS) or b"{}").get("items", []))

    def ready(self, name: str = "") -> int:
        path = f"{PODS}?fieldSelector=metadata.name%3D{name}" if name else PODS
        items = json.loads(self.cluster.get(path) or b"{}").get("items", [])
        conditions = [c for item in items for c in item.get("status", {}).get("conditions", ())]
        return sum(c["type"] == "Ready" and c["status"] == "True" for c in conditions)

    def restarts(self) -> int:
        return sum(s["restartCount"] for pod in self.pods() for s in pod["status"].get("containerStatuses", ()))

    def create(self, name: str, image: str) -> float:
        """Seconds from ``kubectl create`` to Ready; the pod goes again, and is waited for."""
        began = time.monotonic()
        self.kubectl("create", "-f", "-", given=make_pod(name, image))
        found = wait_until(lambda: self.ready(name) == 1, began)
        self.kubectl("delete", "pod", name, "--grace-period=0", "--force")
        wait_until(lambda: not self.pods(), time.monotonic())
        return found

    def deploy(self, name: str, replicas: int) -> float:
        began = time.monotonic()
        self.kubectl("create", "-f", "-", given=make_deployment(name, replicas))
        return wait_until(lambda: self.ready() >= replicas, began)


def make_container(image: str) -> dict[str, Any]:
    """It listens, so that it is ready by what it does and not by the time that it had."""
    command = ["/bin/busybox", "httpd", "-f", "-p", "8080"]
    return {"name": "c", "image": image, "imagePullPolicy": "IfNotPresent", "command": command}


def make_pod(name: str, image: str) -> dict[str, Any]:
    spec = {"containers": [make_container(image)], "terminationGracePeriodSeconds": 0}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def make_deployment(name: str, replicas: int) -> dict[str, Any]:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": make_pod(name, HOST)["spec"]}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


@contextmanager
def coming_up(nodes: int) -> Iterator[tuple[Cluster, float]]:
    """A fresh cluster, and when it began."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    with tempfile.TemporaryDirectory(prefix="seamark-bench-") as place, running(Path(place, "c"), port, nodes) as made:
        yield made


def wait_complete(cluster: Cluster, began: float, nodes: int) -> float:
    """Seconds until nodes are Ready and DNS answers."""
    wait_until(lambda: cluster.are_nodes_ready(nodes), began)
    return wait_until(cluster.is_dns_answering, began)


@contextmanager
def bench(nodes: int) -> Iterator[Bench]:
    with coming_up(nodes) as (cluster, began):
        wait_complete(cluster, began, nodes)
        build_image(cluster.root)
        yield Bench(cluster)


def build_image(data: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "bin").mkdir()
        shutil.copy(shutil.which("busybox") or "/bin/busybox", Path(folder, "bin/busybox"))
        line = [sys.executable, "-m", "seamark", "image", "build", OCI, "-f", folder, "--data-dir", str(data)]
        subprocess.run(line, check=True, stdout=subprocess.DEVNULL)


def measure_starts(options: argparse.Namespace) -> list[Row]:
    rows: list[Row] = []
    with bench(1) as now:
        for label, image, goal in (("one host pod", HOST, 0.4), ("one pod of an OCI image", OCI, 0.8)):
            times = [now.create(f"p{number}", image) for number in range(options.runs)]
            low, middle, high = min(times), statistics.median(times), max(times)
            said = f"{middle:.2f} s ({low:.2f}–{high:.2f})"
            rows.append((f"`kubectl create` to Ready, {label}, p50 of {len(times)}", said, f"≤ {goal} s"))
    return rows


def measure_many(options: argparse.Namespace) -> list[Row]:
    with bench(3) as now:
        found = now.deploy("many", options.pods)
    return [(f"{options.pods} pods Ready, three nodes", f"{found:.1f} s", "≤ 25 s")]


def measure_up(options: argparse.Namespace) -> list[Row]:
    times = []
    for _ in range(3):
        with coming_up(3) as (cluster, began):
            times.append(wait_complete(cluster, began, 3))
    return [("three nodes Ready and DNS answering, best of 3", f"{min(times):.2f} s", "≤ 3 s")]


def measure_rest(options: argparse.Namespace) -> list[Row]:
    with bench(1) as now:
        time.sleep(10)
        memory = {pid: (part, read_memory(pid)[1]) for part, pid in now.cluster.processes()}
        total = sum(pss for _, pss in memory.values()) / 1024
        now.deploy("rest", 50)
        time.sleep(10)
        own = [(part, pid) for part, pid in now.cluster.processes() if part != DNS_PODS or pid in memory]
        supervisors = [read_memory(pid)[1] for part, pid in own if part == SUPERVISORS and pid not in memory]
        supervisors.append(read_memory(fork_server(now.cluster))[1])
        grown = read_memory(next(pid for part, pid in own if part == MAIN))[1] - sum(
            pss for part, pss in memory.values() if part == MAIN
        )
        began, before = time.monotonic(), {pid: read_cpu_seconds(pid) for _, pid in own}
        time.sleep(options.rest)
        used = sum(read_cpu_seconds(pid) - seconds for pid, seconds in before.items())
        share = 100 * used / (time.monotonic() - began)
    each = (sum(supervisors) + grown) / 1024 / 50
    return [
        ("everything on one node with its two DNS pods", f"{total:.0f} MB", "≤ 150 MB"),
        ("50 pods at rest", f"{share:.2f} % of a core", "≤ 1 %"),
        ("ours per pod: its supervisor, and what the main process grew by", f"{each:.1f} MB", "≤ 3 MB"),
    ]


def fork_server(cluster: Cluster) -> int:
    """The main process's child of which every supervisor is a copy."""
    main = int((cluster.root / "lock").read_text())
    children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
    return next(int(c) for c in children if b"supervisor" in Path(f"/proc/{c}/cmdline").read_bytes())


def measure_lives(options: argparse.Namespace) -> list[Row]:
    batch = 20
    with bench(1) as now:
        uids: list[str] = []
        now.create("warm", HOST)
        before = count_traces(now.cluster.root)
        began = time.monotonic()
        while len(uids) < options.lives:
            now.deploy("lives", batch)
            uids += [pod["metadata"]["uid"] for pod in now.pods()]
            now.kubectl("delete", "deployment", "lives", "--cascade=foreground")
            wait_until(lambda: not now.pods(), time.monotonic())
        took = time.monotonic() - began
        grown = settle(lambda: count_traces(now.cluster.root, uids), before)
    said = ", ".join(f"{name} +{count}" for name, count in grown.items()) or "nothing"
    return [(f"left behind by {len(uids)} pod lives ({took / len(uids):.2f} s each)", said, "nothing")]


def measure_reboot(options: argparse.Namespace) -> list[Row]:
    """Every process and namespace of the cluster goes, the files stay; then ``seamark up`` again."""
    with bench(1) as now:
        root, port = now.cluster.root, now.cluster.port
        now.deploy("web", 10)
        for pid in sorted(processes_of(root), key=lambda pid: pid != int((root / "lock").read_text())):
            kill_exactly(pid, start_time(pid))
        for pin in (root / "run/netns").iterdir():
            netns.remove(pin)
            pin.touch()
        wait_until(lambda: not processes_of(root), time.monotonic())
        began = time.monotonic()
        line = [sys.executable, "-m", "seamark", "up", "--detach", "--data-dir", str(root), "--port", str(port)]
        subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
        found = wait_until(lambda: now.ready() == 10 and now.restarts() == 10, began)
    return [("10 pods Ready again after a reboot, from the start of `seamark up`", f"{found:.1f} s", "≤ 10 s")]


def settle(look: Callable[[], dict[str, int]], before: dict[str, int]) -> dict[str, int]:
    """What is more than before, at last: the end of a pod takes a second, since nobody told it patiently."""
    end = time.monotonic() + SETTLE
    while True:
        grown = {name: count - before[name] for name, count in look().items() if count > before[name]}
        if not grown or time.monotonic() > end:
            return grown
        time.sleep(0.5)


PARTS: dict[str, Callable[[argparse.Namespace], list[Row]]] = {
    "starts": measure_starts,
    "many": measure_many,
    "up": measure_up,
    "rest": measure_rest,
    "lives": measure_lives,
    "reboot": measure_reboot,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pods", type=int, default=100)
    parser.add_argument("--lives", type=int, default=200)
    parser.add_argument("--runs", type=int, default=11)
    parser.add_argument("--rest", type=float, default=30.0, help="seconds over which the CPU at rest is counted")
    parser.add_argument("--only", nargs="*", choices=PARTS, default=list(PARTS))
    options = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("pods: nodes need root")
    rows = [row for name in options.only for row in PARTS[name](options)]
    print(f"\n{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, Linux {platform.release()}\n")
    print("| | measured | wanted |\n|---|---|---|")
    for what, found, wanted in rows:
        print(f"| {what} | {found} | {wanted} |")


if __name__ == "__main__":
    main()
