"""Issuer discovery (OpenID Connect): who signs service-account tokens, and the key that verifies them.

Whoever trusts the cluster from outside reads these two documents; the role ``system:service-account-issuer-discovery``
opens them.
"""

from __future__ import annotations

from typing import Any

from seamark.api.core import Core
from seamark.api.negotiation import JSON
from seamark.api.objects import encode
from seamark.api.routing import method_not_allowed
from seamark.api.tokens import public_key
from seamark.machinery.wire import Request, Response

CONFIGURATION = "/.well-known/openid-configuration"
KEYS = "/openid/v1/jwks"


def openid(core: Core, request: Request) -> Response | None:
    """None when the path is neither, and where this server signs no tokens."""
    path, key = request.path.rstrip("/"), core.config.service_account_key
    if path not in (CONFIGURATION, KEYS) or not key:
        return None
    if request.method != "GET":
        raise method_not_allowed()
    found = public_key(key)
    if path == KEYS:
        return _respond({"keys": [found]}, "application/jwk-set+json")
    return _respond(_render_configuration(core, found["alg"]), JSON)


def _render_configuration(core: Core, algorithm: str) -> dict[str, Any]:
    return {
        "issuer": core.config.issuer,
        "jwks_uri": f"https://{core.config.advertise_address}{KEYS}",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [algorithm],
    }


def _respond(document: Any, media_type: str) -> Response:
    return Response(200, encode(document), {"content-type": media_type, "cache-control": "public, max-age=3600"})
