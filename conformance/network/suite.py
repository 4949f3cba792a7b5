"""``e2e.test``: which tests and images it knows, and one test run as a process of its own.

A process a test: the suite's own limit of an hour never strikes, a test that hangs costs only its own patience, and
several run side by side as far as they may. It costs about two seconds of CPU a test.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

SERIAL = ("[Serial]", "[Disruptive]")
GRACE = 120.0
"""Seconds beyond its time limit in which the suite cleans up and writes what it found."""

Outcome = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True)
class Verdict:
    outcome: Outcome
    seconds: float
    why: str = ""


@dataclass(frozen=True)
class Suite:
    """``enter``: the command line that leads to where nodes and pods can be reached. Logs lie in ``logs``."""

    program: Path
    kubeconfig: Path
    kubectl: str
    enter: tuple[str, ...]
    logs: Path
    patience: int
    flags: tuple[str, ...] = ()
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def stop(self) -> None:
        """Ends what runs; its verdicts are worth nothing."""
        for process in list(self.running):
            process.kill()

    def run(self, test: str) -> Verdict:
        log = self.logs / f"{re.sub(r'[^A-Za-z0-9]+', '-', test).strip('-')[:180]}.log"
        argv = [
            *self.enter,
            str(self.program),
            f"--kubeconfig={self.kubeconfig}",
            f"--kubectl-path={self.kubectl}",
            "--provider=skeleton",
            f"--ginkgo.focus={re.escape(test)}$",
            f"--ginkgo.timeout={self.patience}s",
            "--ginkgo.no-color",
            "--ginkgo.v",
            *self.flags,
        ]
        with log.open("w") as output, subprocess.Popen(argv, stdout=output, stderr=subprocess.STDOUT) as process:
            self.running.append(process)
            try:
                process.wait(self.patience + GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
                return Verdict("failed", self.patience + GRACE, "did not end in time")
            finally:
                self.running.remove(process)
        return parse_verdict(log.read_text(errors="replace"))


def list_tests(program: Path) -> list[str]:
    """Their whole names, sorted."""
    lines = _ask(program, "--list-tests").splitlines()
    return sorted({found[1] for line in lines if (found := re.match(r"\s+\S+\.go:\d+: (.*)", line))})


def list_images(program: Path) -> list[str]:
    return sorted(_ask(program, "--list-images").split())


def is_serial(test: str) -> bool:
    return any(label in test for label in SERIAL)


def _ask(program: Path, option: str) -> str:
    return subprocess.run([program, option], capture_output=True, text=True, check=True).stdout


RAN = re.compile(r"^Ran (\d+) of \d+ Specs in ([\d.]+) seconds", re.MULTILINE)
REASON = r"^  \[{mark}\] (?!in \[)(.*?)\n  In \["
"""How the report of a test ends: what was wrong, and where."""


def parse_verdict(log: str) -> Verdict:
    """What ginkgo said of the one test."""
    ran = RAN.search(log)
    if ran is None:
        last = [line for line in log.splitlines() if line.strip("S- \t")][-1:]
        return Verdict("failed", 0.0, _shorten(["the suite ended early:", *last]))
    seconds = float(ran[2])
    if re.search(r"^SUCCESS! -- 1 Passed \| 0 Failed", log, re.MULTILINE):
        return Verdict("passed", seconds)
    if ran[1] == "0" and re.search(r"^Will run 1 of ", log, re.MULTILINE) and " 0 Failed" in log:
        return Verdict("skipped", seconds, _reason(log, "SKIPPED") or "by the test itself")
    return Verdict("failed", seconds, _reason(log, "FAILED") or "no reason given")


def _reason(log: str, mark: str) -> str | None:
    found = re.search(REASON.format(mark=mark), log, re.MULTILINE | re.DOTALL)
    return _shorten(found[1].splitlines()) if found else None


def _shorten(lines: Sequence[str]) -> str:
    found = " ".join(" ".join(lines).split())
    return found if len(found) <= 300 else f"{found[:297]}…"
