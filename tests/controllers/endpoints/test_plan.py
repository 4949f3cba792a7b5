"""Endpoints: which pods are shown, how they are grouped, what is left out."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.controllers.endpoints.objects import Endpoints
from seamark.controllers.endpoints.plan import CAPACITY, plan_endpoints
from seamark.model.pod import Pod
from seamark.model.service import Service
from seamark.testing.builders import as_kind, make_meta, make_pod, make_service


def service(name: str = "web", **given: Any) -> Service:
    return as_kind(Service, make_service(name, **given))


def pod(name: str, ip: str, **given: Any) -> Pod:
    return as_kind(Pod, make_pod(name, ip=ip, **{"node": "n1", "ready": True, **given}))


def written(svc: Service, *pods: Pod) -> dict[str, Any]:
    found = plan_endpoints(svc, pods, None)
    assert found is not None
    return found


def test_ready_and_unready_pods_sorted_by_address() -> None:
    found = written(service(), pod("b", "10.0.0.10"), pod("a", "10.0.0.9"), pod("c", "10.0.0.1", ready=False))
    (subset,) = found["subsets"]
    assert [a["ip"] for a in subset["addresses"]] == ["10.0.0.9", "10.0.0.10"]
    assert [a["ip"] for a in subset["notReadyAddresses"]] == ["10.0.0.1"]
    assert subset["ports"] == [{"name": "http", "port": 80, "protocol": "TCP"}]
    assert subset["addresses"][0] == {
        "ip": "10.0.0.9",
        "nodeName": "n1",
        "targetRef": {"kind": "Pod", "namespace": "default", "name": "a", "uid": "uid-a"},
    }


def test_labels_and_trigger_time() -> None:
    meta = written(service(labels={"team": "x"}), pod("a", "10.0.0.1"))["metadata"]
    assert meta["labels"] == {"team": "x", "endpoints.kubernetes.io/managed-by": "endpoint-controller"}
    assert meta["annotations"] == {"endpoints.kubernetes.io/last-change-trigger-time": "2023-11-14T22:13:20Z"}
    headless = written(service(clusterIP="None"), pod("a", "10.0.0.1"))["metadata"]
    assert headless["labels"]["service.kubernetes.io/headless"] == ""


@pytest.mark.parametrize(
    "left_out",
    [
        pytest.param(pod("x", ""), id="no address"),
        pytest.param(pod("x", "10.0.0.1", deletionTimestamp="2023-11-14T22:13:20Z"), id="terminating"),
        pytest.param(
            as_kind(Pod, {**make_pod("x"), "status": {"phase": "Succeeded", "podIP": "10.0.0.1"}}), id="finished"
        ),
        pytest.param(pod("x", "fd00::1"), id="another family"),
    ],
)
def test_pod_that_is_not_shown_leaves_no_subsets(left_out: Pod) -> None:
    assert "subsets" not in written(service(), left_out)


def test_publishing_shows_all_that_have_an_address_as_ready() -> None:
    svc = service(publishNotReadyAddresses=True)
    found = written(
        svc, pod("a", "10.0.0.1", ready=False), pod("b", "10.0.0.2", deletionTimestamp="2023-11-14T22:13:20Z")
    )
    assert [a["ip"] for a in found["subsets"][0]["addresses"]] == ["10.0.0.1", "10.0.0.2"]


def test_named_ports_group_by_what_each_pod_has() -> None:
    svc = service(ports=[{"name": "http", "port": 80, "targetPort": "web"}])

    def serving(name: str, ip: str, *ports: dict[str, Any]) -> Pod:
        return pod(name, ip, spec={"containers": [{"name": "c", "ports": list(ports)}]})

    found = written(
        svc,
        serving("a", "10.0.0.1", {"name": "web", "containerPort": 8080}),
        serving("b", "10.0.0.2", {"name": "web", "containerPort": 9090}),
        serving("c", "10.0.0.3", {"name": "other", "containerPort": 1}),
        serving("d", "10.0.0.4", {"name": "web", "containerPort": 53, "protocol": "UDP"}),
    )
    assert [(s["addresses"][0]["ip"], s["ports"][0]["port"]) for s in found["subsets"]] == [
        ("10.0.0.1", 8080),
        ("10.0.0.2", 9090),
    ]


def test_headless_service_without_ports_lists_addresses_alone() -> None:
    (subset,) = written(service(clusterIP="None", ports=[]), pod("a", "10.0.0.1"))["subsets"]
    assert set(subset) == {"addresses"}


def test_hostname_only_below_this_service() -> None:
    found = written(
        service("db"),
        pod("a", "10.0.0.1", spec={"hostname": "db-0", "subdomain": "db"}),
        pod("b", "10.0.0.2", spec={"hostname": "db-1", "subdomain": "other"}),
    )
    assert [a.get("hostname") for a in found["subsets"][0]["addresses"]] == ["db-0", None]


def test_nothing_is_written_where_nothing_changed() -> None:
    svc, pods = service(), [pod("a", "10.0.0.1"), pod("b", "10.0.0.2", ready=False)]
    first = written(svc, *pods)
    current = as_kind(
        Endpoints, {**first, "metadata": {**make_meta("web"), **first["metadata"], "resourceVersion": "7"}}
    )
    assert plan_endpoints(svc, pods[::-1], current) is None
    changed = plan_endpoints(svc, pods[:1], current)
    assert changed is not None
    assert changed["metadata"]["resourceVersion"] == "7"


def test_capacity_keeps_ready_addresses_and_says_that_some_are_missing() -> None:
    ready = [pod(f"r{n}", f"10.1.{n // 250}.{n % 250}") for n in range(CAPACITY - 1)]
    unready = [pod(f"u{n}", f"10.2.0.{n}", ready=False) for n in range(3)]
    found = written(service(), *ready, *unready)
    (subset,) = found["subsets"]
    assert (len(subset["addresses"]), len(subset["notReadyAddresses"])) == (CAPACITY - 1, 1)
    assert found["metadata"]["annotations"]["endpoints.kubernetes.io/over-capacity"] == "truncated"
