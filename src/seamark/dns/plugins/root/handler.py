"""Where relative file names of the other plugins of this server block start."""

from __future__ import annotations

from pathlib import Path

from seamark.dns.host import Site
from seamark.dns.plugins.root.config import Config


class Root:
    """Sees no queries. Made before the plugins that use it, whatever the Corefile's order."""

    name = "root"

    def __init__(self, config: Config, site: Site) -> None:
        site.root = Path(config.path)
        if not site.root.is_dir():
            site.host.log(f"[WARNING] plugin/root: Root path does not exist: {config.path}")


def make(config: Config, site: Site) -> Root:
    return Root(config, site)
