"""Quotas: what is counted, and how the count is written."""

from __future__ import annotations

from typing import Any

from seamark.controllers.resourcequota.plan import plan_quota, quota_patch, select_counted
from seamark.machinery.gvr import CONFIGMAPS, DEPLOYMENTS, PERSISTENTVOLUMECLAIMS, PODS, SECRETS, SERVICES

ALL = (PODS, SERVICES, CONFIGMAPS, SECRETS, PERSISTENTVOLUMECLAIMS, DEPLOYMENTS)


def pod(cpu: str, phase: str = "Running", **spec: Any) -> dict[str, Any]:
    container = {"name": "c", "resources": {"requests": {"cpu": cpu}}}
    return {"metadata": {"name": "p"}, "spec": {"containers": [container], **spec}, "status": {"phase": phase}}


def quota(hard: dict[str, str], **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "q", "resourceVersion": "7"}, "spec": {"hard": hard, **spec}, "status": {}}


def test_only_what_is_limited_is_looked_through() -> None:
    assert select_counted(["requests.cpu"], ALL) == [PODS]
    assert select_counted(["services.nodeports", "secrets"], ALL) == [SERVICES, SECRETS]
    assert select_counted(["requests.storage"], ALL) == [PERSISTENTVOLUMECLAIMS]
    assert select_counted(["count/deployments.apps"], ALL) == [DEPLOYMENTS]


def test_pods_that_ended_cost_nothing() -> None:
    found = {PODS: [pod("500m"), pod("1"), pod("4", "Succeeded")]}
    status = plan_quota(quota({"pods": "5", "requests.cpu": "2"}), found)
    assert status == {"hard": {"pods": "5", "requests.cpu": "2"}, "used": {"pods": "2", "requests.cpu": "1500m"}}


def test_scopes_choose_the_pods() -> None:
    found = {PODS: [pod("1"), pod("1", activeDeadlineSeconds=5), pod("1", priorityClassName="high")]}
    assert plan_quota(quota({"pods": "5"}, scopes=["Terminating"]), found)["used"] == {"pods": "1"}
    assert plan_quota(quota({"pods": "5"}, scopes=["BestEffort"]), found)["used"] == {"pods": "0"}
    high = {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In", "values": ["high"]}]}
    assert plan_quota(quota({"pods": "5"}, scopeSelector=high), found)["used"] == {"pods": "1"}


def test_services_cost_their_node_ports() -> None:
    node_port = {"metadata": {}, "spec": {"type": "NodePort", "ports": [{"port": 1}, {"port": 2}]}}
    found = {SERVICES: [node_port, {"metadata": {}, "spec": {"type": "ClusterIP", "ports": [{"port": 1}]}}]}
    used = plan_quota(quota({"services": "5", "services.nodeports": "2"}), found)["used"]
    assert used == {"services": "2", "services.nodeports": "2"}


def test_patch_takes_out_what_is_limited_no_longer() -> None:
    given = quota({"pods": "1"})
    status = plan_quota(given, {PODS: []})
    given["status"] = {"hard": {"secrets": "1"}, "used": {"secrets": "0"}}
    assert quota_patch(given, status) == {
        "metadata": {"resourceVersion": "7"},
        "status": {"hard": {"secrets": None, "pods": "1"}, "used": {"secrets": None, "pods": "0"}},
    }
    assert quota_patch({**given, "status": status}, status) is None
