"""Takes the PROXY protocol at the listeners of its block."""

from __future__ import annotations

from seamark.dns.host import Site
from seamark.dns.plugins.proxyproto.config import Config
from seamark.dns.server.proxied import Proxied

NOT_HERE = frozenset({"quic", "https3"})


class ProxyProto:
    """Sees no queries."""

    name = "proxyproto"

    def __init__(self, config: Config, site: Site) -> None:
        unfit = next((key.transport for key in site.keys if key.transport in NOT_HERE), "")
        if unfit:
            raise config.token.error(f"'proxyproto' is not supported for {unfit}:// servers")
        site.proxied = Proxied(config.allowed, config.default, site.host.clock, ttl=config.ttl, most=config.most)


def make(config: Config, site: Site) -> ProxyProto:
    return ProxyProto(config, site)
