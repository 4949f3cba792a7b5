"""The pods of a DaemonSet: on which nodes they belong, and how a pod is told its node; pure.

A daemon pod names its node by a required node affinity on ``metadata.name`` and is bound by the scheduler, as any
other; it tolerates what a node suffers from, since daemons are what mends nodes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from seamark.controllers.pods import render_pod
from seamark.controllers.revision import CONTROLLER_REVISION_HASH
from seamark.controllers.workloads import DaemonSet, WorkloadPod
from seamark.machinery.gvr import DAEMONSETS
from seamark.machinery.nodematch import matches_node, required_terms, untolerated
from seamark.model.node import Node

_NAME_FIELD = "metadata.name"
_TROUBLES = (
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
)


class Fit(NamedTuple):
    """``run``: a pod should be made there; ``stay``: one that is there may go on."""

    run: bool
    stay: bool


def fit(ds: DaemonSet, node: Node) -> Fit:
    spec = ds.spec.template.get("spec") or {}
    if spec.get("nodeName") not in (None, "", node.metadata.name):
        return Fit(False, False)
    if not matches_node(node, spec.get("nodeSelector"), spec.get("affinity")):
        return Fit(False, False)
    taints, tolerations = node.spec.taints or (), _tolerations(spec)
    if untolerated(taints, tolerations, effects=("NoExecute",)) is not None:
        return Fit(False, False)
    return Fit(untolerated(taints, tolerations, effects=("NoSchedule",)) is None, True)


def target_node(pod: WorkloadPod) -> str:
    """Where the pod is, or is bound to be; empty for one that names no node."""
    if pod.spec.node_name:
        return pod.spec.node_name
    for term in required_terms(pod.spec.affinity) or ():
        for expression in term.get("matchFields") or ():
            values = expression.get("values") or []
            if expression.get("key") == _NAME_FIELD and expression.get("operator") == "In" and len(values) == 1:
                return str(values[0])
    return ""


def render_daemon_pod(ds: DaemonSet, node: str, version: str) -> dict[str, Any]:
    pod = render_pod(ds.spec.template, ds, DAEMONSETS)
    pod["metadata"]["labels"][CONTROLLER_REVISION_HASH] = version
    spec = pod["spec"]
    spec["tolerations"] = _tolerations(spec)
    spec["affinity"] = _pinned(spec.get("affinity") or {}, node)
    return pod


def _tolerations(spec: dict[str, Any]) -> list[dict[str, Any]]:
    troubles = [*_TROUBLES]
    if spec.get("hostNetwork"):
        troubles.append(("node.kubernetes.io/network-unavailable", "NoSchedule"))
    given = list(spec.get("tolerations") or ())
    added = [{"key": key, "operator": "Exists", "effect": effect} for key, effect in troubles]
    return [*given, *(toleration for toleration in added if toleration not in given)]


def _pinned(affinity: dict[str, Any], node: str) -> dict[str, Any]:
    """The user's own terms were asked when the node was chosen; all that is left to say is the node."""
    term = {"matchFields": [{"key": _NAME_FIELD, "operator": "In", "values": [node]}]}
    required = {"nodeSelectorTerms": [term]}
    kept = dict(affinity.get("nodeAffinity") or {})
    kept["requiredDuringSchedulingIgnoredDuringExecution"] = required
    return {**affinity, "nodeAffinity": kept}
