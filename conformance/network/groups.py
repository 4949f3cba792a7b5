"""Which of the suite's tests are run: the conformance set of sig-network, and groups that one machine can hold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

CONFORMANCE = "[sig-network] … [Conformance]"

GROUPS: Mapping[str, str] = {
    CONFORMANCE: r"\[sig-network\].*\[Conformance\]",
    "Services": r"\[sig-network\] Services ",
    "Networking Granular Checks: Services": r"\[sig-network\] Networking Granular Checks: Services ",
    "DNS": r"\[sig-network\] DNS ",
    "EndpointSliceMirroring": r"\[sig-network\] EndpointSliceMirroring ",
    "Conntrack": r"\[sig-network\] Conntrack ",
    "Networking, Connectivity, NoSNAT, Proxy": (
        r"\[sig-network\] (Connectivity Pod Lifecycle|NoSNAT|Proxy version v1|Networking should (check|provide unch))"
    ),
    "Topology Hints, Traffic Distribution": r"\[sig-network\] (Topology Hints|Traffic Distribution) ",
    "IngressClass, Service CIDRs": r"\[sig-network\] (IngressClass|Service CIDRs) ",
    "Variables and names of pods": (
        r"\[sig-node\] (Pods should contain environment variables|KubeletManagedEtcHosts|Kubelet .*hostAliases)"
    ),
    "Probes": r"\[sig-node\] Probing container ",
    "Lifecycle hooks": r"\[sig-node\] (Container Lifecycle Hook|Lifecycle |PreStop) ",
    "StatefulSets": r"\[sig-apps\] StatefulSet (Basic|AvailableReplicas|MinReadySeconds|Scaling)",
}

LEFT_OUT: Mapping[str, str] = {
    r"SCTP": "this kernel has no SCTP",
    r"LoadBalancer|\[Provider:": "needs a cloud",
    r"\[Disruptive\]": "restarts a kube-proxy or kube-apiserver that runs as a pod",
    r"PVC|PersistentVolumeClaim": "needs a provisioner of volumes",
    r"Forward PTR lookup": "asks a name server of the Internet",
    r"OffByDefault|IPv6": "off by default in Kubernetes, too, or IPv6",
}
"""Tests of those groups that are not run, and why."""


def select_groups(tests: Iterable[str]) -> dict[str, list[str]]:
    """Each test in the first group it belongs to."""
    found: dict[str, list[str]] = {group: [] for group in GROUPS}
    for test in tests:
        group = _group_of(test)
        if group and (group == CONFORMANCE or not why_left_out(test)):
            found[group].append(test)
    return found


def select_left_out(tests: Iterable[str]) -> dict[str, str]:
    """Why, by test."""
    chosen = [test for test in tests if _group_of(test) not in ("", CONFORMANCE)]
    return {test: why for test in chosen if (why := why_left_out(test))}


def _group_of(test: str) -> str:
    return next((group for group, pattern in GROUPS.items() if re.search(pattern, test)), "")


def why_left_out(test: str) -> str:
    return next((why for pattern, why in LEFT_OUT.items() if re.search(pattern, test)), "")
