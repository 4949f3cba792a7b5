"""The addresses a server block listens at."""

from __future__ import annotations

from ipaddress import ip_address

from seamark.dns.host import Site
from seamark.dns.plugins.bind.config import Config


class Bind:
    """Sees no queries. Raises CorefileError for an interface that has no address."""

    name = "bind"

    def __init__(self, config: Config, site: Site) -> None:
        excepted = {address for word in config.excepted for address in _addresses(word, site)}
        for word in config.words:
            found = _addresses(word.text, site)
            if not found:
                raise word.error(f"bind: '{word.text}' is neither an address nor an interface with addresses")
            site.bind += [address for address in found if address not in {*excepted, *site.bind}]
        if not site.bind:
            raise config.words[0].error("bind: every address is excepted")


def _addresses(text: str, site: Site) -> tuple[str, ...]:
    try:
        return (str(ip_address(text)),)
    except ValueError:
        return site.host.interface(text)


def make(config: Config, site: Site) -> Bind:
    return Bind(config, site)
