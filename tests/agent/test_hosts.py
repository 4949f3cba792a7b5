"""Names of a pod on its node."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.agent.hosts import HostnameError, render_hosts, select_domain, select_hostname, select_uts_name
from seamark.agent.podspec import Pod
from seamark.model import codec


def pod(name: str = "web-0", **spec: Any) -> Pod:
    return codec.convert({"metadata": {"name": name, "namespace": "shop"}, "spec": spec}, Pod)


def test_file_as_people_know_it() -> None:
    of = pod(hostAliases=[{"ip": "1.2.3.4", "hostnames": ["a.test", "b.test"]}])
    assert render_hosts(of, ip="10.244.1.2", hostname="web-0", domain="", node_hosts="") == (
        "# Kubernetes-managed hosts file.\n"
        "127.0.0.1\tlocalhost\n"
        "::1\tlocalhost ip6-localhost ip6-loopback\n"
        "fe00::0\tip6-localnet\n"
        "fe00::0\tip6-mcastprefix\n"
        "fe00::1\tip6-allnodes\n"
        "fe00::2\tip6-allrouters\n"
        "10.244.1.2\tweb-0\n"
        "\n# Entries added by HostAliases.\n"
        "1.2.3.4\ta.test\tb.test\n"
    )


def test_subdomain_gives_the_full_name_first() -> None:
    of = pod(subdomain="db")
    domain = select_domain(of, cluster_domain="cluster.local")
    assert domain == "db.shop.svc.cluster.local"
    text = render_hosts(of, ip="10.244.1.2", hostname="web-0", domain=domain, node_hosts="")
    assert "10.244.1.2\tweb-0.db.shop.svc.cluster.local\tweb-0\n" in text


def test_host_network_shows_the_nodes_own() -> None:
    text = render_hosts(pod(hostNetwork=True), ip="192.0.2.1", hostname="n", domain="", node_hosts="127.0.0.1 me\n\n")
    assert text == "# Kubernetes-managed hosts file (host network).\n127.0.0.1 me\n"


@pytest.mark.parametrize(
    ("of", "hostname"),
    [
        (pod(), "web-0"),
        (pod(hostname="given"), "given"),
        (pod(hostNetwork=True), "node1"),
        (pod("a" * 62 + ".bc"), "a" * 62),
        (pod("a" * 70), "a" * 63),
    ],
    ids=["name", "given", "host network", "cut before a dot", "cut"],
)
def test_hostname(of: Pod, hostname: str) -> None:
    assert select_hostname(of, node="node1") == hostname


def test_full_name_as_hostname() -> None:
    of = pod(subdomain="db", setHostnameAsFQDN=True)
    assert select_uts_name(of, node="n", cluster_domain="cluster.local") == "web-0.db.shop.svc.cluster.local"
    with pytest.raises(HostnameError, match=r"setHostnameAsFQDN.* is 85 bytes long"):
        select_uts_name(pod("a" * 55, subdomain="d", setHostnameAsFQDN=True), node="n", cluster_domain="b" * 18)
