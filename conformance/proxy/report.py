"""The page's body: a table a scenario, the differences explained below them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from conformance.page import escape
from conformance.proxy.differences import INTENDED


@dataclass(frozen=True, slots=True)
class Cell:
    """What one backend did with one flow. ``seen``: empty where it is as wanted; ``reason``: what explains it."""

    scenario: str
    case: str
    backend: str
    seen: str
    reason: str = ""
    asked: bool = True

    @property
    def is_fine(self) -> bool:
        return not self.seen or bool(self.reason)


def render_body(cells: Sequence[Cell], backends: Sequence[str]) -> str:
    asked = [cell for cell in cells if cell.asked]
    parts = [_render_summary(asked, backends), _render_reasons(asked)]
    for scenario in dict.fromkeys(cell.scenario for cell in cells):
        own = [cell for cell in cells if cell.scenario == scenario]
        parts += [_render_scenario(own, backends)]
    parts.append("–: no packets can show it here (what passes by meets nobody; this kernel has no SCTP sockets).\n")
    return "\n".join(parts)


def _render_summary(asked: Sequence[Cell], backends: Sequence[str]) -> str:
    lines = ["| backend | flows | as flows.yaml says | otherwise, explained | otherwise |", "|---|---|---|---|---|"]
    for backend in backends:
        own = [cell for cell in asked if cell.backend == backend]
        same = sum(not cell.seen for cell in own)
        explained = sum(bool(cell.seen and cell.reason) for cell in own)
        lines.append(f"| {backend} | {len(own)} | {same} | {explained} | {len(own) - same - explained} |")
    return "\n".join([*lines, ""])


def _render_reasons(asked: Sequence[Cell]) -> str:
    lines = ["## Where kube-proxy differs", ""]
    for one in INTENDED:
        if any(cell.reason == one.name for cell in asked):
            lines += [f"**{one.name}.** {one.text}", ""]
    return "\n".join(lines)


def _render_scenario(cells: Sequence[Cell], backends: Sequence[str]) -> str:
    found = {(cell.case, cell.backend): cell for cell in cells}
    lines = [f"## {cells[0].scenario}", "", f"| flow | {' | '.join(backends)} |", f"|---|{'---|' * len(backends)}"]
    for case in dict.fromkeys(cell.case for cell in cells):
        shown = [_render_cell(found[case, backend]) for backend in backends]
        lines.append(f"| {escape(case)} | {' | '.join(shown)} |")
    return "\n".join([*lines, ""])


def _render_cell(cell: Cell) -> str:
    if not cell.asked:
        return "–"
    if not cell.seen:
        return "✓"
    return f"{escape(cell.seen)}: **{cell.reason}**" if cell.reason else f"✗ {escape(cell.seen)}"
