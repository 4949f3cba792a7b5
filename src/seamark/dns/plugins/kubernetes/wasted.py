"""Which pods ask in vain: search lists make four names of one, and three of them are denied.

Counted by pod, for as many pods as asked last; the client has to be known (``pods verified``). What it tells is where
``ndots`` or a final dot would spare queries.
"""

from __future__ import annotations

from collections import OrderedDict

from seamark.dns.metrics import Metrics
from seamark.model.meta import ObjectKey

MAX_PODS = 1000


class WastedSearches:
    def __init__(self, metrics: Metrics, zone: str) -> None:
        self._metric = metrics.wasted_searches
        self._zone = zone
        self._pods: OrderedDict[ObjectKey, None] = OrderedDict()

    def count(self, pod: ObjectKey | None, denied: str) -> None:
        """``denied`` is the name, lower-case; one that no search list of the pod can have made does not count."""
        if pod is None or not denied.endswith(f".{self._zone}"):
            return
        self._pods[pod] = None
        self._pods.move_to_end(pod)
        if len(self._pods) > MAX_PODS:
            self._metric.remove(*self._pods.popitem(last=False)[0])
        self._metric.labels(pod.namespace, pod.name).inc()
