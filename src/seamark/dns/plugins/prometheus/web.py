"""The file of ``prometheus { tls FILE }``: Prometheus' own web configuration, as far as it is about TLS.

What it says besides (passwords, HTTP/2, headers, limits) is refused by name: nothing is left out in silence.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

T = TypeVar("T")
SECTION = "tls_server_config"
MODES = {
    "": ssl.CERT_NONE,
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
VERSIONS = {
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
KNOWN = frozenset({"cert_file", "key_file", "client_ca_file", "client_auth_type", "min_version", "max_version"})


def read_web(path: Path) -> ssl.SSLContext | None:
    """None where it says nothing of TLS: that is plain HTTP. Raises OSError and ValueError."""
    try:
        found = yaml.safe_load(path.read_text()) or {}
    except yaml.YAMLError as error:
        raise ValueError(f"it is not YAML: {error}") from None
    section = _only(found, {SECTION}, "the file").get(SECTION) or {}
    return _context(_only(section, KNOWN, SECTION), path.parent) if section else None


def _only(found: Any, known: set[str] | frozenset[str], where: str) -> Mapping[str, Any]:
    if not isinstance(found, dict):
        raise ValueError(f"{where} is not made of names and values")
    other = next((str(key) for key in found if key not in known), "")
    if other:
        raise ValueError(f"'{other}' in {where} is not supported (known: {', '.join(sorted(known))})")
    return found


def _context(section: Mapping[str, Any], folder: Path) -> ssl.SSLContext:
    """Relative files stand beside the configuration."""
    for needed in ("cert_file", "key_file"):
        if not section.get(needed):
            raise ValueError(f"{needed} is missing in {SECTION}")
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    found.load_cert_chain(folder / section["cert_file"], folder / section["key_file"])
    found.minimum_version = _chosen(section, "min_version", "TLS12", VERSIONS)
    found.maximum_version = _chosen(section, "max_version", "TLS13", VERSIONS)
    mode = _chosen(section, "client_auth_type", "", MODES)
    if section.get("client_ca_file"):
        if mode is ssl.CERT_NONE:
            raise ValueError("client_ca_file without a client_auth_type that asks for certificates")
        found.load_verify_locations(folder / section["client_ca_file"])
    elif mode is not ssl.CERT_NONE:
        raise ValueError("client_auth_type needs client_ca_file")
    found.verify_mode = mode
    return found


def _chosen(section: Mapping[str, Any], name: str, default: str, known: Mapping[str, T]) -> T:
    word = str(section.get(name, default))
    if word not in known:
        raise ValueError(f"'{word}' is no {name} that is supported (known: {', '.join(filter(None, known))})")
    return known[word]
