"""The first objects of a cluster follow its settings."""

from __future__ import annotations

from typing import Any

from seamark.controllers.bootstrap.plan import plan_bootstrap
from seamark.controllers.settings import ControllerSettings

SETTINGS = ControllerSettings(
    cluster_domain="sea.example", cluster_dns="10.32.0.10", kubernetes_ip="10.32.0.1", api_endpoint=("10.0.0.1", 6443)
)


def objects(settings: ControllerSettings) -> dict[str, dict[str, Any]]:
    found = {}
    for gvr, obj in plan_bootstrap(settings):
        found["/".join((gvr.kind, obj["metadata"].get("namespace", ""), obj["metadata"]["name"]))] = obj
    return found


def test_addresses_and_domain_are_the_settings() -> None:
    found = objects(SETTINGS)
    assert found["Service/default/kubernetes"]["spec"]["clusterIP"] == "10.32.0.1"
    assert found["Service/kube-system/kube-dns"]["spec"]["clusterIP"] == "10.32.0.10"
    assert (
        "kubernetes sea.example in-addr.arpa ip6.arpa {" in found["ConfigMap/kube-system/coredns"]["data"]["Corefile"]
    )
    assert found["EndpointSlice/default/kubernetes"]["endpoints"][0]["addresses"] == ["10.0.0.1"]


def test_api_server_that_pods_cannot_reach_has_no_endpoints() -> None:
    found = objects(ControllerSettings())
    assert "Service/default/kubernetes" in found
    assert "Endpoints/default/kubernetes" not in found


def test_dns_pods_select_themselves_and_mount_the_corefile() -> None:
    spec = objects(SETTINGS)["Deployment/kube-system/coredns"]["spec"]
    assert spec["replicas"] == 2
    assert spec["template"]["metadata"]["labels"] == spec["selector"]["matchLabels"] == {"k8s-app": "kube-dns"}
    pod = spec["template"]["spec"]
    assert pod["dnsPolicy"] == "Default"
    assert pod["containers"][0]["args"] == ["dns", "-conf", "/etc/coredns/Corefile"]
    assert pod["volumes"][0]["configMap"]["items"] == [{"key": "Corefile", "path": "Corefile"}]
