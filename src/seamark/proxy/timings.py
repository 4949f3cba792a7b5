"""Histograms that a change pays next to nothing for: an observation is one bisection and two additions.

The library's own finds a child by labels it turns into text, and takes a lock for the sum and for the bucket: a tenth
of what a change costs. Here its families are made when somebody asks for them. For one thread.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString


class _Child:
    def __init__(self, buckets: int) -> None:
        self.counts = [0] * (buckets + 1)  # the last: beyond every bound
        self.sum = 0.0


class Timings(Collector):
    """``bounds`` ascend; the bucket without one is added."""

    def __init__(
        self, name: str, help: str, labels: Sequence[str], bounds: Sequence[float], *, registry: CollectorRegistry
    ) -> None:
        self._name, self._help, self._labels = name, help, labels
        self._bounds = bounds
        self._children: dict[tuple[str, ...], _Child] = {}
        registry.register(self)

    def observe(self, seconds: float, *labels: str) -> None:
        child = self._children.get(labels)
        if child is None:
            child = self._children[labels] = _Child(len(self._bounds))
        child.counts[bisect_left(self._bounds, seconds)] += 1
        child.sum += seconds

    def collect(self) -> Iterator[HistogramMetricFamily]:
        family = HistogramMetricFamily(self._name, self._help, labels=self._labels)
        names = [*map(floatToGoString, self._bounds), "+Inf"]
        for labels, child in self._children.items():
            buckets = [(name, float(count)) for name, count in zip(names, accumulate(child.counts), strict=True)]
            family.add_metric(labels, buckets, child.sum)
        yield family
