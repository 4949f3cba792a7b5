"""Autoscalers: bounds that hold, and the words of Kubernetes where there are no metrics."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from seamark.controllers.horizontalpodautoscaler.objects import Autoscaler
from seamark.controllers.horizontalpodautoscaler.plan import Scale, plan_autoscaler, plan_refused, plan_unreachable

NOW = 1795514400.0
CPU = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}
PODS = {"type": "Pods", "pods": {"metric": {"name": "packets"}, "target": {"averageValue": "1k"}}}


def hpa(*metrics: dict[str, Any], least: int = 2, most: int = 5, **status: Any) -> Autoscaler:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    spec = {"scaleTargetRef": target, "minReplicas": least, "maxReplicas": most, "metrics": list(metrics or (CPU,))}
    return msgspec.convert({"metadata": {"name": "h"}, "spec": spec, "status": status}, Autoscaler)


@pytest.mark.parametrize(
    ("there", "wanted", "reason"),
    [(1, 2, "below Spec.MinReplicas"), (9, 5, "above Spec.MaxReplicas")],
    ids=["too few", "too many"],
)
def test_bounds_hold(there: int, wanted: int, reason: str) -> None:
    found = plan_autoscaler(hpa(), Scale(there, "a=b"), now=NOW)
    assert found.replicas == wanted
    assert (found.status.current_replicas, found.status.desired_replicas) == (there, wanted)
    assert found.status.last_scale_time == "2026-11-24T10:00:00Z"
    (told,) = found.events
    assert told.message == f"New size: {wanted}; reason: Current number of replicas {reason}"
    refused = plan_refused(hpa(), found, "no", now=NOW)
    assert [c.reason for c in refused.status.conditions or ()] == ["FailedUpdateScale"]


@pytest.mark.parametrize(
    ("metric", "reason", "message"),
    [
        pytest.param(
            CPU,
            "FailedGetResourceMetric",
            "the HPA was unable to compute the replica count: failed to get cpu utilization: unable to get metrics for "
            "resource cpu: unable to fetch metrics from resource metrics API: the server could not find the requested "
            "resource (get pods.metrics.k8s.io)",
            id="cpu",
        ),
        pytest.param(
            PODS,
            "FailedGetPodsMetric",
            "the HPA was unable to compute the replica count: unable to get metric packets: unable to fetch metrics "
            "from custom metrics API: the server could not find the requested resource (get "
            "packets.custom.metrics.k8s.io)",
            id="custom",
        ),
    ],
)
def test_without_metrics(metric: dict[str, Any], reason: str, message: str) -> None:
    found = plan_autoscaler(hpa(metric), Scale(3, "a=b"), now=NOW)
    able, active = found.status.conditions or ()
    assert (able.type, able.status, able.reason) == ("AbleToScale", "True", "SucceededGetScale")
    assert (active.type, active.status, active.reason, active.message) == ("ScalingActive", "False", reason, message)
    assert found.replicas is None
    assert [told.reason for told in found.events] == [reason, "FailedComputeMetricsReplicas"]
    assert found.events[1].message.startswith("invalid metrics (1 invalid out of 1), first error is: failed to get ")


def test_zero_replicas_are_left_alone() -> None:
    found = plan_autoscaler(hpa(), Scale(0, "a=b"), now=NOW)
    assert found.replicas is None
    assert [c.reason for c in found.status.conditions or ()] == ["SucceededGetScale", "ScalingDisabled"]


def test_condition_keeps_its_time_while_its_status_stays() -> None:
    first = plan_autoscaler(hpa(), Scale(3, "a=b"), now=NOW)
    again = plan_autoscaler(msgspec.structs.replace(hpa(), status=first.status), Scale(3, "a=b"), now=NOW + 60)
    assert again.status == first.status
    lost = plan_unreachable(msgspec.structs.replace(hpa(), status=first.status), "gone", now=NOW + 60)
    able, _ = lost.status.conditions or ()
    assert (able.status, able.reason, able.last_transition_time) == ("False", "FailedGetScale", "2026-11-24T10:01:00Z")
