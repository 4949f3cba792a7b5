"""``seamark dns`` as a process of its own: flags, signals, exit status, and how little it imports."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
    running: list[subprocess.Popen[str]] = []

    def begin(*arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path
        )
        running.append(process)
        wait_for_line(process, "Seamark-")
        return process

    yield begin
    for process in running:
        if process.poll() is None:
            process.kill()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


def wait_for_line(process: subprocess.Popen[str], part: str) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if part in line:
            return line
    raise AssertionError(f"it ended with {process.wait(10)} before it said {part!r}")


def ask(port: int, name: str = "a.test.") -> dns.message.Message:
    return dns.query.udp(dns.message.make_query(name, "A"), "127.0.0.1", port=port, timeout=5)


def test_version_and_plugins() -> None:
    assert run("-version").stdout.startswith("Seamark-")
    assert "  dns.kubernetes\n" in run("--plugins").stdout


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
    wait_for_line(process, "lameduck mode for 0.1s")
    assert process.wait(10) == 0


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
