"""Carries how often the process looks at its Corefile; the looking is dns/server/reloading.py's."""

from __future__ import annotations

from seamark.dns.host import Site
from seamark.dns.plugins.reload.config import Config


class Reload:
    """Sees no queries."""

    name = "reload"

    def __init__(self, config: Config) -> None:
        self.interval = config.interval
        self.jitter = config.jitter


def make(config: Config, site: Site) -> Reload:
    return Reload(config)
