"""200 OK on /health for as long as the process lives; ``lameduck`` is how long that is after it was told to end."""

from __future__ import annotations

from seamark.dns.host import HttpAnswer, Site
from seamark.dns.plugins.health.config import Config


class Health:
    """Sees no queries. ``lameduck`` is read by the process when it ends."""

    name = "health"

    def __init__(self, config: Config, site: Site) -> None:
        self.lameduck = config.lameduck
        site.http[config.address, "/health"] = self._answer

    def _answer(self) -> HttpAnswer:
        return 200, "text/plain; charset=utf-8", b"OK"


def make(config: Config, site: Site) -> Health:
    return Health(config, site)
