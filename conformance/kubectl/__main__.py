"""``make test-kubectl``, or ``python -m conformance.kubectl [--minors 20,37] [--only PART]``.

Fetches each kubectl once into the user's cache, brings up one cluster without nodes and one with a node, runs every
case with every version, and writes docs/kubectl.md: what was found now, and earlier where only a part was asked for.
The status is 1 if a case failed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import seamark
from conformance.cluster import Cluster, running_cluster
from conformance.kubectl.cases import Case, read_cases, read_given
from conformance.kubectl.run import Runner
from conformance.page import SKIP, Matrix, render_matrix, render_page

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "kubectl.md"
MINORS = (20, 21, 24, 27, 29, 30, 32, 34, 37)
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "seamark" / "clients"
AT_ONCE = 2
ABOUT = """What is typed, by version of kubectl, each command judged by what it prints; `make test-kubectl` makes this
page, the cases are [data](../conformance/kubectl/cases). ✓ passed, ✗ failed, – left out: the note says why."""


def fetch(minor: int, program: str = "kubectl") -> Path:
    binary = CACHE / f"{program}-1.{minor}" / program
    if not binary.exists():
        print(f"fetching {program} of Kubernetes 1.{minor}", flush=True)
        subprocess.run([ROOT / "tools" / "fetch-kubectl", str(minor), binary.parent, program], check=True)
    return binary


async def run(
    minors: Sequence[int],
    cases: Sequence[Case],
    clusters: dict[bool, Cluster],
    *,
    program: str = "kubectl",
    words: dict[str, str] | None = None,
) -> Matrix:
    """Every case with every version; ``clusters``: by whether the case needs a node."""
    matrix = Matrix([f"1.{minor}" for minor in minors], [case.name for case in cases])
    given = read_given()
    waiting = list(minors)
    kubectl = fetch(MINORS[-1])

    async def work() -> None:
        while waiting:
            minor = waiting.pop(0)
            with tempfile.TemporaryDirectory(prefix="kubectl-") as home:
                await _run_version(minor, Path(home))

    async def _run_version(minor: int, home: Path) -> None:
        binary = fetch(minor, program)
        runners = {
            node: Runner(cluster, cluster.client(), binary, minor, home, given, kubectl, words or {})
            for node, cluster in clusters.items()
        }
        for number, case in enumerate(cases):
            why = case.skipped(minor)
            reason = f"{SKIP}{why}" if why else await runners[case.node].take(case, number)
            matrix.cells[case.name, f"1.{minor}"] = reason
            if reason and not why:
                print(f"1.{minor}  {case.name}\n    {reason}", flush=True)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return matrix


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m conformance.kubectl")
    parser.add_argument("--minors", default=",".join(map(str, MINORS)))
    parser.add_argument("--only", default="")
    asked = parser.parse_args()
    minors = [int(minor) for minor in asked.minors.split(",")]
    cases = [case for case in read_cases() if asked.only in case.name]
    with ExitStack() as stack:
        nodes = {case.node for case in cases}
        clusters = {node: stack.enter_context(running_cluster("--nodes", "1" if node else "0")) for node in nodes}
        matrix = asyncio.run(run(minors, cases, clusters))
    passed, failed, skipped = matrix.count()
    PAGE.write_text(render(keep(matrix)))
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


def keep(matrix: Matrix) -> Matrix:
    """All that is known, with what was found now: a part that is run again mends its part of the page."""
    file = CACHE / "kubectl.json"
    known: dict[str, dict[str, str]] = json.loads(file.read_text()) if file.exists() else {}
    for (row, column), reason in matrix.cells.items():
        known.setdefault(row, {})[column] = reason
    file.write_text(json.dumps(known, indent=1))
    whole = Matrix([f"1.{minor}" for minor in MINORS], [case.name for case in read_cases()])
    whole.cells = {(row, column): reason for row in whole.rows for column, reason in known.get(row, {}).items()}
    return whole


def render(matrix: Matrix) -> str:
    passed, failed, skipped = matrix.count()
    versions = {"Seamark": seamark.__version__, "kubectl": ", ".join(matrix.columns)}
    told = f"{len(matrix.rows)} commands: {passed} passed, {failed} failed, {skipped} left out.\n\n"
    body = told + render_matrix(matrix, first="command")
    return render_page("kubectl, by version", ABOUT, versions=versions, body=body)


if __name__ == "__main__":
    sys.exit(main())
