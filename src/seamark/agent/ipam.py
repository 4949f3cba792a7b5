"""Addresses of pods out of the node's pod range (pure): the lowest free one after the last that was given.

Going round the range keeps an address that a pod just left out of use as long as possible: clients, conntrack entries
and DNS answers that still hold it must not meet a stranger. The network and broadcast addresses and the first host
address (the node's own side) are never given. What is taken comes from the sandboxes, so a restart forgets nothing.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import chain


class RangeExhaustedError(Exception):
    """The pod waits until another one leaves."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """``taken`` by pod uid; ``last`` is the address given most recently, empty before the first."""

    cidr: str
    taken: frozenset[tuple[str, str]] = frozenset()
    last: str = ""

    def of(self, uid: str) -> str:
        return next((ip for owner, ip in self.taken if owner == uid), "")

    def give(self, uid: str) -> tuple[Addresses, str]:
        """The pod's address: the one it has, else a new one. Raises RangeExhaustedError."""
        held = self.of(uid)
        if held:
            return self, held
        ip = plan_address(self.cidr, {ip for _, ip in self.taken}, last=self.last)
        return replace(self, taken=self.taken | {(uid, ip)}, last=ip), ip

    def adopt(self, uid: str, ip: str) -> Addresses:
        return replace(self, taken=self.taken | {(uid, ip)}, last=ip)

    def free(self, uid: str) -> Addresses:
        return replace(self, taken=frozenset((owner, ip) for owner, ip in self.taken if owner != uid))


def plan_address(cidr: str, taken: Iterable[str], *, last: str = "") -> str:
    network = ipaddress.ip_network(cidr)
    first, size = int(network.network_address), network.num_addresses
    used = {int(ipaddress.ip_address(ip)) - first for ip in taken}
    usable = range(2, size - 1)
    start = int(ipaddress.ip_address(last)) - first + 1 if last else usable.start
    if start not in usable:
        start = usable.start
    for offset in chain(range(start, usable.stop), range(usable.start, start)):
        if offset not in used:
            return str(network[offset])
    raise RangeExhaustedError(f"no free address in pod range {cidr}: {len(used)} of {max(len(usable), 0)} in use")
