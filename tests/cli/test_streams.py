"""Streams of real pods through a real cluster, with an old kubectl (SPDY) and a new one (WebSockets)."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import shutil
import socket
import subprocess
import termios
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.net,
    pytest.mark.kubectl,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(not shutil.which("runc"), reason="needs runc"),
]

TOOLS = Path(__file__).parent.parent.parent / ".tools"
KNOWN = sorted(
    (*TOOLS.glob("kubectl-*/kubectl"), *TOOLS.glob("streams/kubectl-*/kubectl")), key=lambda p: p.parent.name
)
BINARIES = [str(p) for p in (*KNOWN[:1], *KNOWN[-1:])] or [b for b in (shutil.which("kubectl"),) if b]

WEB = """
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: c
    image: seamark.local/host
    command: [sh, -c, "cd /tmp && echo '<a href=/x>x</a>' > index.html && exec python3 -m http.server 8000"]
    ports: [{containerPort: 8000}]
    readinessProbe: {tcpSocket: {port: 8000}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8000}]}
---
apiVersion: v1
kind: Pod
metadata: {name: keeps}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: c
    image: seamark.local/host
    stdin: true
    command: [sh, -c, "while read line; do echo got $line; done"]
"""


class Kubectl:
    def __init__(self, binary: str, kubeconfig: Path) -> None:
        self.binary = binary
        self.env = {"KUBECONFIG": str(kubeconfig), "HOME": str(kubeconfig.parent), "PATH": os.environ["PATH"]}

    def __call__(self, *args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [self.binary, *args]
        return subprocess.run(
            command, input=stdin, env=self.env, capture_output=True, text=True, timeout=40, check=False
        )

    def start(self, *args: str, **options: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen([self.binary, *args], env=self.env, **options)


@pytest.fixture
def cluster(seamark: Any, data_dir: Path) -> Path:
    """Its kubeconfig."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    up = seamark("up", "--nodes", "2", "--detach", "--port", str(port))
    assert up.returncode == 0, up.stderr
    kubeconfig = data_dir / "admin.kubeconfig"
    kubectl = Kubectl(BINARIES[-1], kubeconfig)
    made = kubectl("create", "-f", "-", stdin=WEB)
    assert made.returncode == 0, made.stderr
    ready = kubectl("wait", "--for=condition=Ready", "pod/web", "pod/keeps", "--timeout=30s")
    assert ready.returncode == 0, ready.stderr
    return kubeconfig


@pytest.mark.skipif(not BINARIES, reason="no kubectl: set KUBECTL, or run tools/fetch-kubectl")
@pytest.mark.timeout(180)
def test_streams_of_real_pods(cluster: Path, tmp_path: Path) -> None:
    """One cluster for all of it: bringing it up costs more than the rest."""
    for binary in BINARIES:
        kubectl = Kubectl(binary, cluster)
        commands(kubectl, tmp_path)
        run_and_attach(kubectl)
        forwards(kubectl)
    proxies(Kubectl(BINARIES[-1], cluster))
    rotated_logs(Kubectl(BINARIES[-1], cluster))


def commands(kubectl: Kubectl, tmp_path: Path) -> None:
    done = kubectl("exec", "-i", "web", "--", "sh", "-c", "cat; echo err >&2; exit 5", stdin="in")
    assert (done.returncode, done.stdout) == (5, "in") and "err\n" in done.stderr
    content = os.urandom(300_000)
    (tmp_path / "there").write_bytes(content)
    assert kubectl("cp", str(tmp_path / "there"), "web:/tmp/f").returncode == 0
    assert kubectl("cp", "web:/tmp/f", str(tmp_path / "back")).returncode == 0
    assert (tmp_path / "back").read_bytes() == content
    code, shown = on_terminal(kubectl, "exec", "-it", "web", "--", "sh", typed=[b"stty size\n", b"exit 6\n"])
    assert code == 6 and "33 111" in shown


