"""Bounds for the connections of this server block's listeners."""

from __future__ import annotations

from seamark.dns.host import Site
from seamark.dns.plugins.timeouts.config import Config


class TimeoutsOfBlock:
    """Sees no queries."""

    name = "timeouts"

    def __init__(self, config: Config, site: Site) -> None:
        site.timeouts = config.timeouts


def make(config: Config, site: Site) -> TimeoutsOfBlock:
    return TimeoutsOfBlock(config, site)
