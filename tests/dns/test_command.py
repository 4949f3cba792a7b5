"""``seamark dns`` as a process of its own: flags, signals, exit status, and how little it imports."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dns.exception
import dns.message
import dns.query
import pytest

from seamark.testing.ports import free_port

HEAVY = ("cryptography", "typer", "rich", "pyroute2", "click", "google")


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "seamark", "dns", *arguments]


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=30, cwd=cwd, check=False)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    """Starts the command and reads its log until the line that says it serves."""
    running: list[Started] = []

    def begin(*arguments: str, until: str | None = "Seamark-") -> Started:
        process = Started(
            command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path
        )
        running.append(process)
        if until is not None:
            wait_for_line(process, until)
        return process

    yield begin
    for process in running:
        if process.poll() is None:
            process.kill()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


class Started(subprocess.Popen[str]):
    """``said`` are the lines read so far."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.said: list[str] = []


def until_answered(port: int) -> None:
    for _ in range(100):
        try:
            dns.query.udp(dns.message.make_query("a.test.", "A"), "127.0.0.1", port=port, timeout=0.2)
            return
        except (OSError, dns.exception.Timeout):
            continue
    raise AssertionError("nothing answers")


def get(port: int, path: str) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as found:
            return int(found.status)
    except urllib.error.HTTPError as error:
        return error.code


def wait_for_line(process: Started, part: str) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        process.said.append(line)
        if part in line:
            return line
    raise AssertionError(f"it ended with {process.wait(10)} before it said {part!r}")


def ask(port: int, name: str = "a.test.") -> dns.message.Message:
    return dns.query.udp(dns.message.make_query(name, "A"), "127.0.0.1", port=port, timeout=5)


def test_version_and_plugins() -> None:
    assert run("-version").stdout.startswith("Seamark-")
    plugins = run("--plugins").stdout.splitlines()
    assert "kubernetes" in plugins and plugins == sorted(plugins), "one a line, as CoreDNS prints them"


def test_an_unknown_flag_is_an_error() -> None:
    found = run("-nosuch")
    assert found.returncode == 2 and "-nosuch" in found.stderr


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (".:1 {\n  forwrd . 1.1.1.1\n}\n", "Corefile:2:3: unknown plugin 'forwrd'"),
        (".:1 {\n  kubernetes a.b\n}\n", "Corefile:2:3: kubernetes: KUBERNETES_SERVICE_HOST"),
        (None, "No such file"),
    ],
)
def test_a_corefile_that_cannot_be_taken(tmp_path: Path, text: str | None, message: str) -> None:
    file = tmp_path / "Corefile"
    if text is not None:
        file.write_text(text)
    found = run("-conf", str(file))
    assert found.returncode == 1
    assert message in found.stderr and "Traceback" not in found.stderr


def test_without_a_corefile_it_is_whoami(start: Any) -> None:
    port = free_port()
    process = start("-dns.port", str(port))
    assert ask(port).additional
    assert '"A IN a.test. udp' in wait_for_line(process, "a.test.")


def test_signals(start: Any, tmp_path: Path) -> None:
    port = free_port()
    file = tmp_path / "Corefile"
    text = ".:{port} {{\nhealth 127.0.0.1:{health} {{\nlameduck 100ms\n}}\nhosts /none {{\n{address} a.test\n}}\n}}\n"
    health = free_port()
    file.write_text(text.format(port=port, health=health, address="10.0.0.1"))
    process = start("-conf", str(file), f"-pidfile={tmp_path / 'pid'}")
    assert (tmp_path / "pid").read_text() == f"{process.pid}\n"
    file.write_text(text.format(port=port, health=health, address="10.0.0.2"))
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGUSR1)
    wait_for_line(process, "Reloading complete")
    assert ask(port).answer[0][0].to_text() == "10.0.0.2"
    process.send_signal(signal.SIGTERM)
    wait_for_line(process, "lameduck mode for 100ms")
    assert process.wait(10) == 0


