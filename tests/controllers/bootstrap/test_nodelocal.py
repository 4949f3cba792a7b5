"""What ``--node-local-dns`` adds to the objects a cluster begins with."""

from __future__ import annotations

import pytest

from seamark.controllers.bootstrap.nodelocal import LOCAL_IP, PORTS
from seamark.controllers.bootstrap.plan import plan_bootstrap
from seamark.controllers.settings import ControllerSettings
from seamark.dns.corefile.parser import parse_corefile
from seamark.dns.server.instance import parse_server


@pytest.mark.parametrize("wanted", [False, True])
def test_only_where_it_is_wanted(wanted: bool) -> None:
    found = plan_bootstrap(ControllerSettings(node_local_dns=wanted))
    assert ("DaemonSet" in {gvr.kind for gvr, _ in found}) == wanted


def test_the_pod_answers_at_the_local_and_the_clusters_address() -> None:
    found = plan_bootstrap(ControllerSettings(node_local_dns=True, cluster_dns="10.9.0.10"))
    (daemons,) = (obj for gvr, obj in found if gvr.kind == "DaemonSet")
    spec = daemons["spec"]["template"]["spec"]
    assert spec["hostNetwork"] is True
    assert spec["containers"][0]["args"][1:4] == ["-node-local", "-localip", f"{LOCAL_IP},10.9.0.10"]


def test_its_ports_are_at_the_local_address_alone() -> None:
    found = plan_bootstrap(ControllerSettings(node_local_dns=True))
    (text,) = (
        obj["data"]["Corefile"] for gvr, obj in found if obj["metadata"]["name"] == "node-local-dns" and "data" in obj
    )
    (block,) = parse_server(parse_corefile(text, file="C", environment={}))
    addresses = {config.address for name, config in block.plugins if name in ("health", "ready", "prometheus")}
    assert addresses == {f"{LOCAL_IP}:{port}" for port in (8080, 8181, 9253)}
    assert all(there in text for there in PORTS.values())
