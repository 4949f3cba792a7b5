"""What the nft table remembers of clients of affinity Services, read back into words: who goes where, and how long.

A serial names a pool of a Service; the frontends that lead to it say which Service that is.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from ipaddress import ip_address
from typing import NamedTuple

from seamark.compile.diff import FRONTENDS
from seamark.compile.nftlayout import SETS, Layout, class_bytes, class_numbers, render_value
from seamark.model.service import Service

SETS_READ = ("kinds", "slots", *FRONTENDS)
"""What ``read_affinity`` needs of a table beside ``aff``."""


class Remembered(NamedTuple):
    """One client of one pool. ``endpoint`` empty = it has gone, so the client is chosen anew; ``expires`` in seconds,
    counted from the client's last new connection; 0 = never, the client was pinned.
    """

    frontends: tuple[str, ...]
    client: str
    endpoint: str
    expires: float
    key: bytes


def read_affinity(
    sets: Mapping[str, Mapping[bytes, bytes]], clients: Iterable[tuple[bytes, bytes, float]], layout: Layout
) -> list[Remembered]:
    """``clients`` are the elements of ``aff``: (key, datum, seconds left)."""
    reached = _frontends_by_serial(sets, layout)
    found = []
    for key, pick, left in clients:
        _, serial = class_numbers(key[:4])
        place = sets["slots"].get(pick)
        endpoint = render_value(layout, SETS["slots"].data, place).rsplit(" . ", 1) if place else ()
        shown = _place(*endpoint) if endpoint else ""
        found.append(Remembered(reached.get(serial, ()), str(ip_address(key[4:])), shown, left, key))
    return sorted(found, key=lambda r: (r.frontends, ip_address(r.client)))


def plan_pin(
    sets: Mapping[str, Mapping[bytes, bytes]],
    layout: Layout,
    frontends: Container[str],
    *,
    client: str,
    endpoint: str,
) -> dict[bytes, bytes]:
    """The elements of ``aff`` that lead the client to the endpoint (an address, or with its port) in every pool behind
    the frontends; none where no pool has it. They have no timeout, so they last.
    """
    found = {}
    for serial, shown in _frontends_by_serial(sets, layout).items():
        if not any(one in frontends for one in shown):
            continue
        for pick, place in sets["slots"].items():
            ip, port = render_value(layout, SETS["slots"].data, place).split(" . ")
            if class_numbers(pick)[1] == serial and endpoint in (ip, _place(ip, port)):
                found[class_bytes(0, serial) + ip_address(client).packed] = pick
    return found


def name_frontends(services: Iterable[Service]) -> dict[str, str]:
    """Frontend as ``read_affinity`` shows it -> ``namespace/name:port`` of the Service it belongs to."""
    named = {}
    for service in services:
        status = service.status.load_balancer
        ingress = [item.ip for item in (status.ingress if status else None) or [] if item.ip]
        addresses = (*service.cluster_ips, *(service.spec.external_ips or []), *ingress)
        for port in service.spec.ports or []:
            name = f"{service.key}:{port.name or port.port}"
            named.update({_shown(ip, port.protocol, port.port): name for ip in addresses})
            if port.node_port:
                named[_shown("", port.protocol, port.node_port)] = name
    return named


def _frontends_by_serial(sets: Mapping[str, Mapping[bytes, bytes]], layout: Layout) -> dict[int, tuple[str, ...]]:
    found: dict[int, list[str]] = {}
    for name in FRONTENDS:
        for key, pool in sets[name].items():
            kind, serial = class_numbers(pool)
            if sets["kinds"].get(class_bytes(kind, 0), b"").startswith(b"a"):
                fields = render_value(layout, SETS[name].key, key).split(" . ")
                ip = fields.pop(0) if len(fields) == 3 else ""
                found.setdefault(serial, []).append(_shown(ip, fields[0], int(fields[1])))
    return {serial: tuple(dict.fromkeys(shown)) for serial, shown in found.items()}


def _shown(ip: str, protocol: str, port: int) -> str:
    return f"{_place(ip or '*', str(port))}/{protocol.upper()}"


def _place(ip: str, port: str) -> str:
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
