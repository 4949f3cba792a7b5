"""A cluster for one run: ``seamark up`` in a process of its own, on a fresh data directory, taken down at the end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from seamark.client.client import Client
from seamark.client.kubeconfig import load_kubeconfig

START_SECONDS = 120


@dataclass(frozen=True)
class Cluster:
    data: Path
    port: int

    @property
    def kubeconfig(self) -> Path:
        return self.data / "admin.kubeconfig"

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def client(self) -> Client:
        return Client(load_kubeconfig(self.kubeconfig).transport())

    def kubeconfig_of(self, user: str, *, url: str = "") -> Path:
        """The administrator acting as another user, with that one's rights. ``url``: where the API server is asked."""
        config = yaml.safe_load(self.kubeconfig.read_text())
        for entry in config["users"]:
            entry["user"]["as"] = user
        for entry in config["clusters"]:
            entry["cluster"]["server"] = url or entry["cluster"]["server"]
        path = self.data / f"{user.replace(':', '-')}.kubeconfig"
        path.touch(0o600)
        path.write_text(yaml.safe_dump(config))
        return path

    def crash(self) -> None:
        """Kills the main process, as a fault would; pods and rules stay."""
        pid = json.loads(self.seamark("status", "-o", "json"))["pid"]
        os.kill(pid, signal.SIGKILL)
        while Path(f"/proc/{pid}").exists():
            time.sleep(0.01)

    def seamark(self, *command: str) -> str:
        line = [sys.executable, "-m", "seamark", *command, "--data-dir", str(self.data)]
        done = subprocess.run(line, capture_output=True, text=True, timeout=START_SECONDS, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(line)}: {done.stdout}{done.stderr}")
        return done.stdout


@contextmanager
def running_cluster(*options: str) -> Iterator[Cluster]:
    """``running_cluster("--nodes", "1")``: up, with these options, until the block ends."""
    root = Path(tempfile.mkdtemp(prefix="seamark-"))
    cluster = Cluster(root / "cluster", free_port())
    try:
        cluster.seamark("up", "--detach", "--port", str(cluster.port), *options)
        yield cluster
    finally:
        if cluster.data.exists():
            cluster.seamark("down", "--purge")
        shutil.rmtree(root)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
