"""One TO of ``forward``: an address, a host name or a file, and how it is spoken to. Pure.

``[dns://|tls://|https://|quic://]ADDRESS[%NAME][:PORT]``, the same with a host name (asked for at start), or a file in
the form of resolv.conf. A path behind ``https://`` is refused: it is always /dns-query, as with CoreDNS.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address

import dns.exception
import dns.name

from seamark.dns.corefile.address import split_address
from seamark.dns.corefile.lexer import Token

PORTS = {"dns": 53, "tls": 853, "https": 443, "quic": 853}


@dataclass(frozen=True, slots=True)
class Upstream:
    """``host`` is an address, a host name (``is_name``) or a file (``is_file``); ``token`` is for messages.

    ``server_name`` is whose certificate is expected, empty = ``tls_servername``'s, or the address's own.
    """

    host: str
    port: int
    token: Token
    scheme: str = "dns"
    server_name: str = ""
    is_file: bool = False
    is_name: bool = False
    named: bool = False
    """Whether ``%NAME`` was given."""


def parse_upstream(token: Token) -> Upstream:
    """Raises CorefileError."""
    scheme, separator, rest = token.text.partition("://")
    if not separator:
        scheme, rest = "dns", token.text
    if scheme not in PORTS:
        known = ", ".join(f"{known}://" for known in PORTS)
        raise token.error(f"'{token.text}': upstreams are {known}")
    if scheme == "dns" and rest.startswith(("/", "./")):
        return Upstream(rest, PORTS["dns"], token, is_file=True)
    if scheme == "https" and "/" in rest:
        raise token.error(f"'{token.text}': the path is always /dns-query and cannot be given")
    address, name, port = _split(token, rest)
    try:
        host, number = split_address(address + port)
    except ValueError as error:
        raise token.error(f"'{token.text}' is not an address with a port: {error}") from None
    number = number or PORTS[scheme]
    if _is_address(host):
        return Upstream(host, number, token, scheme, name, named=bool(name))
    if not _is_host_name(host):
        raise token.error(f"not an IP address, file, or valid domain: '{token.text}'")
    return Upstream(
        host, number, token, scheme, name or (host if scheme != "dns" else ""), is_name=True, named=bool(name)
    )


def _split(token: Token, text: str) -> tuple[str, str, str]:
    """Address, the name behind ``%`` (which is no IPv6 zone: those are digits and interfaces), ``:PORT``."""
    address, percent, name = text.partition("%")
    if not percent:
        return text, "", ""
    name, bracket, after = name.partition("]")
    address, tail = (address + bracket, after) if bracket else (address, "")
    if not bracket:
        name, colon, port = name.partition(":")
        tail = colon + port
    if not name:
        raise token.error(f"'{token.text}': the server's name has to follow the %")
    return address, name, tail


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_host_name(host: str) -> bool:
    try:
        name = dns.name.from_text(host)
    except (dns.exception.DNSException, UnicodeError):
        return False
    return bool(host.strip(".")) and "/" not in host and " " not in host and len(name.labels) > 1
