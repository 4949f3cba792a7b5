"""iptables chains: names, what differs, and that nothing of others is touched."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from seamark.compile.iptables import MARKER, compile_iptables, is_ours
from seamark.compile.iptablestext import (
    HOOKS,
    Chain,
    Chains,
    parse_save,
    render_removal,
    render_restore,
    select_missing_hooks,
)
from seamark.compile.ruleset import Family, NodeConfig, Ruleset, compile_ruleset
from seamark.model.snapshot import Snapshot


def ruleset(node: NodeConfig, *items: Any, family: Family = "IPv4") -> Ruleset:
    return compile_ruleset(Snapshot.of(items), node, family=family)


def rules_of(chains: Chains, table: Any, prefix: str) -> list[str]:
    return [
        rule for chain, rules in chains.items() if chain[0] == table and chain.name.startswith(prefix) for rule in rules
    ]


def test_names_are_kube_proxys(objects: Any, node: NodeConfig) -> None:
    """Seen on a kube-proxy: default/kubernetes:https."""
    service = objects.service("kubernetes", "10.96.0.1", {"name": "https", "port": 443})
    chains = compile_iptables(
        ruleset(
            node, service, objects.slice_("172.30.0.11", service="kubernetes", ports=[{"name": "https", "port": 6443}])
        )
    )
    assert Chain("nat", "KUBE-SVC-NPX46M4PTMTKRN6Y") in chains


def test_a_changed_endpoint_costs_its_chains_alone(objects: Any, node: NodeConfig) -> None:
    others = [objects.service(f"other{n}", f"10.96.1.{n}") for n in range(1, 9)]
    slices = [objects.slice_("10.244.0.9", service=f"other{n}") for n in range(1, 9)]
    everything = [*others, *slices, objects.service()]
    old = compile_iptables(ruleset(node, *everything, objects.slice_("10.244.0.2", "10.244.0.3")))
    new = compile_iptables(ruleset(node, *everything, objects.slice_("10.244.0.2", "10.244.0.4")))
    lines = render_restore(old, new).splitlines()
    assert lines[0] == "*nat"
    named = [line for line in lines if line.startswith(":")]
    assert [name.split("-")[1] for name in named] == ["SEP", "SVC", "SEP"], "the new one, the list, the old one"
    assert [line for line in lines if line.startswith("-X")] == [f"-X {named[-1][1:].split(' ')[0]}"]
    assert not any("KUBE-SERVICES" in line for line in lines)
    assert render_restore(new, new) == ""


def test_deleting_everything_leaves_the_frame(objects: Any, node: NodeConfig) -> None:
    full = compile_iptables(ruleset(node, objects.service(type="NodePort"), objects.slice_("10.244.0.2")))
    empty = compile_iptables(ruleset(node))
    text = render_restore(full, empty)
    gone = {line.removeprefix("-X ") for line in text.splitlines() if line.startswith("-X")}
    assert gone == {chain.name for chain in full.keys() - empty.keys()}
    assert text.index("-X") > text.rindex("-A"), "references go before chains do"


@pytest.mark.parametrize("count", [1, 2, 3, 10])
def test_endpoints_have_equal_chances(objects: Any, node: NodeConfig, count: int) -> None:
    ips = [f"10.244.0.{n}" for n in range(2, 2 + count)]
    chains = compile_iptables(ruleset(node, objects.service(), objects.slice_(*ips)))
    left, chances = 1.0, []
    for rule in rules_of(chains, "nat", "KUBE-SVC-"):
        if "KUBE-SEP" in rule:
            _, _, text = rule.partition("--probability ")
            taken = left * (float(text.split(" ")[0]) if text else 1.0)
            chances.append(taken)
            left -= taken
    assert chances == pytest.approx([1 / count] * count)


def test_two_services_with_one_external_address(objects: Any, node: NodeConfig) -> None:
    both = [
        objects.service(name, ip, externalIPs=["192.0.2.1"]) for name, ip in (("b", "10.96.0.8"), ("a", "10.96.0.9"))
    ]
    chains = compile_iptables(ruleset(node, *both, objects.slice_("10.244.0.2", service="b")))
    assert not any("192.0.2.1" in rule for rule in chains[Chain("nat", "KUBE-SERVICES")])
    (refused,) = (r for r in chains[Chain("filter", "KUBE-EXTERNAL-SERVICES")] if "192.0.2.1" in r)
    assert '"default/a:http has no endpoints" -j REJECT --reject-with tcp-reset' in refused


def test_source_ranges_guard_what_is_refused_too(objects: Any, node: NodeConfig) -> None:
    service = objects.service(
        type="LoadBalancer", ingress=[{"ip": "192.0.2.9"}], loadBalancerSourceRanges=["198.51.100.0/24"]
    )
    chains = compile_iptables(ruleset(node, service))
    match = "-d 192.0.2.9 -p tcp -m tcp --dport 80"
    assert chains[Chain("filter", "KUBE-PROXY-FIREWALL")] == (
        f"{match} -s 198.51.100.0/24 -j RETURN",
        f"{match} -j DROP",
    )
    assert any(
        rule.startswith(match) and "REJECT" in rule for rule in chains[Chain("filter", "KUBE-EXTERNAL-SERVICES")]
    )


@pytest.mark.parametrize(
    ("local", "mark"),
    [
        pytest.param({}, "! -s 10.244.0.0/16 -j KUBE-MARK-MASQ", id="a range"),
        pytest.param({"pod_cidrs": ("10.1.0.0/16", "10.2.0.0/16")}, "-j KUBE-MARK-OUTSIDERS", id="two ranges"),
        pytest.param({"pod_bridge": "cni0"}, "! -i cni0 -j KUBE-MARK-MASQ", id="bridge"),
        pytest.param({"pod_interface_prefix": "veth"}, "! -i veth+ -j KUBE-MARK-MASQ", id="prefix"),
        pytest.param({"masquerade_all": True}, "--dport 80 -j KUBE-MARK-MASQ", id="all"),
    ],
)
def test_outsiders_are_masqueraded(objects: Any, node: NodeConfig, local: dict[str, Any], mark: str) -> None:
    chains = compile_iptables(ruleset(replace(node, **local), objects.service(), objects.slice_("10.244.0.2")))
    (rule,) = (r for r in rules_of(chains, "nat", "KUBE-SVC-") if "-d 10.96.0.9" in r)
    assert rule.endswith(mark)


def test_without_a_range_nobody_is(objects: Any, node: NodeConfig) -> None:
    chains = compile_iptables(ruleset(replace(node, pod_cidrs=()), objects.service(), objects.slice_("10.244.0.2")))
    assert not any("MARK" in rule for rule in rules_of(chains, "nat", "KUBE-SVC-"))


def test_another_mark(node: NodeConfig) -> None:
    chains = compile_iptables(ruleset(replace(node, masquerade_mark=0x1)))
    assert chains[Chain("nat", "KUBE-MARK-MASQ")] == ("-j MARK --or-mark 0x1",)
    assert "0x4000" not in str(chains)


def test_sctp_and_ipv6(objects: Any, node: NodeConfig) -> None:
    service = objects.service(
        "six", "fd00:96::9", {"name": "x", "port": 7, "protocol": "SCTP"}, clusterIPs=["fd00:96::9"]
    )
    piece = objects.slice_(
        "fd00::2", service="six", family="IPv6", ports=[{"name": "x", "port": 7, "protocol": "SCTP"}]
    )
    six = replace(node, pod_cidrs=("fd00::/64",), service_cidrs=("fd00:96::/112",))
    chains = compile_iptables(ruleset(six, service, piece, family="IPv6"), "IPv6")
    assert '-m comment --comment "default/six:x" -p sctp -m sctp -j DNAT --to-destination [fd00::2]:7' in rules_of(
        chains, "nat", "KUBE-SEP-"
    )
    assert "! -d ::1/128 -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS" in chains[Chain("nat", "KUBE-SERVICES")]


SAVED = """# Generated by iptables-save
*nat
:PREROUTING ACCEPT [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-SEAMARK - [0:0]
:KUBE-SVC-X - [0:0]
:KUBE-KUBELET-CANARY - [0:0]
-A PREROUTING -s 192.0.2.1/32 -j DROP
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A KUBE-SERVICES -j KUBE-SVC-X
COMMIT
*filter
:KUBE-FIREWALL - [0:0]
COMMIT
"""


def test_what_was_saved_is_read_and_only_ours_is_removed() -> None:
    found = parse_save(SAVED)
    assert found[Chain("nat", "KUBE-SERVICES")] == ("-j KUBE-SVC-X",)
    missing = select_missing_hooks(found)
    assert Chain("nat", "PREROUTING") not in {chain for chain, _ in missing}
    jumps = [(chain, rule) for chain, rules in HOOKS.items() for rule in rules if (chain, rule) not in missing]
    assert MARKER in found
    assert render_removal(filter(is_ours, found), jumps).splitlines() == [
        "*nat",
        ":KUBE-SEAMARK - [0:0]",
        ":KUBE-SERVICES - [0:0]",
        ":KUBE-SVC-X - [0:0]",
        '-D PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
        "-X KUBE-SEAMARK",
        "-X KUBE-SERVICES",
        "-X KUBE-SVC-X",
        "COMMIT",
    ]
