"""Server block keys and zone arguments: ``[scheme://]zone[:port]``, where zone may be a CIDR block.

A CIDR block becomes reverse zones on octet (IPv4) or nibble (IPv6) boundaries; one that lies between them is split,
so ``10.0.0.0/15`` is two zones. Zones are lower-case and absolute.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_network

from seamark.dns.corefile.lexer import Token

DEFAULT_PORTS = {"dns": 53, "tls": 853, "quic": 853, "grpc": 443, "https": 443, "https3": 443}
SECURED = frozenset({"tls", "quic", "https3"})
"""Without certificates nobody can want these; https:// and grpc:// may have a proxy in front that ends TLS."""
MAX_NAME = 253
MAX_LABEL = 63
REVERSE = (".in-addr.arpa.", ".ip6.arpa.")


@dataclass(frozen=True, slots=True)
class ZoneKey:
    zone: str
    port: int
    transport: str = "dns"

    def __str__(self) -> str:
        return f"{self.transport}://{self.zone}:{self.port}"


def parse_key(token: Token, *, default_port: int = 53) -> tuple[ZoneKey, ...]:
    """The zones of one key; several for a CIDR block between boundaries."""
    text = token.text.lower()
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = "dns", text
    if scheme not in DEFAULT_PORTS:
        raise token.error(f"'{token.text}': '{scheme}' is not a scheme of a server block")
    host, port = _split_port(rest, token)
    default = default_port if scheme == "dns" else DEFAULT_PORTS[scheme]
    return tuple(ZoneKey(zone, port or default, scheme) for zone in _expand(host, token))


def parse_zones(tokens: tuple[Token, ...], block_zones: tuple[str, ...]) -> tuple[str, ...]:
    """The zones a plugin is given, else those of its server block. A scheme or port is not part of a zone."""
    if not tokens:
        return block_zones
    found: list[str] = []
    for token in tokens:
        text = token.text.lower().partition("://")
        host, _ = _split_port(text[2] or text[0], token)
        found += _expand(host, token)
    return tuple(dict.fromkeys(found))


def match_zone(zones: tuple[str, ...], name: str) -> str | None:
    """The longest of ``zones`` that ``name`` (lower-case, absolute) is in."""
    found = [zone for zone in zones if zone == "." or name == zone or _is_below(name, zone)]
    return max(found, key=len) if found else None


def _is_below(name: str, zone: str) -> bool:
    """A dot behind an odd number of backslashes is a letter of a label, not the end of one."""
    if not name.endswith(f".{zone}"):
        return False
    before = name[: -len(zone) - 1]
    return (len(before) - len(before.rstrip("\\"))) % 2 == 0


def is_reverse(zone: str) -> bool:
    return zone.endswith(REVERSE) or zone in ("in-addr.arpa.", "ip6.arpa.")


def _split_port(text: str, token: Token) -> tuple[str, int]:
    host, separator, port = text.rpartition(":")
    if not separator or not port.isdecimal():
        if separator and not port:
            raise token.error(f"'{token.text}': a port has to follow the last colon")
        return text, 0
    if not 1 <= int(port) <= 65535:
        raise token.error(f"'{token.text}': {port} is not a port")
    return host, int(port)


def _expand(host: str, token: Token) -> list[str]:
    if "/" in host:
        return _reverse_zones(host, token)
    zone = host if host.endswith(".") else f"{host}."
    labels = zone[:-1].split(".") if zone != "." else []
    if len(zone) > MAX_NAME + 1 or any(not 0 < len(label) <= MAX_LABEL for label in labels):
        raise token.error(f"'{token.text}' is not a domain name")
    return [zone]


def _reverse_zones(text: str, token: Token) -> list[str]:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        raise token.error(f"'{token.text}' is neither a domain name nor an address block") from None
    step = 8 if network.version == 4 else 4
    bits = -(-network.prefixlen // step) * step
    labels = bits // step
    total = network.max_prefixlen // step
    found = []
    for part in network.subnets(new_prefix=bits):
        pointer = part.network_address.reverse_pointer.split(".")
        found.append(".".join(pointer[total - labels :]) + ".")
    return found
