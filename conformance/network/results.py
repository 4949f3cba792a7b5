"""What is known of every test, kept in a file between runs, and the page made of it."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from conformance.network.groups import CONFORMANCE
from conformance.network.suite import Verdict
from conformance.page import escape, render_page

ABOUT = """The network tests of Kubernetes' own end-to-end suite, run by `make conformance-network` (the conformance
set, against a Seamark cluster of two nodes) and `make conformance-network SET=all` (six nodes in three zones). Bodies
are protobuf, as client-go sends them. The suite's images are made of Debian's packages under the suite's names; agnhost
is Kubernetes' own. A test with – skipped itself, for the reason beside it. Each row has the date of its last run."""
MARKS = {"passed": "✓", "failed": "✗", "skipped": "–"}


@dataclass(frozen=True)
class Result:
    outcome: str
    seconds: float
    why: str
    date: str


class Results:
    def __init__(self, file: Path) -> None:
        self._file = file
        stored = json.loads(file.read_text()) if file.exists() else {}
        self._known = {test: Result(**result) for test, result in stored.items()}

    def note(self, test: str, verdict: Verdict) -> None:
        """Written at once: a run that is broken off goes on where it was."""
        date = datetime.datetime.now(datetime.UTC).date().isoformat()
        self._known[test] = Result(verdict.outcome, round(verdict.seconds, 1), verdict.why, date)
        partial = self._file.with_suffix(".new")
        partial.write_text(json.dumps({test: asdict(result) for test, result in self._known.items()}, indent=1))
        partial.replace(self._file)

    def get(self, test: str) -> Result | None:
        return self._known.get(test)

    def is_failed(self, test: str) -> bool:
        result = self.get(test)
        return result is None or result.outcome == "failed"

    def count(self, tests: Sequence[str], outcome: str) -> int:
        return sum(result is not None and result.outcome == outcome for result in map(self.get, tests))


def render_results(
    groups: Mapping[str, Sequence[str]], left_out: Mapping[str, str], results: Results, versions: Mapping[str, str]
) -> str:
    shown = {group: tests for group, tests in groups.items() if any(results.get(test) for test in tests)}
    lines = ["| group | tests | passed | failed | skipped |", "|---|---|---|---|---|"]
    for group, tests in shown.items():
        counts = " | ".join(str(results.count(tests, outcome)) for outcome in MARKS)
        lines.append(f"| {escape(group)} | {len(tests)} | {counts} |")
    body = "\n".join(lines) + "\n"
    for group, tests in shown.items():
        body += f"\n## {group}\n\n| test | | seconds | date |\n|---|---|---|---|\n"
        body += "".join(_render_row(group, test, results.get(test)) for test in tests)
    body += "\n## Left out\n\n| test | why |\n|---|---|\n"
    body += "".join(f"| {escape(test)} | {escape(why)} |\n" for test, why in left_out.items())
    return render_page("Kubernetes' network tests", ABOUT, versions=versions, body=body)


def _render_row(group: str, test: str, result: Result | None) -> str:
    name = test.removeprefix("[sig-network] ")
    if group == CONFORMANCE:
        name = name.removesuffix(" [Conformance]")
    if result is None:
        return f"| {escape(name)} | not run | | |\n"
    mark = f"{MARKS[result.outcome]} {escape(result.why)}".strip()
    return f"| {escape(name)} | {mark} | {result.seconds:.0f} | {result.date} |\n"
