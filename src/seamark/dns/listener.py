"""Where queries come in, and from whom. A server block listens on one address or more; blocks may share one."""

from __future__ import annotations

from typing import NamedTuple


class Listener(NamedTuple):
    """``host`` empty = every address of the machine (no plugin bind)."""

    port: int
    host: str = ""
    transport: str = "dns"

    @property
    def label(self) -> str:
        """As metrics and logs call it: ``dns://:53``, ``dns://[::1]:53``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.transport}://{host}:{self.port}"


class Source(NamedTuple):
    """Who asks. ``at`` is the server's own address that was asked; ``tlvs`` what a proxy told besides addresses."""

    host: str
    port: int
    at: str = ""
    at_port: int = 0
    tlvs: bytes = b""


def plain_address(host: str) -> str:
    """A client's address as it is written elsewhere: no IPv4 in IPv6, no interface."""
    return host.removeprefix("::ffff:") if "." in host else host.partition("%")[0]
