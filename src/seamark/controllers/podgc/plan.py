"""Pods and nodes -> which pods to remove at once, without grace, since no agent is there to give any."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TypeVar

from seamark.controllers.pods import created_at
from seamark.model.pod import Pod

P = TypeVar("P", bound=Pod)

FINISHED_KEPT = 12500  # kube-controller-manager --terminated-pod-gc-threshold


def plan_orphans(pods: Sequence[P], gone: Collection[str]) -> list[P]:
    """Pods on ``gone`` nodes: names that had no Node object for the whole quarantine."""
    return [pod for pod in pods if pod.spec.node_name in gone]


def plan_unscheduled(pods: Sequence[P]) -> list[P]:
    """Pods on their way out that never were on a node."""
    return [pod for pod in pods if pod.is_terminating and not pod.spec.node_name]


def plan_finished(pods: Sequence[P], kept: int = FINISHED_KEPT) -> list[P]:
    """The oldest finished pods beyond the number that is kept to be looked at."""
    finished = sorted((pod for pod in pods if pod.is_finished and not pod.is_terminating), key=created_at)
    return list(finished[: max(0, len(finished) - kept)])
