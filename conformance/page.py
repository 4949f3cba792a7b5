"""The pages that the targets write: a table of what was tried, and below it the reason of every cell that is not ✓."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

PASSED = ""
"""The reason of what passed: none."""

SKIP = "skip: "
"""How a reason begins that is not Seamark's: the client does not have what was asked."""


@dataclass
class Matrix:
    """Rows by columns; a cell is PASSED or the reason why not. Rows and columns stand in the order given."""

    columns: Sequence[str]
    rows: Sequence[str]
    cells: dict[tuple[str, str], str] = field(default_factory=dict)

    def failures(self) -> list[tuple[str, str, str]]:
        """(row, column, reason) of every cell that is neither passed nor skipped; one that was never tried is one."""
        found = []
        for row in self.rows:
            for column in self.columns:
                reason = self.cells.get((row, column), "not tried")
                if reason and not reason.startswith(SKIP):
                    found.append((row, column, reason))
        return found

    def count(self) -> tuple[int, int, int]:
        """Passed, failed, skipped."""
        skipped = sum(reason.startswith(SKIP) for reason in self.cells.values())
        failed = len(self.failures())
        return len(self.columns) * len(self.rows) - failed - skipped, failed, skipped


def render_matrix(matrix: Matrix, *, first: str) -> str:
    """A Markdown table, numbered notes below it."""
    notes: dict[str, int] = {}
    lines = [f"| {first} | {' | '.join(matrix.columns)} |", f"|---|{'---|' * len(matrix.columns)}"]
    for row in matrix.rows:
        cells = [_cell(matrix.cells.get((row, column), "not tried"), notes) for column in matrix.columns]
        lines.append(f"| {escape(row)} | {' | '.join(cells)} |")
    told = [f"{number}. {escape(text.removeprefix(SKIP))}" for text, number in notes.items()]
    return "\n".join([*lines, "", *told, ""] if told else [*lines, ""])


def _cell(reason: str, notes: dict[str, int]) -> str:
    if not reason:
        return "✓"
    number = notes.setdefault(reason, len(notes) + 1)
    return f"{'–' if reason.startswith(SKIP) else '✗'} {number}"


def escape(text: str) -> str:
    """One line, without what a table would read as its own."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def render_page(title: str, about: str, *, versions: Mapping[str, str], body: str) -> str:
    """The whole page. ``versions``: what ran, by name; the date is that of the run."""
    told = ", ".join(f"{name} {version}" for name, version in versions.items())
    date = datetime.datetime.now(datetime.UTC).date()
    return f"# {title}\n\n{about}\n\nMade on {date}: {told}.\n\n{body}"