def test_what_is_said_of_the_start_and_of_signals(start: Any, tmp_path: Path) -> None:
    port, health = free_port(), free_port()
    (tmp_path / "Corefile").write_text(f"b.test:{port} a.test:{port} {{\nwhoami\nreload\n}}\n")
    process = start("-conf=Corefile", "-pidfile", "pid", until="python3")
    assert [line.split("=")[0].strip() for line in process.said] == [
        f"a.test.:{port}",
        f"b.test.:{port}",
        "[INFO] plugin/reload: Running configuration SHA512",
        process.said[-2].strip(),
        process.said[-1].strip(),
    ]
    assert process.said[-2].startswith("Seamark-") and process.said[-1].startswith("linux/")
    process.send_signal(signal.SIGUSR1)
    assert wait_for_line(process, "SIGUSR1") == "[INFO] SIGUSR1: Reloading\n"
    wait_for_line(process, "Reloading complete")  # also where the Corefile is what it was: certificates may not be
    process.send_signal(signal.SIGINT)
    assert wait_for_line(process, "SIGINT") == "[INFO] SIGINT: Shutting down\n"
    assert process.wait(10) == 0
    assert not (tmp_path / "pid").exists()
    (tmp_path / "Corefile").write_text(f".:{port} {{\nwhoami\nlog\nhealth 127.0.0.1:{health}\n}}\n")
    quiet = start("-conf=Corefile", "-quiet", until=None)
    until_answered(port)
    assert wait_for_line(quiet, "").startswith("[INFO] 127.0.0.1:"), "the log is no output of the start"


@pytest.mark.parametrize(("first", "second", "status"), [("SIGINT", "SIGINT", 2), ("SIGTERM", "SIGQUIT", 0)])
def test_a_second_signal_ends_lameduck(start: Any, tmp_path: Path, first: str, second: str, status: int) -> None:
    (tmp_path / "Corefile").write_text(
        f".:{free_port()} {{\nwhoami\nhealth 127.0.0.1:{free_port()} {{\nlameduck 5m\n}}\n}}\n"
    )
    process = start("-conf=Corefile")
    process.send_signal(signal.Signals[first])
    wait_for_line(process, "lameduck")
    process.send_signal(signal.Signals[second])
    assert process.wait(20) == status


def test_while_it_waits_for_the_api_server(start: Any, tmp_path: Path) -> None:
    """It says that it lives and not that it is ready, and can be ended."""
    port, health, ready = free_port(), free_port(), free_port()
    (tmp_path / "Corefile").write_text(
        f".:{port} {{\nhealth 127.0.0.1:{health}\nready 127.0.0.1:{ready}\nhosts\n"
        f"kubernetes cluster.local {{\nendpoint http://127.0.0.1:{free_port()}\nstartup_timeout 5m\n}}\n}}\n"
    )
    process = start("-conf=Corefile", until="plugin/kubernetes: waiting for Kubernetes API")
    assert get(health, "/health") == 200
    assert get(ready, "/ready") == 503
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


def test_log_lines_as_json(start: Any, tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "Corefile").write_text(
        f".:{port} {{\nlog\nerrors\nhosts none {{\n10.0.0.1 a.test\nfallthrough\n}}\n}}\n"
    )
    process = start("-conf=Corefile", "-log-format=json", until="python3")
    warning, zone, version = (json.loads(line) for line in process.said)
    assert (warning["level"], warning["plugin"], warning["msg"]) == ("WARN", "hosts", "File does not exist: none")
    assert zone["msg"] == f".:{port}" and version["msg"].startswith("Seamark-")
    ask(port, "A.test.")
    line = json.loads(wait_for_line(process, "a.test."))
    assert (
        line.pop("time").endswith("Z") and line.pop("duration_seconds") > 0 and line.pop("msg").startswith("127.0.0.1:")
    )
    assert line.pop("client_port") and line.pop("id") is not None
    assert line == {
        "level": "INFO", "plugin": "log", "client_ip": "127.0.0.1", "qname": "a.test.", "qtype": "A", "qclass": "IN",
        "protocol": "udp", "opcode": 0, "request_size": 24, "dnssec_ok": False, "bufsize": 512, "rcode": "NOERROR",
        "response_size": 46,
    }  # fmt: skip
    ask(port, "b.test.")
    error = json.loads(wait_for_line(process, '"errors"'))
    assert (error["level"], error["msg"]) == ("ERROR", "2 b.test. A: plugin/hosts: no next plugin found")


def test_a_corefile_from_standard_input() -> None:
    found = subprocess.run(
        command("-conf", "stdin"), input=".:1 {\n  nosuch\n}\n", capture_output=True, text=True, timeout=30
    )
    assert found.returncode == 1 and "stdin:2:3: unknown plugin 'nosuch'" in found.stderr


def test_sigquit_ends_at_once(start: Any) -> None:
    process = start("-p", str(free_port()), "-conf=/dev/null")
    began = time.monotonic()
    process.send_signal(signal.SIGQUIT)
    assert process.wait(10) == 0
    assert time.monotonic() - began < 5


def test_it_imports_no_more_than_it_needs() -> None:
    code = f"import sys, seamark.cli.dns; print([m for m in {HEAVY!r} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert found.stdout == "[]\n"
