"""Runs every case with every Helm on a one-node cluster and writes docs/helm.md; the status is 1 if a case failed."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import seamark
from conformance.cluster import running_cluster
from conformance.kubectl.__main__ import fetch, run
from conformance.kubectl.cases import read_cases
from conformance.page import render_matrix, render_page

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "helm.md"
MINORS = (21, 32, 34, 37)
"""Minor versions of Kubernetes whose packages bring a Helm."""
ABOUT = """What Helm does with [a chart](../conformance/helm/chart), by version, each command judged by what it brought
about; `make test-helm` makes this page, the cases are [data](../conformance/helm/cases.yaml)."""


def version(binary: Path) -> str:
    said = subprocess.run([binary, "version", "--short"], capture_output=True, text=True, check=True)
    return said.stdout.strip().partition("+")[0]


def main() -> int:
    cases = read_cases(HERE / "cases.yaml")
    binaries = [fetch(minor, "helm") for minor in MINORS]
    names = {f"1.{minor}": version(binary) for minor, binary in zip(MINORS, binaries, strict=True)}
    with running_cluster("--nodes", "1") as cluster:
        matrix = asyncio.run(run(MINORS, cases, {True: cluster}, program="helm", words={"chart": str(HERE / "chart")}))
    passed, failed, skipped = matrix.count()
    matrix.columns = list(names.values())
    matrix.cells = {(row, names[column]): reason for (row, column), reason in matrix.cells.items()}
    versions = {"Seamark": seamark.__version__, "Helm": ", ".join(names.values())}
    body = f"{passed} passed, {failed} failed.\n\n" + render_matrix(matrix, first="command")
    PAGE.write_text(render_page("Helm, by version", ABOUT, versions=versions, body=body))
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
