"""Listening addresses of plugins (``:8080``, ``127.0.0.1:9153``, ``localhost:9153``) and upstream addresses. Pure."""

from __future__ import annotations

from ipaddress import ip_address

from seamark.dns.corefile.lexer import Token


def split_address(text: str) -> tuple[str, int | None]:
    """Host and port of ``host``, ``host:port``, ``[v6]:port`` or a bare IPv6 address. Raises ValueError."""
    if text.startswith("["):
        host, separator, rest = text[1:].partition("]")
        if not separator or (rest and not rest.startswith(":")):
            raise ValueError(f"'{text}': a closing bracket is missing or misplaced")
        return host, _port(text, rest[1:]) if rest else None
    if text.count(":") > 1:
        return text, None
    host, separator, port = text.partition(":")
    return host, _port(text, port) if separator else None


def parse_listen(token: Token) -> str:
    """``host:port`` where a plugin listens; an empty host is every address."""
    try:
        host, port = split_address(token.text)
        if host and host != "localhost" and not (port is None and host.isdecimal()):
            ip_address(host)
    except ValueError as error:
        raise token.error(f"'{token.text}' is not an address to listen on: {error}") from None
    if port is None:
        raise token.error(f"'{token.text}' has no port: write it as :8080")
    return join_address(host, port)


def join_address(host: str, port: int) -> str:
    """As ``split_address`` reads it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _port(text: str, port: str) -> int:
    if not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise ValueError(f"'{port}' in '{text}' is not a port")
    return int(port)
