"""Takes the PROXY protocol at the listeners of its block."""

from __future__ import annotations

from collections.abc import Callable

from seamark.dns.host import Site
from seamark.dns.plugin import Query
from seamark.dns.plugins.proxyproto.config import Config
from seamark.dns.server.proxied import Proxied


class ProxyProto:
    """Sees no queries."""

    name = "proxyproto"

    def __init__(self, config: Config, site: Site) -> None:
        self._tlvs = config.tlvs
        site.proxied = Proxied(config.allowed, config.default, site.host.clock, ttl=config.ttl, most=config.most)

    def metadata(self, query: Query) -> dict[str, Callable[[], str]]:
        return {"proxyproto/tlv": query.tlvs.hex} if self._tlvs and query.tlvs else {}


def make(config: Config, site: Site) -> ProxyProto:
    return ProxyProto(config, site)