def run_and_attach(kubectl: Kubectl) -> None:
    image = "--image=seamark.local/host"
    ran = kubectl(
        "run", "once", "-i", "--rm", image, "--restart=Never", "--", "sh", "-c", "cat; exit 3", stdin="hello\n"
    )
    assert ran.returncode == 3 and "hello\n" in ran.stdout
    typed = [b"\n", b"stty size\n", b"exit 4\n"]
    code, shown = on_terminal(kubectl, "run", "-it", "--rm", "tty", image, "--restart=Never", "--", "sh", typed=typed)
    assert code == 4 and "33 111" in shown
    for line in ("one", "two"):  # who leaves leaves the container and its input
        attached = kubectl("attach", "-i", "keeps", stdin=f"{line}\n")
        assert attached.returncode == 0
    assert kubectl("logs", "keeps").stdout.endswith("got one\ngot two\n")
    assert kubectl("get", "pod", "keeps", "-o", "jsonpath={.status.phase}").stdout == "Running"


def forwards(kubectl: Kubectl) -> None:
    process = kubectl.start("port-forward", "svc/web", ":80", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert process.stdout is not None
        match = re.match(rb"Forwarding from 127.0.0.1:(\d+)", process.stdout.readline())
        assert match
        with socket.create_connection(("127.0.0.1", int(match[1])), timeout=20) as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            client.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: client.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.0 200 OK") and answer.endswith(b"<a href=/x>x</a>\n")
    finally:
        process.terminate()
        process.communicate(timeout=20)


def proxies(kubectl: Kubectl) -> None:
    for where in ("services/web:http", "services/http:web:80", "pods/web", "pods/web:8000"):
        page = kubectl("get", "--raw", f"/api/v1/namespaces/default/{where}/proxy/")
        assert page.stdout == f'<a href="/api/v1/namespaces/default/{where}/proxy/x">x</a>\n', page.stderr
    refused = kubectl("get", "--raw", "/api/v1/namespaces/default/pods/web:1/proxy/")
    assert re.search(r"error trying to reach service: dial tcp [\d.]+:1: connect: connection refused", refused.stderr)


def rotated_logs(kubectl: Kubectl) -> None:
    """25 MB, two rotations: a follower misses nothing; who comes later sees the newest file, as kubelet shows it."""
    script = "echo 0; read go; seq -f '%0999.0f' 25000; sleep 60"
    options = ("--image=seamark.local/host", "--stdin", "--leave-stdin-open", "--attach=false")
    assert kubectl("run", "writer", *options, "--", "sh", "-c", script).returncode == 0
    assert kubectl("wait", "--for=condition=Ready", "pod/writer", "--timeout=30s").returncode == 0
    follower = kubectl.start("logs", "-f", "writer", stdout=subprocess.PIPE)
    try:
        assert follower.stdout is not None
        assert int(follower.stdout.readline()) == 0, "it reads before the writer is let go"
        assert kubectl("attach", "-i", "writer", stdin="go\n").returncode == 0
        for number in range(1, 25001):
            assert int(follower.stdout.readline()) == number
    finally:
        follower.kill()
        follower.communicate()
    lines = kubectl("logs", "writer").stdout.split()
    assert 0 < len(lines) < 15_000 and int(lines[-1]) == 25_000


def on_terminal(kubectl: Kubectl, *args: str, typed: list[bytes]) -> tuple[int, str]:
    """kubectl on a terminal of 111 × 33: each line is typed once the screen has been still for a moment."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (33, 111))
    process = kubectl.start(*args, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    os.close(theirs)
    shown, end = b"", time.monotonic() + 40
    try:
        while process.poll() is None and time.monotonic() < end:
            if select.select([ours], [], [], 0.5)[0]:
                with contextlib.suppress(OSError):  # EIO: kubectl has ended
                    shown += os.read(ours, 65536)
            elif typed:
                os.write(ours, typed.pop(0))
        return process.wait(timeout=5), shown.decode(errors="replace")
    finally:
        process.kill()
        process.wait()
        os.close(ours)
