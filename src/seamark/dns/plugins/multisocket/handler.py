"""Several sockets at one address (SO_REUSEPORT)."""

from __future__ import annotations

from seamark.dns.host import Site
from seamark.dns.plugins.multisocket.config import Config


class Multisocket:
    """Sees no queries."""

    name = "multisocket"

    def __init__(self, config: Config, site: Site) -> None:
        site.sockets = config.sockets or site.host.processors


def make(config: Config, site: Site) -> Multisocket:
    return Multisocket(config, site)
