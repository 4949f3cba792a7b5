"""Settings: what is accepted, what is refused and with which words, and what cannot change once kept."""

from __future__ import annotations

import msgspec
import pytest

from seamark.cli.errors import UserError
from seamark.cli.settings import Given, Settings, merge_settings, parse_settings


def merge(kept: Settings | None = None, **said: object) -> Settings:
    return merge_settings(Given(**said), kept, free_port=6443)  # type: ignore[arg-type]


def test_defaults_are_those_of_the_tutorial() -> None:
    made = merge(nodes=3)
    assert made.node_names == ("master1", "node1", "node2")
    assert [made.node_pod_cidr(i) for i in range(3)] == ["10.244.0.0/24", "10.244.1.0/24", "10.244.2.0/24"]
    assert (made.kubernetes_ip, made.cluster_dns, made.port) == ("10.96.0.1", "10.96.0.10", 6443)


def test_dns_address_follows_the_service_range() -> None:
    assert merge(service_cidr="10.112.0.0/16").cluster_dns == "10.112.0.10"


@pytest.mark.parametrize(
    ("said", "message"),
    [
        pytest.param({"service_cidr": "10.96.0.0"}, r"between /12 and /28", id="service-range-of-one"),
        pytest.param({"service_cidr": "nonsense"}, r"--service-cidr nonsense: not an IPv4 range", id="not-a-range"),
        pytest.param({"service_cidr": "10.0.0.0/8"}, r"between /12 and /28", id="range-too-wide"),
        pytest.param({"pod_cidr": "10.96.0.0/16"}, r"--pod-cidr 10\.96\.0\.0/16 overlaps", id="overlap"),
        pytest.param({"pod_cidr": "192.168.0.0/16"}, r"overlaps the addresses of the nodes", id="overlap-nodes"),
        pytest.param({"pod_cidr": "10.244.0.0/23", "nodes": 3}, r"too small for 3 nodes", id="too-small"),
        pytest.param({"nodes": -1}, r"--nodes -1: between 0 and 100", id="negative"),
        pytest.param({"host": True, "nodes": 3}, r"--host makes this machine the one node", id="host-and-three"),
        pytest.param({"cluster_domain": "Bad_Domain"}, r"--cluster-domain Bad_Domain", id="domain"),
        pytest.param({"registry_mirrors": ("docker.io",)}, r"--registry-mirror docker\.io: not HOST=URL", id="mirror"),
        pytest.param({"registry_mirrors": ("a=ftp://b",)}, r"--registry-mirror a=ftp://b", id="mirror-scheme"),
        pytest.param({"eviction_hard": "disk<5%"}, r"--eviction-hard 'disk<5%': write SIGNAL", id="eviction"),
        pytest.param({"image_gc": (80, 85)}, r"--image-gc 80,85: HIGH,LOW", id="image-gc"),
        pytest.param(
            {"controllers": "*,-cloud"}, r'--controllers \*,-cloud: "cloud" is not in the list', id="controllers"
        ),
        pytest.param({"advertise_address": "127.0.0.1", "nodes": 0}, r"not loopback", id="advertise-loopback"),
        pytest.param({"advertise_address": "10.1.2.3", "nodes": 1}, r"give it with --nodes 0", id="advertise-nodes"),
        pytest.param({"advertise_address": "here", "nodes": 0}, r"here: not an IPv4 address", id="advertise-name"),
        pytest.param({"cluster_dns": "8.8.8.8"}, r"--cluster-dns 8\.8\.8\.8: must lie in", id="dns-outside"),
        pytest.param({"cluster_dns": "10.96.0.1"}, r"not be its first address", id="dns-is-kubernetes"),
    ],
)
def test_refused(said: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        merge(**said)


def test_a_kept_range_cannot_change() -> None:
    kept = merge(nodes=1)
    with pytest.raises(UserError, match=r"--pod-cidr 10\.0\.0\.0/16: this data directory was made with 10\.244"):
        merge(kept, pod_cidr="10.0.0.0/16")
    assert merge(kept, nodes=3).nodes == 3


def test_settings_survive_their_file() -> None:
    made = merge(nodes=2, cluster_domain="corp.internal")
    assert parse_settings(msgspec.json.encode(made), "seamark.json") == made


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b'{"format": 99}', r"seamark.json: written by a newer Seamark \(format 99", id="newer"),
        pytest.param(b"{", r"seamark.json: damaged", id="cut-off"),
        pytest.param(b'{"format": 1, "nodes": "three"}', r"seamark.json: damaged", id="wrong-type"),
    ],
)
def test_a_file_that_cannot_be_read(data: bytes, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_settings(data, "seamark.json")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (Given(max_requests_inflight=-1), "--max-requests-inflight -1: cannot be a negative number"),
        (Given(audit_log_path="/a"), "--audit-log-path and --audit-policy-file need each other"),
        (Given(audit_policy_file="/a"), "--audit-log-path and --audit-policy-file need each other"),
    ],
)
def test_flags_of_the_api_server_are_checked(given: Given, text: str) -> None:
    with pytest.raises(UserError, match=text):
        merge_settings(given, None, free_port=1)
