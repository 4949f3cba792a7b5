"""The table of a run, as Markdown: a row a figure and size, a column a proxy, and how many times less Seamark takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from bench.proxy_beside.measures import Figures

OURS = "seamark"
Measure = Callable[[Figures], float]

ROWS: tuple[tuple[str, str, Measure], ...] = (
    ("start to every Service in force", "s", lambda f: f.cold),
    ("CPU of the start", "s", lambda f: f.cold_cpu),
    ("restart over existing rules", "s", lambda f: f.restart),
    ("one EndpointSlice changed → in force, p50", "ms", lambda f: percentile(f.changes, 50) * 1000),
    ("the same, p99", "ms", lambda f: percentile(f.changes, 99) * 1000),
    ("CPU a change", "ms", lambda f: f.change_cpu * 1000),
    ("100 changes a second: lag p50", "ms", lambda f: percentile(f.lags, 50) * 1000),
    ("the same, p99", "ms", lambda f: percentile(f.lags, 99) * 1000),
    ("the same, CPU a change", "ms", lambda f: f.burst_cpu * 1000),
    ("the same, changes a second that there were", "", lambda f: f.burst_rate),
    ("memory", "MB", lambda f: f.memory),
    ("connection set-up by one ClusterIP over direct", "×", lambda f: over_direct(f, "one Service")),
    ("the same, any of all Services in turn", "×", lambda f: over_direct(f, "any Service")),
    ("the same, 100 endpoints", "×", lambda f: over_direct(f, "100 endpoints")),
    ("the same, 100 endpoints with affinity", "×", lambda f: over_direct(f, "100 endpoints, affinity")),
    ("direct over direct (the noise)", "×", lambda f: over_direct(f, "direct again")),
)


def render(found: Mapping[tuple[str, int], Figures]) -> str:
    names = list(dict.fromkeys(name for name, _ in found))
    sizes = sorted({services for _, services in found})
    heads = [f"{name} {services:,}" for services in sizes for name in names if (name, services) in found]
    lines = [f"| what | {' | '.join(heads)} | less |", f"|---|{'---|' * (len(heads) + 1)}"]
    for what, unit, measure in ROWS:
        values = {place: measure(figures) for place, figures in found.items()}
        shown = [_show(values[name, size]) for size in sizes for name in names if (name, size) in found]
        less = _compare(values, sizes) if unit in ("s", "ms", "MB") else ""
        lines.append(f"| {what}{unit and ', '}{unit} | {' | '.join(shown)} | {less} |")
    return "\n".join(lines)


def percentile(values: Sequence[float], percent: int) -> float:
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def over_direct(figures: Figures, what: str) -> float:
    return figures.setup[what] / figures.setup["direct"] if figures.setup else math.nan


def _compare(values: Mapping[tuple[str, int], float], sizes: Sequence[int]) -> str:
    """kube-proxy's in mode nftables by Seamark's, at each size that both have."""
    peer = "kube-proxy nftables"
    both = [(values[peer, size], values[OURS, size]) for size in sizes if {(peer, size), (OURS, size)} <= set(values)]
    return ", ".join(f"{theirs / ours:.1f}×" for theirs, ours in both if ours and not math.isnan(theirs / ours))


def _show(value: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:.2f}" if value < 10 else f"{value:,.0f}"
