"""Bootstrap tokens: ``ID.SECRET``, kept in a Secret ``bootstrap-token-ID`` of kube-system; pure.

Facts: k8s.io/cluster-bootstrap, and pkg/auth/authenticator/token/bootstrap of Kubernetes.
"""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256

import msgspec

from seamark.machinery.clock import parse_time

SECRET_TYPE = "bootstrap.kubernetes.io/token"
NAMESPACE = "kube-system"
NAME_PREFIX = "bootstrap-token-"
USER_PREFIX = "system:bootstrap:"
DEFAULT_GROUP = "system:bootstrappers"
_TOKEN = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")
_GROUP = re.compile(r"system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]")

Data = Mapping[str, bytes]
"""The Secret's data."""


def split_token(token: str) -> tuple[str, str] | None:
    """Id and secret, or None for what has not the form of a bootstrap token."""
    found = _TOKEN.fullmatch(token)
    return (found[1], found[2]) if found else None


def seconds_left(data: Data, now: float) -> float | None:
    """None = it never expires; a time that cannot be read is over."""
    text = data.get("expiration", b"").decode("utf-8", "replace")
    if not text:
        return None
    try:
        return max(0.0, parse_time(text) - now)
    except ValueError:
        return 0.0


def groups_of(data: Data) -> tuple[str, ...] | None:
    """None where one of the further groups is none of a bootstrapper's."""
    further = data.get("auth-extra-groups", b"").decode("utf-8", "replace")
    named = further.split(",") if further else []
    if not all(_GROUP.fullmatch(name) for name in named):
        return None
    return tuple(sorted({DEFAULT_GROUP, *named}))


def is_good(data: Data, token_id: str, secret: str, *, usage: str, now: float) -> bool:
    """``usage`` is ``authentication`` or ``signing``."""
    same = hmac.compare_digest(data.get("token-secret", b""), secret.encode())
    meant = data.get("token-id", b"") == token_id.encode() and data.get(f"usage-bootstrap-{usage}") == b"true"
    return same and meant and seconds_left(data, now) != 0.0


def sign_detached(content: str, token_id: str, secret: str) -> str:
    """A JSON Web Signature (RFC 7515, appendix F) whose content is kept elsewhere."""
    head = _encoded(msgspec.json.encode({"alg": "HS256", "kid": token_id}))
    signed = f"{head}.{_encoded(content.encode())}".encode()
    return f"{head}..{_encoded(hmac.digest(secret.encode(), signed, sha256))}"


def _encoded(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()
