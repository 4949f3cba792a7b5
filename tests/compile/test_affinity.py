"""What the table remembers, in words."""

from __future__ import annotations

from typing import Any

from seamark.compile.affinity import name_frontends, read_affinity
from seamark.compile.diff import compile_nft
from seamark.compile.nftlayout import Layout, address_bytes, class_bytes, class_numbers
from seamark.compile.ruleset import NodeConfig, compile_ruleset
from seamark.model.snapshot import Snapshot
from seamark.testing.fakenft import FakeNft


def test_clients_their_service_and_endpoint(objects: Any, node: NodeConfig) -> None:
    service = objects.service(
        "web",
        "10.96.0.9",
        {"name": "http", "port": 80, "nodePort": 30080},
        type="NodePort",
        sessionAffinity="ClientIP",
        externalTrafficPolicy="Local",
    )
    plain = objects.service("plain", "10.96.0.10")
    pieces = [
        objects.slice_("10.244.0.2", objects.endpoint("10.244.1.2", "node2")),
        objects.slice_("10.244.0.2", service="plain"),
    ]
    kernel = FakeNft(node)
    kernel.apply(compile_nft(compile_ruleset(Snapshot.of([service, plain, *pieces]), node)).full())
    (cluster,) = {
        class_numbers(pool)[1] for key, pool in kernel.sets["cip"].items() if key.startswith(address_bytes("10.96.0.9"))
    }
    pick = next(datum for key, datum in kernel.sets["pick"].items() if key.startswith(class_bytes(0, cluster)))
    client = class_bytes(0, cluster) + address_bytes("192.0.2.1")
    gone = class_bytes(0, cluster) + address_bytes("192.0.2.2")
    found = read_affinity(kernel.sets, [(gone, class_bytes(77, cluster), 9.0), (client, pick, 10.5)], Layout())
    assert [(r.client, r.expires) for r in found] == [("192.0.2.1", 10.5), ("192.0.2.2", 9.0)]
    assert found[0].endpoint in ("10.244.0.2:80", "10.244.0.2:8080", "10.244.1.2:8080")
    assert found[1].endpoint == ""
    names = name_frontends([service, plain])
    assert {names[frontend] for frontend in found[0].frontends} == {"default/web:http"}
    assert "10.96.0.9:80/TCP" in found[0].frontends
    assert names["*:30080/TCP"] == "default/web:http"
    assert "10.96.0.10:80/TCP" in names


def test_ipv6_is_written_with_brackets(objects: Any) -> None:
    service = objects.service("six", "fd00::9", clusterIPs=["fd00::9"])
    assert list(name_frontends([service])) == ["[fd00::9]:80/TCP"]
