"""Limits of https3:// servers."""

from __future__ import annotations

from seamark.dns.host import Site
from seamark.dns.plugins.limits import Config, TransportLimits


def make(config: Config, site: Site) -> TransportLimits:
    return TransportLimits(config, site)
