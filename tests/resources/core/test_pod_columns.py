"""The cells of `kubectl get pod -o wide`, for the pod states recorded from kube-apiserver 1.36.3."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.resources.core.pod import POD

Obj = dict[str, Any]
NOW = 1795514400.0  # 2026-11-24T10:00:00Z
FIVE_SECONDS_AGO = "2026-11-24T09:59:55Z"
READY = {"type": "Ready", "status": "True"}


def container(state: Obj, *, name: str = "c", restarts: int = 0, ready: bool = False, **more: Any) -> Obj:
    return {"name": name, "state": state, "restartCount": restarts, "ready": ready, **more}


def waiting(reason: str) -> Obj:
    return {"waiting": {"reason": reason}}


def terminated(code: int, reason: str = "", signal: int = 0) -> Obj:
    return {"terminated": {"exitCode": code, "reason": reason, "signal": signal}}


RUNNING: Obj = {"running": {"startedAt": FIVE_SECONDS_AGO}}
RESTARTED: Obj = {"lastState": {"terminated": {"exitCode": 1, "finishedAt": FIVE_SECONDS_AGO}}}


def pod(phase: str = "Running", *statuses: Obj, node: str = "tn1", containers: int = 1, **status: Any) -> Obj:
    meta = {"name": "p", "creationTimestamp": "2026-11-24T09:59:56Z", **status.pop("meta", {})}
    spec = {"containers": [{"name": f"c{i}"} for i in range(containers)], "nodeName": node, **status.pop("spec", {})}
    return {"metadata": meta, "spec": spec, "status": {"phase": phase, "containerStatuses": list(statuses), **status}}


def inits(*names: str) -> Obj:
    return {"initContainers": [{"name": name} for name in names]}


def ip(address: str) -> Obj:
    return {"podIP": address, "podIPs": [{"ip": address}]}


RUNNING_POD = container(RUNNING, ready=True)

CASES = {
    "completed": (pod("Succeeded", container(terminated(0, "Completed"))), "0/1 Completed 0 <none> tn1 <none> <none>"),
    "containercreating": (
        pod("Pending", container(waiting("ContainerCreating"))),
        "0/1 ContainerCreating 0 <none> tn1 <none> <none>",
    ),
    "crashloop": (
        pod("Running", container(waiting("CrashLoopBackOff"), restarts=5, **RESTARTED)),
        "0/1 CrashLoopBackOff 5_(5s_ago) <none> tn1 <none> <none>",
    ),
    "not yet looked at": (pod("Pending", node="", containers=2), "0/2 Pending 0 <none> <none> <none> <none>"),
    "error": (pod("Failed", container(terminated(1, "Error"))), "0/1 Error 0 <none> tn1 <none> <none>"),
    "evicted": (pod("Failed", reason="Evicted"), "0/1 Evicted 0 <none> tn1 <none> <none>"),
    "exit-noreason": (pod("Failed", container(terminated(3))), "0/1 ExitCode:3 0 <none> tn1 <none> <none>"),
    "gates": (
        pod("Running", RUNNING_POD, spec={"readinessGates": [{"conditionType": "x/y"}]}, **ip("10.244.0.5")),
        "1/1 Running 0 10.244.0.5 tn1 <none> 0/1",
    ),
    "gate met": (
        pod(
            "Running",
            RUNNING_POD,
            spec={"readinessGates": [{"conditionType": "x/y"}]},
            conditions=[{"type": "x/y", "status": "True"}],
            **ip("10.244.0.5"),
        ),
        "1/1 Running 0 10.244.0.5 tn1 <none> 1/1",
    ),
    "imagepull": (
        pod("Pending", container(waiting("ImagePullBackOff"))),
        "0/1 ImagePullBackOff 0 <none> tn1 <none> <none>",
    ),
    "init-0of2": (
        pod(
            "Pending",
            container(waiting("PodInitializing")),
            spec=inits("i1", "i2"),
            initContainerStatuses=[container(RUNNING, name="i1"), container(waiting("PodInitializing"), name="i2")],
        ),
        "0/1 Init:0/2 0 <none> tn1 <none> <none>",
    ),
    "init-1of2": (
        pod(
            "Pending",
            container(waiting("PodInitializing")),
            spec=inits("i1", "i2"),
            initContainerStatuses=[container(terminated(0, "Completed"), name="i1"), container(RUNNING, name="i2")],
        ),
        "0/1 Init:1/2 0 <none> tn1 <none> <none>",
    ),
    "init-crash": (
        pod(
            "Pending",
            spec=inits("i1"),
            initContainerStatuses=[container(waiting("CrashLoopBackOff"), name="i1", restarts=1)],
        ),
        "0/1 Init:CrashLoopBackOff 1 <none> tn1 <none> <none>",
    ),
    "init-exit": (
        pod("Pending", spec=inits("i1"), initContainerStatuses=[container(terminated(2), name="i1")]),
        "0/1 Init:ExitCode:2 0 <none> tn1 <none> <none>",
    ),
    "init-signal": (
        pod("Pending", spec=inits("i1"), initContainerStatuses=[container(terminated(137, signal=9), name="i1")]),
        "0/1 Init:Signal:9 0 <none> tn1 <none> <none>",
    ),
    "nominated": (
        pod("Pending", node="", nominatedNodeName="tn1"),
        "0/1 Pending 0 <none> <none> tn1 <none>",
    ),
    "notready": (pod("Running", container(RUNNING), **ip("10.244.0.2")), "0/1 Running 0 10.244.0.2 tn1 <none> <none>"),
    "oomkilled": (
        pod("Failed", container(terminated(137, "OOMKilled"))),
        "0/1 OOMKilled 0 <none> tn1 <none> <none>",
    ),
    "pending": (pod("Pending", node=""), "0/1 Pending 0 <none> <none> <none> <none>"),
    "restarted": (
        pod("Running", container(RUNNING, ready=True, restarts=2, **RESTARTED), **ip("10.244.0.3")),
        "1/1 Running 2_(5s_ago) 10.244.0.3 tn1 <none> <none>",
    ),
    "running": (pod("Running", RUNNING_POD, **ip("10.244.0.1")), "1/1 Running 0 10.244.0.1 tn1 <none> <none>"),
    "schedgated": (
        pod(
            "Pending",
            node="",
            conditions=[{"type": "PodScheduled", "status": "False", "reason": "SchedulingGated"}],
        ),
        "0/1 SchedulingGated 0 <none> <none> <none> <none>",
    ),
    "scheduled": (
        pod("Pending", conditions=[{"type": "PodScheduled", "status": "True"}]),
        "0/1 Pending 0 <none> tn1 <none> <none>",
    ),
    "signal": (pod("Failed", container(terminated(137, signal=9))), "0/1 Signal:9 0 <none> tn1 <none> <none>"),
    "terminating": (
        pod("Running", RUNNING_POD, meta={"deletionTimestamp": FIVE_SECONDS_AGO}, **ip("10.244.0.6")),
        "1/1 Terminating 0 10.244.0.6 tn1 <none> <none>",
    ),
    "finished while being deleted": (
        pod("Succeeded", container(terminated(0, "Completed")), meta={"deletionTimestamp": FIVE_SECONDS_AGO}),
        "0/1 Completed 0 <none> tn1 <none> <none>",
    ),
    "two-one-ready": (
        pod(
            "Running",
            container(RUNNING, name="c0", ready=True),
            container(waiting("CrashLoopBackOff"), name="c1", restarts=1),
            containers=2,
            **ip("10.244.0.4"),
        ),
        "1/2 CrashLoopBackOff 1 10.244.0.4 tn1 <none> <none>",
    ),
    "unknown-lost": (
        pod("Running", container(RUNNING), reason="NodeLost", **ip("10.244.0.7")),
        "0/1 NodeLost 0 10.244.0.7 tn1 <none> <none>",
    ),
    "lost while being deleted": (
        pod("Running", container(RUNNING), reason="NodeLost", meta={"deletionTimestamp": FIVE_SECONDS_AGO}),
        "0/1 Unknown 0 <none> tn1 <none> <none>",
    ),
    "one of two completed": (
        pod(
            "Running",
            container(terminated(0, "Completed"), name="c0"),
            container(RUNNING, name="c1", ready=True),
            containers=2,
            conditions=[READY],
        ),
        "1/2 Running 0 <none> tn1 <none> <none>",
    ),
    "one of two completed, not ready": (
        pod(
            "Running",
            container(terminated(0, "Completed"), name="c0"),
            container(RUNNING, name="c1", ready=True),
            containers=2,
        ),
        "1/2 NotReady 0 <none> tn1 <none> <none>",
    ),
    "sidecar counts as a container": (
        pod(
            "Running",
            RUNNING_POD,
            spec={"initContainers": [{"name": "s", "restartPolicy": "Always"}]},
            initContainerStatuses=[container(RUNNING, name="s", ready=True, started=True, restarts=1)],
        ),
        "2/2 Running 1 <none> tn1 <none> <none>",
    ),
    "restarts of init containers are forgotten once running": (
        pod(
            "Running",
            RUNNING_POD,
            spec=inits("i1"),
            initContainerStatuses=[container(terminated(0, "Completed"), name="i1", restarts=3)],
        ),
        "1/1 Running 0 <none> tn1 <none> <none>",
    ),
}


@pytest.mark.parametrize(("obj", "cells"), CASES.values(), ids=CASES.keys())
def test_cells(obj: Obj, cells: str) -> None:
    found = [column.cell(obj, NOW) for column in POD.columns if column.cell]
    assert found == [cell.replace("_", " ") for cell in cells.split()]
