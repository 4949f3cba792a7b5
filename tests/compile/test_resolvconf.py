"""resolv.conf of a pod: kubelet's policies, merging and limits."""

from __future__ import annotations

import pytest

from seamark.compile.resolvconf import (
    NodeDns,
    PodDns,
    PodDnsConfig,
    PodDnsOption,
    ResolvConf,
    compile_resolvconf,
    parse_resolv_conf,
    render_resolv_conf,
)

NODE_FILE = """# the node's own
domain ignored.example
nameserver 192.0.2.1
nameserver 192.0.2.2
search old.example
search lan.example. . corp.example
options ndots:1 rotate
options ndots:2
"""
CLUSTER = NodeDns(cluster_dns=("10.96.0.10",))
WITH_FILE = NodeDns(cluster_dns=("10.96.0.10",), resolv_conf=NODE_FILE)


def rendered(pod: PodDns, node: NodeDns = CLUSTER) -> str:
    return render_resolv_conf(compile_resolvconf(pod, node))


def config(**fields: object) -> PodDnsConfig:
    return PodDnsConfig(**fields)  # type: ignore[arg-type]


CLUSTER_FIRST = """search web.svc.cluster.local svc.cluster.local cluster.local
nameserver 10.96.0.10
options ndots:5
"""
CLUSTER_AND_NODE = CLUSTER_FIRST.replace("cluster.local\nn", "cluster.local lan.example corp.example\nn")
NODES_OWN = "search lan.example corp.example\nnameserver 192.0.2.1\nnameserver 192.0.2.2\noptions ndots:2 rotate\n"


@pytest.mark.parametrize(
    ("pod", "node", "text"),
    [
        pytest.param(PodDns("web"), CLUSTER, CLUSTER_FIRST, id="ClusterFirst"),
        pytest.param(PodDns("web"), WITH_FILE, CLUSTER_AND_NODE, id="ClusterFirst keeps the node's search list"),
        pytest.param(PodDns("web", host_network=True), WITH_FILE, NODES_OWN, id="ClusterFirst on the host network"),
        pytest.param(
            PodDns("web", "ClusterFirstWithHostNet", host_network=True), WITH_FILE, CLUSTER_AND_NODE, id="WithHostNet"
        ),
        pytest.param(PodDns("web", "Default"), WITH_FILE, NODES_OWN, id="Default"),
        pytest.param(
            PodDns("web", "Default"), NodeDns(resolv_conf=None), "search .\nnameserver 127.0.0.1\n", id="none"
        ),
        pytest.param(PodDns("web", "None"), WITH_FILE, "", id="None without dnsConfig"),
        pytest.param(
            PodDns("web"), NodeDns("", ("10.0.0.1",)), "nameserver 10.0.0.1\noptions ndots:5\n", id="no domain"
        ),
        pytest.param(
            PodDns("a"),
            NodeDns("corp.test", ("10.0.0.1", "fd00::a")),
            "search a.svc.corp.test svc.corp.test corp.test\n"
            "nameserver 10.0.0.1\nnameserver fd00::a\noptions ndots:5\n",
            id="settings of the cluster",
        ),
        pytest.param(
            PodDns("web", "None", config(nameservers=["192.0.2.9"], searches=["my.dns"], options=[PodDnsOption("x")])),
            CLUSTER,
            "search my.dns\nnameserver 192.0.2.9\noptions x\n",
            id="None with dnsConfig",
        ),
        pytest.param(
            PodDns(
                "web",
                config=config(
                    nameservers=["10.96.0.10", "192.0.2.9"],
                    searches=["cluster.local", "my.dns"],
                    options=[PodDnsOption("ndots", "2"), PodDnsOption("edns0")],
                ),
            ),
            CLUSTER,
            "search web.svc.cluster.local svc.cluster.local cluster.local my.dns\n"
            "nameserver 10.96.0.10\nnameserver 192.0.2.9\noptions ndots:2 edns0\n",
            id="dnsConfig merges and counts once",
        ),
        pytest.param(PodDns("web", "Nonsense"), CLUSTER, CLUSTER_FIRST, id="unknown policy"),
    ],
)
def test_the_file_a_pod_gets(pod: PodDns, node: NodeDns, text: str) -> None:
    assert rendered(pod, node) == text


def test_a_missing_cluster_dns_falls_back_and_says_so() -> None:
    found = compile_resolvconf(PodDns("web"), NodeDns(resolv_conf=NODE_FILE))
    assert found.nameservers == ("192.0.2.1", "192.0.2.2")
    assert [w.reason for w in found.warnings] == ["MissingClusterDNS"]


def test_three_nameservers_at_most() -> None:
    found = compile_resolvconf(PodDns("web", "None", config(nameservers=["a", "b", "c", "d"])), CLUSTER)
    assert found.nameservers == ("a", "b", "c")
    assert "applied nameserver line is: a b c" in found.warnings[0].message


@pytest.mark.parametrize(
    ("searches", "kept"),
    [
        pytest.param([f"d{i}.x" for i in range(40)], [f"d{i}.x" for i in range(32)], id="32 domains"),
        pytest.param(["ok.x", "l" * 254, "also.x"], ["ok.x", "also.x"], id="a domain over 253 characters"),
        pytest.param(["m" * 253] * 1 + [f"{i}" + "n" * 250 for i in range(8)], None, id="2048 characters"),
    ],
)
def test_the_search_list_has_limits(searches: list[str], kept: list[str] | None) -> None:
    found = compile_resolvconf(PodDns("web", "None", config(nameservers=["a"], searches=searches)), CLUSTER)
    assert list(found.searches) == (searches[:8] if kept is None else kept)
    assert len(" ".join(found.searches)) <= 2048
    assert [w.reason for w in found.warnings] == ["DNSConfigForming"]


def test_parse_reads_what_resolvers_read() -> None:
    assert parse_resolv_conf(NODE_FILE) == ResolvConf(
        ("lan.example", "corp.example"), ("192.0.2.1", "192.0.2.2"), ("ndots:2", "rotate")
    )
