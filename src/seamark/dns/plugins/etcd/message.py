"""SkyDNS messages: what an etcd key and its value say, and which of several belong together. Pure.

A name is a key turned round: ``web.prod.skydns.local.`` is ``/skydns/local/skydns/prod/web``; every key below a name's
own answers for the name, too. A value is ``{"host": …, "port": …, "ttl": …}`` (skynetservices/skydns, msg/service.go).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

import dns.name
import msgspec

PRIORITY = 10
TTL = 300
WILDCARDS = ("*", "any")


class Entry(NamedTuple):
    """A key as etcd has it. ``lease`` 0 = for ever."""

    key: str
    value: bytes
    lease: int = 0


class Value(msgspec.Struct, frozen=True):
    host: str = ""
    port: int = 0
    priority: int = 0
    weight: int = 0
    text: str = ""
    mail: bool = False
    ttl: int = 0
    targetstrip: int = 0
    group: str = ""


_VALUE = msgspec.json.Decoder(Value)


@dataclass(frozen=True, slots=True)
class Message:
    """``address`` is the host in its usual spelling if it is one; ``ttl`` in seconds."""

    key: str
    value: Value
    ttl: int

    @property
    def address(self) -> str:
        try:
            found = ip_address(self.value.host)
        except ValueError:
            return ""
        mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
        return str(mapped or found)

    @property
    def kind(self) -> str:
        """A, AAAA, or else TXT for one with a text, CNAME for one that has a host name only."""
        address = self.address
        if address:
            return "AAAA" if ":" in address else "A"
        return "TXT" if self.value.text else "CNAME"

    @property
    def priority(self) -> int:
        return self.value.priority or PRIORITY


def parse_value(entry: Entry) -> Value:
    """Raises ValueError, which names the key."""
    try:
        return _VALUE.decode(entry.value)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(f"{entry.key}: {error}") from None


def labels_of(name: dns.name.Name) -> list[str]:
    """In the order of keys, lower-case."""
    return [label.decode("latin-1").lower() for label in reversed(name.labels) if label]


def key_of(name: dns.name.Name, prefix: str) -> tuple[str, bool]:
    """Where to look, and whether only some of what is there fits: a wildcard label ends the key."""
    labels = labels_of(name)
    first = next((at for at, label in enumerate(labels) if label in WILDCARDS), len(labels))
    return "/" + "/".join([*filter(None, prefix.split("/")), *labels[:first]]), first < len(labels)


def name_of(key: str, prefix: str) -> dns.name.Name:
    """The name a key stands for. Raises DNSException for one that is none."""
    labels = [label.encode("utf-8") for label in key.removeprefix(f"/{prefix}").split("/") if label]
    return dns.name.Name((*reversed(labels), b""))


def fits(key: str, prefix: str, name: dns.name.Name) -> bool:
    """Whether a key is, or is below, what a name with wildcards asks for."""
    held = [label for label in key.removeprefix(f"/{prefix}").split("/") if label]
    wanted = labels_of(name)
    pairs = zip(wanted, held, strict=False)
    return len(held) >= len(wanted) and all(want in (*WILDCARDS, have) for want, have in pairs)


def select_ttl(value: Value, lease: int | None, bounds: tuple[int, int]) -> int:
    """The shorter of the message's own and what its lease has left, that within bounds."""
    if lease is not None and lease > 0:
        left = max(bounds[0], min(lease, bounds[1]))
        return min(left, value.ttl) if value.ttl else left
    return value.ttl or TTL


def select_group(messages: Sequence[Message]) -> list[Message]:
    """The shortest key's group rules: others' members are left out, unless groups at its depth disagree."""
    if not messages:
        return []
    depths = [message.key.count("/") for message in messages]
    group, depth = _ruling(messages, depths)
    if not group:
        return list(messages)
    if any(at == depth and m.value.group not in ("", group) for m, at in zip(messages, depths, strict=True)):
        return list(messages)
    return [message for message in messages if message.value.group in ("", group)]


def _ruling(messages: Iterable[Message], depths: Sequence[int]) -> tuple[str, int]:
    group, depth = None, depths[0]
    for message, at in zip(messages, depths, strict=True):
        if group is None:
            group = message.value.group
        elif at < depth:
            if not message.value.group:
                break
            group, depth = message.value.group, at
    return group or "", depth
