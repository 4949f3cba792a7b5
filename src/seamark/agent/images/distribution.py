"""What the distribution protocol's texts mean: manifests, challenges, errors, endpoints. Pure; ``registry.py`` talks.

Image manifests are Docker's version 2 schema 2 and OCI's; of a list the entry for linux on this architecture is
taken. Schema 1 and layers to be fetched from elsewhere (``urls``) are refused.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import re
from dataclasses import dataclass, field
from typing import Any

DOCKER = "application/vnd.docker.distribution.manifest"
OCI = "application/vnd.oci.image"
LISTS = (f"{OCI}.index.v1+json", f"{DOCKER}.list.v2+json")
MANIFESTS = (f"{OCI}.manifest.v1+json", f"{DOCKER}.v2+json")
ACCEPT = ", ".join((*LISTS, *MANIFESTS))
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
PARAMETER = re.compile(r'([A-Za-z][A-Za-z0-9_-]*)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
DOCKER_HUB = "docker.io"
SHOWN = 300  # characters of a registry's own words that an error carries


class ManifestError(ValueError):
    """Says what the manifest lacks or why it cannot be used."""


@dataclass(frozen=True, slots=True)
class Credentials:
    username: str
    password: str = field(repr=False)

    @property
    def basic(self) -> str:
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()


@dataclass(frozen=True, slots=True)
class Descriptor:
    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Manifest:
    config: Descriptor
    layers: tuple[Descriptor, ...]


@dataclass(frozen=True, slots=True)
class Challenge:
    """``WWW-Authenticate``: ``scheme`` in lower case."""

    scheme: str
    parameters: dict[str, str]


def registry_host(repository: str) -> tuple[str, str]:
    """The registry a normalized repository names, and the path in it."""
    host, _, path = repository.partition("/")
    return host, path


def select_endpoint(host: str, insecure: frozenset[str]) -> str:
    """TLS for every registry but those named as insecure and those on this machine's own loopback."""
    if host == DOCKER_HUB:
        return "https://registry-1.docker.io"
    return f"{'http' if host in insecure or is_loopback(host) else 'https'}://{host}"


def is_loopback(host: str) -> bool:
    name = host.rpartition(":")[0] if ":" in host else host
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def parse_challenge(text: str) -> Challenge:
    scheme, _, rest = text.strip().partition(" ")
    found = {key.lower(): re.sub(r"\\(.)", r"\1", quoted) or bare for key, quoted, bare in PARAMETER.findall(rest)}
    return Challenge(scheme.lower(), found)


def parse_errors(body: bytes) -> str:
    """The registry's own words, bounded; empty when it gave none."""
    try:
        errors = json.loads(body)["errors"]
        told = [": ".join(str(e[k]) for k in ("code", "message") if e.get(k)) for e in errors]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        told = [" ".join(body.decode("utf-8", "replace").split())]
    text = "; ".join(told)
    return "".join(c if c.isprintable() else "?" for c in text)[:SHOWN]


def read_manifest(body: bytes, architecture: str) -> Manifest | Descriptor:
    """An image's manifest, or, of a list, the descriptor of the one to ask for next. Raises ManifestError."""
    try:
        data = json.loads(body)
        if data.get("schemaVersion") != 2:
            raise ManifestError(f"manifest schema {data.get('schemaVersion')!r} is not supported; push the image again")
        if data.get("mediaType") in LISTS or "manifests" in data:
            return _select_platform(data["manifests"], architecture)
        return Manifest(_descriptor(data["config"]), tuple(_layer(entry) for entry in data["layers"]))
    except ManifestError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ManifestError(f"the manifest is not built as such: {type(error).__name__} {error}") from None


def _select_platform(entries: list[dict[str, Any]], architecture: str) -> Descriptor:
    seen = []
    for entry in entries:
        target = entry.get("platform") or {}
        if (target.get("os"), target.get("architecture")) == ("linux", architecture):
            return _descriptor(entry)
        seen.append(f"{target.get('os')}/{target.get('architecture')}")
    raise ManifestError(f"no image for linux/{architecture}, only for {', '.join(seen)[:SHOWN] or 'nothing'}")


def _layer(entry: dict[str, Any]) -> Descriptor:
    kind = str(entry.get("mediaType", ""))
    if "encrypted" in kind or "foreign" in kind:
        raise ManifestError(f"layer {entry['digest']}: media type {kind} is not supported")
    return _descriptor(entry)


def _descriptor(entry: dict[str, Any]) -> Descriptor:
    digest, size = entry["digest"], entry["size"]
    if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
        raise ManifestError(f"digest {digest!r}: not a sha256 digest")
    if not isinstance(size, int) or size < 0:
        raise ManifestError(f"{digest}: size {size!r} is not one")
    return Descriptor(digest, size)
