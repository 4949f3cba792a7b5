"""What mode ipvs may be told, apart from the mode itself, which only a proxy in that mode loads."""

from __future__ import annotations

from dataclasses import dataclass

SCHEDULERS = ("rr", "wrr", "lc", "wlc", "lblc", "lblcr", "dh", "sh", "sed", "nq", "mh", "fo", "ovf")


@dataclass(frozen=True, slots=True)
class IpvsOptions:
    """As in kube-proxy's ``ipvs`` section; timeouts in seconds, 0 = the kernel's own."""

    scheduler: str = "rr"
    strict_arp: bool = False
    excluded: tuple[str, ...] = ()
    tcp: int = 0
    tcp_fin: int = 0
    udp: int = 0
