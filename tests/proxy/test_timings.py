"""The cheap histogram says what prometheus_client's own would."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, disable_created_metrics, generate_latest

from seamark.proxy.timings import Timings

BOUNDS = (0.001, 0.25, 1.0, 60.0)
LABELS = ("ip_family", "change")
NAMES = st.sampled_from(["IPv4", "IPv6"]), st.sampled_from(["added", 'a "quoted"\nline'])
SECONDS = st.sampled_from([0.0, *BOUNDS, 61.0]) | st.floats(0, 100)


@given(st.lists(st.tuples(SECONDS, *NAMES)))
def test_it_is_told_as_the_library_s_is(seen: list[tuple[float, str, str]]) -> None:
    disable_created_metrics()  # type: ignore[no-untyped-call]
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    timings = Timings("took_seconds", "Time.", LABELS, BOUNDS, registry=ours)
    histogram = Histogram("took_seconds", "Time.", LABELS, registry=theirs, buckets=BOUNDS)
    for seconds, *labels in seen:
        timings.observe(seconds, *labels)
        histogram.labels(*labels).observe(seconds)
    assert generate_latest(ours) == generate_latest(theirs)
