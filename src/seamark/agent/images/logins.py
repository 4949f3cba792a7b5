"""Credentials out of Docker configurations, as imagePullSecrets hold them. Pure.

Of all entries that fit the image the longest counts: ``registry.example/team`` before ``registry.example`` before
``*.example``. ``credHelpers`` and ``credsStore`` are programs of another machine and are not asked.
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
import json
from collections.abc import Iterable
from typing import Any

from seamark.agent.images.distribution import Credentials

HUB = "index.docker.io"


def select_credentials(documents: Iterable[bytes], repository: str) -> Credentials | None:
    """``documents``: config.json or, older, what its ``auths`` hold. What cannot be read is passed over."""
    best: tuple[int, Credentials] | None = None
    for document in documents:
        for key, entry in _entries(document).items():
            pattern = _normalize(key)
            credentials = _credentials(entry) if _fits(pattern, repository) else None
            if credentials and (best is None or len(pattern) > best[0]):
                best = len(pattern), credentials
    return best[1] if best else None


def _entries(document: bytes) -> dict[str, Any]:
    try:
        config = json.loads(document)
    except (ValueError, RecursionError):
        return {}
    found = config.get("auths", config) if isinstance(config, dict) else {}
    return found if isinstance(found, dict) else {}


def _normalize(key: str) -> str:
    text = key.removeprefix("https://").removeprefix("http://").rstrip("/")
    text = text.removesuffix("/v1").removesuffix("/v2")
    return "docker.io" + text.removeprefix(HUB) if text.startswith(HUB) else text


def _fits(pattern: str, repository: str) -> bool:
    """A ``*`` stands for part of one label of the host's name."""
    wanted, path = pattern.split("/", 1) if "/" in pattern else (pattern, "")
    host, _, name = repository.partition("/")
    labels, globs = host.split("."), wanted.split(".")
    if len(labels) != len(globs) or not all(map(fnmatch.fnmatchcase, labels, globs)):
        return False
    return not path or name == path or name.startswith(path + "/")


def _credentials(entry: Any) -> Credentials | None:
    if not isinstance(entry, dict):
        return None
    username, password = entry.get("username"), entry.get("password")
    if not username and isinstance(entry.get("auth"), str):
        try:
            username, _, password = base64.b64decode(entry["auth"]).decode().partition(":")
        except (binascii.Error, ValueError):
            return None
    if not isinstance(username, str) or not isinstance(password, str) or not username:
        return None
    return Credentials(username, password)
