"""Questions by chance about a World: names that are there, nearly there and not there, of every type and spelling."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Literal

from conformance.dns.world import PORTS, ZONE, World

TYPES = ("A", "AAAA", "SRV", "TXT", "CNAME", "PTR", "MX", "NS", "SOA", "ANY", "HTTPS", "CAA", "NAPTR", "DS")
EDNS: tuple[dict[str, Any], ...] = ({}, {"payload": 1232, "want_dnssec": True}, {"payload": 4096}, {"payload": 512})
FILE_NAMES = (
    "@",
    "ns",
    "web",
    "WEB",
    "alias",
    "lost",
    "mail",
    "in.here",
    "deep.in.here",
    "nosuch",
    "a.wild",
    "a.b.wild",
    "host.wild",
    "a.host.wild",
    "wild",
    "sub",
    "x.sub",
    "ns.sub",
    "old",
    "x.old",
    "y.old",
    "new",
    "x.new",
    "_s._tcp",
)


Protocol = Literal["udp", "tcp"]


@dataclass(frozen=True, slots=True)
class Asking:
    name: str
    rdtype: str
    edns: tuple[tuple[str, Any], ...] = ()
    protocol: Protocol = "udp"

    def __str__(self) -> str:
        told = f" {dict(self.edns)}" if self.edns else ""
        return f"{self.name} {self.rdtype}{told} over {self.protocol}"


TRANSFERS = tuple(
    Asking(zone, rdtype, protocol="tcp")
    for zone in (ZONE, "file.test.", "svc.cluster.local.", "nosuch.test.", "sub.test.")
    for rdtype in ("AXFR", "IXFR")
)


def transfers(case: str) -> tuple[Asking, ...]:
    """Whole zones, which are refused where ``transfer`` is not used."""
    return TRANSFERS if case == "transfer" else TRANSFERS[:4]


def question(world: World, case: str) -> Asking:
    name = _name(world, case)
    if world.random.random() < 0.25:
        name = "".join(c.upper() if world.random.random() < 0.5 else c for c in name)
    rdtype = world.random.choice(TYPES[:3] if world.random.random() < 0.5 else TYPES)
    edns = tuple(world.random.choice(EDNS).items())
    return Asking(name, rdtype, edns, "tcp" if world.random.random() < 0.25 else "udp")


def _name(world: World, case: str) -> str:
    if case == "autopath" and world.random.random() < 0.4:
        return _searched(world)
    return _plain_name(world)


def _searched(world: World) -> str:
    """What the first step of a pod's search list makes of a name."""
    name, namespace = world.random.choice(world.services)
    inside = (name, f"{name}.{namespace}", f"{name}.{namespace}.svc", f"_http._tcp.{name}.{namespace}")
    outside = ("outside.example", "mixed.example", "nosuch.example", "a.sub.test", "localhost")
    return f"{world.random.choice(inside + outside)}.default.svc.{ZONE}"


def _plain_name(world: World) -> str:
    pick, chance = world.random.choice, world.random.random()
    name, namespace = pick(world.services)
    below = f"{name}.{namespace}.svc.{ZONE}"
    if chance < 0.25:
        return below
    if chance < 0.4:
        port, protocol, _ = pick(PORTS)
        return (
            pick((f"_{port}._{protocol}.", f"{port}.{protocol}.", f"_._{protocol}.", "_._.", "x._y.")).lower() + below
        )
    if chance < 0.55:
        host, service, space = pick(world.hosts)
        return f"{host}.{service}.{space}.svc.{ZONE}" if service else f"{host}.{space}.pod.{ZONE}"
    if chance < 0.7:
        return ip_address(pick(world.addresses)).reverse_pointer + "."
    if chance < 0.78:
        pod = pick(("10-0-0-1", "fd00--1", "--ffff-102-304", "10-0-0-256", "1-2-3", "x.10-0-0-1", "10-0-0-01"))
        return f"{pod}.{namespace}.pod.{ZONE}"
    if chance < 0.86:
        return pick(
            (
                ZONE, f"svc.{ZONE}", f"pod.{ZONE}", f"{namespace}.svc.{ZONE}", f"{namespace}.pod.{ZONE}",
                f"nosuch.svc.{ZONE}", f"a.nosuch.svc.{ZONE}", f"nosuch.{namespace}.svc.{ZONE}", f"foo.{ZONE}",
                f"dns-version.{ZONE}", f"ns.dns.{ZONE}", f"dns.{ZONE}", f"hostmaster.{ZONE}", f"a.b.c.{below}",
                f"a.pin._zone.{below}", f"b.c.prefer._zone.{below}", f"z.pin._zone.{below}",
                f"z.prefer._zone.{below}",
                f"*.{namespace}.svc.{ZONE}", "in-addr.arpa.", "244.10.in-addr.arpa.", "dns-version.in-addr.arpa.",
                "1.2.3.4.5.in-addr.arpa.", "9.9.9.9.in-addr.arpa.",
            )
        )  # fmt: skip
    return pick(
        (
            "outside.example.", "nosuch.example.", "mixed.example.", "many.sub.test.", "a.sub.test.", "b.sub.test.",
            f"{name}.rw.test.", "x.rw.test.", "ip-1-2.tpl.test.", "x.tpl.test.", f"{name}.{namespace}.ext.test.",
            f"_http._tcp.{name}.{namespace}.ext.test.", "ext.test.", "dns.ext.test.", f"{namespace}.ext.test.",
            "a.acl.test.", "a.any.test.", "localhost.", "localhost.any.test.", "x.localhost.",
            *(("" if label == "@" else f"{label}.") + "file.test." for label in FILE_NAMES),
        )
    )  # fmt: skip
