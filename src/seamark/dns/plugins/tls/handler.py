"""The certificates of a server block's tls:// listeners."""

from __future__ import annotations

import ssl

from seamark.dns.host import Certificate, Site
from seamark.dns.plugins.tls.config import Config


class Tls:
    """Sees no queries. Raises CorefileError for files that are not there or do not fit."""

    name = "tls"

    def __init__(self, config: Config, site: Site) -> None:
        found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        found.minimum_version = ssl.TLSVersion.TLSv1_2
        files = Certificate(site.root / config.certificate.text, site.root / config.key.text)
        try:
            found.load_cert_chain(files.chain, files.key)
        except (OSError, ssl.SSLError) as error:
            raise config.certificate.error(f"tls: certificate and key cannot be used: {error}") from error
        if config.authority is not None:
            try:
                found.load_verify_locations(site.root / config.authority.text)
            except (OSError, ssl.SSLError) as error:
                raise config.authority.error(f"tls: the authority cannot be used: {error}") from error
        elif config.client_auth is not ssl.CERT_NONE:
            found.load_default_certs(ssl.Purpose.CLIENT_AUTH)
        found.verify_mode = config.client_auth
        site.tls, site.certificate = found, files


def make(config: Config, site: Site) -> Tls:
    return Tls(config, site)
