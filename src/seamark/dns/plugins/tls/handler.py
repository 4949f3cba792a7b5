"""The certificates of a server block's tls:// listeners."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

from seamark.dns.corefile.lexer import Token
from seamark.dns.host import Certificate, Site
from seamark.dns.plugins.tls.config import Config

QUIC = frozenset({"quic", "https3"})


class Tls:
    """Sees no queries. Raises CorefileError for files that are not there or do not fit."""

    name = "tls"

    def __init__(self, config: Config, site: Site) -> None:
        found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        found.minimum_version = ssl.TLSVersion.TLSv1_2
        found.verify_mode = _checked(config, site)
        keylog = _open_keylog(config.keylog, site) if config.keylog is not None else None
        files = Certificate(site.root / config.certificate.text, site.root / config.key.text, keylog)
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
        if keylog is not None:
            found.keylog_filename = str(keylog)
        site.tls, site.certificate = found, files


def _checked(config: Config, site: Site) -> ssl.VerifyMode:
    """Raises CorefileError where nobody would check."""
    unchecked = next((key.transport for key in site.keys if key.transport in QUIC), "")
    if config.client_auth_at is not None and config.client_auth is not ssl.CERT_NONE and unchecked:
        raise config.client_auth_at.error(f"certificates of clients are not checked at {unchecked}://")
    return config.client_auth


def _open_keylog(file: Token, site: Site) -> Path:
    """There, and for nobody else to read. Raises CorefileError."""
    path = (site.root / file.text).absolute()
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600))
    except OSError as error:
        raise file.error(f'tls: unable to write TLS Key Log to "{path}": {error.strerror}') from error
    site.host.log(f'[WARNING] plugin/tls: Writing TLS Key Log to "{path}"')
    return path


def make(config: Config, site: Site) -> Tls:
    return Tls(config, site)
