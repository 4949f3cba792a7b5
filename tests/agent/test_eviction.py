"""What a node does when it runs short: thresholds, the order in which pods go, and what is told of it."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.agent.eviction import (
    Observation,
    ThresholdError,
    Usage,
    parse_thresholds,
    rank_pods,
    render_ending,
    select_met,
    select_refusal,
)
from seamark.agent.evictor import Evictor
from seamark.agent.look import Ending
from seamark.agent.podspec import Pod
from seamark.machinery.gvr import NODES
from seamark.model import codec
from seamark.testing.clock import FakeClock

MIB = 1 << 20


def pod(name: str, *, request: str = "", priority: int = 0, **spec: Any) -> Pod:
    resources = {"requests": {"memory": request}} if request else {}
    body = {"containers": [{"name": "c", "resources": resources}], "priority": priority, **spec}
    return codec.convert({"metadata": {"name": name, "namespace": "default", "uid": name}, "spec": body}, Pod)


def seen(available: int, capacity: int = 1000 * MIB, signal: str = "memory.available") -> dict[str, Observation]:
    return {signal: Observation(available, capacity)}


def test_thresholds_as_kubelet_writes_them() -> None:
    memory, disk = parse_thresholds("nodefs.available<5%, memory.available<100Mi")
    assert (memory.signal.name, memory.least(0)) == ("memory.available", 100 * MIB)
    assert (disk.signal.condition, disk.least(1000)) == ("DiskPressure", 50)
    assert parse_thresholds("") == ()


@pytest.mark.parametrize(
    "text", ["memory.available", "memory.available<x", "memory<1Gi", "pid.available<100%", "nodefs.available<-1"]
)
def test_what_is_no_threshold(text: str) -> None:
    with pytest.raises(ThresholdError):
        parse_thresholds(text)


def test_met_below_the_threshold_only_and_never_where_nothing_counts() -> None:
    thresholds = parse_thresholds("memory.available<100Mi,nodefs.inodesFree<5%")
    assert select_met(thresholds, seen(100 * MIB)) == ()
    assert [t.signal.name for t in select_met(thresholds, seen(99 * MIB))] == ["memory.available"]


def test_order() -> None:
    pods = [
        pod("within", request="100Mi"),
        pod("important", priority=5),
        pod("above", request="10Mi"),
        pod("most"),
    ]
    usages = {p.uid: Usage({"c": 50 * MIB}) for p in pods}
    assert [p.metadata.name for p in rank_pods(pods, "memory", usages)] == ["most", "above", "important", "within"]


def test_told_in_kubelets_words() -> None:
    (threshold,) = parse_thresholds("memory.available<100Mi")
    found = render_ending(pod("a", request="1Mi"), threshold, seen(90 * MIB + 1024), Usage({"c": 2 * MIB, "d": 0}))
    assert found.reason == "Evicted"
    assert found.message == (
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 92161Ki. "
        "Container c was using 2Mi, request is 1Mi, has larger consumption of memory. "
    )


@pytest.mark.parametrize(
    ("of", "pressures", "refused"),
    [
        (pod("a"), set(), False),
        (pod("a"), {"MemoryPressure"}, True),
        (pod("a", request="1Mi"), {"MemoryPressure"}, False),
        (pod("a", tolerations=[{"operator": "Exists"}]), {"MemoryPressure"}, False),
        (pod("a", request="1Mi"), {"DiskPressure"}, True),
        (pod("a", priority=2_000_000_000), {"DiskPressure", "MemoryPressure"}, False),
    ],
    ids=["none", "best effort", "burstable", "tolerates", "disk", "critical"],
)
def test_a_node_under_pressure_takes(of: Pod, pressures: set[str], refused: bool) -> None:
    found = select_refusal(of, frozenset(pressures))
    assert (found is not None) == refused
    if found:
        assert found.message == f"The node had condition: [{' '.join(sorted(pressures))}]. "


class Worker:
    def __init__(self, pod: Pod) -> None:
        self.pod = pod
        self.ending: Ending | None = None

    def end(self, ending: Ending) -> None:
        self.ending = ending


class Situation:
    """An evictor of a node whose resources a test sets."""

    def __init__(self, clock: FakeClock, thresholds: str, *pods: Pod) -> None:
        self.seen = seen(500 * MIB)
        self.workers = [Worker(p) for p in pods]
        self.reclaimed = 0
        self.clock = clock
        self.evictor = Evictor(
            parse_thresholds(thresholds),
            observe=lambda: self.seen,
            workers=lambda: self.workers,
            usages=self._usages,
            reclaim=self._reclaim,
            clock=clock,
        )

    async def _usages(self, resource: str, pods: list[Pod]) -> dict[str, Usage]:
        return {p.uid: Usage({"c": (i + 1) * MIB}) for i, p in enumerate(pods)}

    async def _reclaim(self) -> None:
        self.reclaimed += 1

    @property
    def ended(self) -> list[str]:
        return [w.pod.metadata.name for w in self.workers if w.ending]


async def test_one_pod_at_a_time_and_the_condition_stays_a_while(clock: FakeClock) -> None:
    critical = pod("critical", priority=2_000_000_000)
    now = Situation(clock, "memory.available<100Mi", pod("a"), pod("b"), critical)
    await now.evictor.step()
    assert (now.ended, now.evictor.pressures()) == ([], frozenset())
    now.seen = seen(10 * MIB)
    await now.evictor.step()
    await now.evictor.step()
    assert (now.ended, now.evictor.pressures()) == (["b"], {"MemoryPressure"})
    now.workers.pop(1)
    await now.evictor.step()
    assert now.ended == ["a"]
    now.seen = seen(500 * MIB)
    await clock.advance(299)
    assert now.evictor.pressures() == {"MemoryPressure"}
    await clock.advance(1)
    assert now.evictor.pressures() == frozenset()


async def test_a_pod_that_does_not_end_in_time_does_not_hold_up_the_next(clock: FakeClock) -> None:
    now = Situation(clock, "memory.available<100Mi", pod("a"), pod("b"))
    now.seen = seen(0)
    await now.evictor.step()
    await clock.advance(30)
    await now.evictor.step()
    assert now.workers[1].ending is not None


async def test_disk_is_reclaimed_before_a_pod_goes(clock: FakeClock) -> None:
    now = Situation(clock, "nodefs.available<10%", pod("a"))
    now.seen = seen(1, 1000, "nodefs.available")
    await now.evictor.step()
    assert (now.reclaimed, now.ended) == (1, ["a"])


async def test_an_evicted_pod_fails(node: Any) -> None:
    await node.create()
    uid = (await node.until_running())["metadata"]["uid"]
    node.agent._workers[uid].end(Ending("Evicted", "The node was low on resource: memory. ", 1.0, disruption=True))
    await node.wait(lambda: ("web", 15) in node.runtime.signals)
    pod = await node.until(lambda p: p["status"]["phase"] == "Failed")
    status = pod["status"]
    assert (status["reason"], status["message"]) == ("Evicted", "The node was low on resource: memory. ")
    (condition,) = [c for c in status["conditions"] if c["type"] == "DisruptionTarget"]
    assert (condition["status"], condition["reason"]) == ("True", "TerminationByKubelet")
    await node.wait(lambda: node.runtime.removed == [uid])
    await node.restart()
    assert (await node.pod())["status"]["reason"] == "Evicted"


async def test_pressure_shows_on_the_node_and_keeps_pods_out(node: Any) -> None:
    node.eviction_hard = parse_thresholds("memory.available<1000000Gi")
    await node.restart()
    await node.advance(0.1)  # told at once, not with the next heartbeat
    conditions = {c["type"]: c for c in (await node.client.get(NODES, "node1"))["status"]["conditions"]}
    assert conditions["MemoryPressure"]["status"] == "True"
    assert conditions["MemoryPressure"]["reason"] == "KubeletHasInsufficientMemory"
    assert conditions["DiskPressure"]["status"] == "False"
    await node.create()
    status = (await node.until(lambda p: p["status"]["phase"] == "Failed"))["status"]
    assert status["message"] == "Pod was rejected: The node had condition: [MemoryPressure]. "
