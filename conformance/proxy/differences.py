"""Where kube-proxy does otherwise than flows.yaml says, and why Seamark means not to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from seamark.testing.scenario import Flow, Seen


@dataclass(frozen=True, slots=True)
class Intended:
    """``applies`` to scenario, mode of kube-proxy, flow and what was seen."""

    name: str
    text: str
    applies: Callable[[str, str, Flow, Seen], bool]


INTENDED = (
    Intended(
        "unused port of a ClusterIP",
        "In mode iptables kube-proxy has no rule for it: the packet is routed on, here to where nobody answers. "
        "In mode nftables it refuses, and so does Seamark in every mode: a client learns at once.",
        lambda scenario, mode, flow, seen: (
            mode == "iptables" and flow.outcome == "refuse" and "unused" in flow.case and seen.actions == {"drop"}
        ),
    ),
    Intended(
        "two claims of one address or node port",
        "An API server gives a node port to one Service, yet external addresses to any number. kube-proxy lets either "
        "have it, and may choose anew with each sync; with Seamark the Service of the lesser name has it, always.",
        lambda scenario, mode, flow, seen: (
            scenario == "conflicts" and seen.servers <= {"10.244.1.2:8080", "10.244.1.3:8080"}
        ),
    ),
    Intended(
        "an endpoint whose address is none of its slice's family",
        "No API server takes such a slice. kube-proxy writes the address as it is, nft and iptables-restore refuse the "
        "transaction, and no Service of the node is programmed, with a retry each 30 seconds. "
        "Seamark leaves the endpoint out.",
        lambda scenario, mode, flow, seen: scenario == "odd-objects" and seen.actions == {"drop"},
    ),
)


def explain(backend: str, scenario: str, flow: Flow, seen: Seen) -> str:
    """The name of what explains it; empty where nothing does, and always for Seamark's own backends."""
    peer, _, mode = backend.partition(" ")
    if peer != "kube-proxy":
        return ""
    return next((one.name for one in INTENDED if one.applies(scenario, mode, flow, seen)), "")
