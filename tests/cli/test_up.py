"""``seamark up`` as a user meets it: what it says, what it refuses, what it leaves."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The one line on standard error; no traceback, exit status 1."""
    assert done.returncode == 1, done.stdout + done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


class TestApiServerAlone:
    """``--nodes 0``: no root, no namespaces, no pods."""

    def test_comes_up_detached_and_goes_down(self, seamark, data_dir: Path) -> None:
        done = seamark("up", "--nodes", "0", "--port", str(free_port()), "--detach")
        assert done.returncode == 0, done.stderr
        assert "API server ready on https://127.0.0.1:" in done.stdout
        assert done.stdout.rstrip().endswith(f"export KUBECONFIG={data_dir}/admin.kubeconfig\n  kubectl get nodes")
        assert (data_dir / "admin.kubeconfig").stat().st_mode & 0o777 == 0o600
        status = seamark("status", "-o", "json")
        assert (status.returncode, json.loads(status.stdout)["running"]) == (0, True)
        assert seamark("down").returncode == 0
        assert seamark("status").returncode == 3

    def test_same_objects_after_down_and_up(self, seamark, data_dir: Path) -> None:
        port = str(free_port())
        assert seamark("up", "--nodes", "0", "--port", port, "--detach").returncode == 0
        token = yaml.safe_load(seamark("kubeconfig", "--token").stdout)["users"][0]["user"]["token"]
        path = f"https://127.0.0.1:{port}/api/v1/namespaces/default/configmaps"
        curl = ["curl", "-sS", "--cacert", str(data_dir / "pki/ca.crt"), "-H", f"Authorization: Bearer {token}"]
        body = json.dumps({"metadata": {"name": "kept"}, "data": {"a": "1"}})
        json_body = ["-H", "Content-Type: application/json", "-d", body]
        made = subprocess.run([*curl, *json_body, path], capture_output=True, text=True, check=True)
        assert json.loads(made.stdout)["metadata"]["uid"]
        assert seamark("down").returncode == 0
        assert seamark("up", "--detach").returncode == 0
        found = subprocess.run([*curl, f"{path}/kept"], capture_output=True, text=True, check=True)
        assert json.loads(found.stdout) == json.loads(made.stdout)

    def test_a_wrong_token_is_401_and_anonymous_may_nothing(self, seamark, data_dir: Path) -> None:
        port = free_port()
        assert seamark("up", "--nodes", "0", "--port", str(port), "--detach").returncode == 0
        for header, code in ((["-H", "Authorization: Bearer wrong"], 401), ([], 403)):
            argv = ["curl", "-sS", "--cacert", str(data_dir / "pki/ca.crt"), *header]
            found = subprocess.run(
                [*argv, f"https://127.0.0.1:{port}/api/v1/nodes"], capture_output=True, text=True, check=True
            )
            assert json.loads(found.stdout)["code"] == code, found.stdout

    def test_ctrl_c_ends_it_in_good_order(self, seamark, data_dir: Path) -> None:
        argv = [sys.executable, "-m", "seamark", "up", "--data-dir", str(data_dir), "--nodes", "0"]
        with subprocess.Popen([*argv, "--port", str(free_port())], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if "kubectl get nodes" in line:
                    break
            process.send_signal(signal.SIGINT)
            assert "stopping: pods end, data stays" in process.stdout.read()
            assert process.wait(20) == 0
        assert seamark("status").returncode == 3


class TestRefusals:
    def test_busy_port(self, seamark) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            for detach in ([], ["--detach"]):
                line = refused(seamark("up", "--nodes", "0", "--port", str(port), *detach))
                assert line == (
                    f"seamark up: port {port} on 127.0.0.1: Address already in use; end what uses it, or give --port"
                )

    def test_a_running_cluster(self, seamark, data_dir: Path) -> None:
        assert seamark("up", "--nodes", "0", "--port", str(free_port()), "--detach").returncode == 0
        line = refused(seamark("up"))
        assert f"--data-dir {data_dir}: a Seamark is running there (process " in line

    def test_a_newer_data_directory(self, seamark, data_dir: Path) -> None:
        data_dir.mkdir()
        (data_dir / "seamark.json").write_text('{"format": 99}')
        for command in (["up", "--nodes", "0"], ["down", "--purge"]):  # nothing of it is touched
            assert "written by a newer Seamark (format 99" in refused(seamark(*command))
        shutil.rmtree(data_dir)

    def test_a_newer_registry(self, seamark, data_dir: Path) -> None:
        port = str(free_port())
        assert seamark("up", "--nodes", "0", "--port", port, "--detach").returncode == 0
        assert seamark("down").returncode == 0
        with sqlite3.connect(data_dir / "registry.db") as registry:
            registry.execute("PRAGMA user_version = 99")
        registry.close()
        assert "newer Seamark" in refused(seamark("up"))

    def test_an_unwritable_place(self, seamark, tmp_path: Path, data_dir: Path) -> None:
        data_dir.write_text("a file, not a directory")
        assert f"--data-dir {data_dir}: cannot be made" in refused(seamark("up", "--nodes", "0"))
        data_dir.unlink()

    def test_host_and_isolated(self, seamark) -> None:
        assert "--isolated and --host exclude each other" in refused(seamark("up", "--host", "--isolated"))

    def test_kubeconfig_of_nothing(self, seamark, data_dir: Path) -> None:
        assert refused(seamark("kubeconfig")) == (
            f"seamark --data-dir {data_dir}: no cluster was made there; `seamark up` makes one"
        )


@pytest.mark.net
@needs_root
class TestNodes:
    """One node, its DNS pods, and what stays after kill -9."""

    def kubectl(self, data_dir: Path, *argv: str) -> str:
        found = os.environ.get("KUBECTL") or shutil.which("kubectl") or str(Path(".tools/bin/kubectl").absolute())
        command = [found, f"--kubeconfig={data_dir}/admin.kubeconfig", *argv]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    def pods(self, data_dir: Path) -> set[tuple[str, str, str]]:
        lines = self.kubectl(data_dir, "get", "pod", "-A", "-o", "wide", "--no-headers").splitlines()
        return {(f[1], f[4], f[6]) for f in (line.split() for line in lines)}

    def test_kill_9_costs_no_pod(self, seamark, data_dir: Path) -> None:
        assert seamark("up", "--port", str(free_port()), "--detach").returncode == 0
        run = ["run", "sleeper", "--image=seamark.local/host", "--command", "--", "sleep", "600"]
        self.kubectl(data_dir, *run)
        self.kubectl(data_dir, "wait", "--for=condition=Ready", "pod/sleeper", "--timeout=30s")
        before = self.pods(data_dir)
        assert len(before) == 3
        os.kill(json.loads(seamark("status", "-o", "json").stdout)["pid"], signal.SIGKILL)
        again = seamark("up", "--detach")
        assert again.returncode == 0, again.stderr
        assert "network of 1 node(s) adopted" in again.stdout
        assert self.pods(data_dir) == before  # names, restart counts, addresses

    def test_kill_9_and_down_leave_nothing(self, seamark, data_dir: Path) -> None:
        assert seamark("up", "--port", str(free_port()), "--detach").returncode == 0
        os.kill(json.loads(seamark("status", "-o", "json").stdout)["pid"], signal.SIGKILL)
        assert seamark("down").returncode == 0
        assert str(data_dir) not in Path("/proc/self/mounts").read_text()
        lines = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
        assert not [line for line in lines.splitlines() if str(data_dir) in line and "pytest" not in line]

    def test_shell_runs_inside_the_node(self, seamark, data_dir: Path) -> None:
        assert seamark("up", "--port", str(free_port()), "--detach").returncode == 0
        inside = seamark("shell", "master1", "--", "ip", "-br", "addr", "show", "eth0")
        assert "192.168.100.11/24" in inside.stdout
        assert "there are: master1" in refused(seamark("shell", "node7", "--", "true"))
