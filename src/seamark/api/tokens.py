"""Service-account tokens: JSON Web Tokens (RFC 7519) signed with the cluster's key, ES256 or RS256.

The claims are Kubernetes' own, so that any client library that looks into its token finds what it expects. Whatever
is not exactly one of ours (algorithm, signature, issuer, audience, time) is a TokenError that says which.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from seamark.machinery.authorize import quoted_list

_P256_BYTES = 32
_LEEWAY = 5.0  # seconds that clocks may differ
_BOUND = ("pod", "secret", "node")

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


class TokenError(Exception):
    """The token is not good; the text is for the log, and for a TokenReview only where ``may_be_told``."""

    may_be_told = False


class StaleTokenError(TokenError):
    """A token of ours that is not good any more, or not for this use."""

    may_be_told = True


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says. What it is bound to is named with its uid; a pod's token names the pod's node besides."""

    namespace: str
    service_account: str
    service_account_uid: str
    pod: str = ""
    pod_uid: str = ""
    secret: str = ""
    secret_uid: str = ""
    node: str = ""
    node_uid: str = ""
    id: str = ""
    audiences: tuple[str, ...] = ()


@lru_cache(maxsize=4)
def _load(pem: bytes) -> Key:
    if not pem:
        raise TokenError("this cluster has no service-account key")
    key = serialization.load_pem_private_key(pem, password=None)
    if isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    if isinstance(key, rsa.RSAPrivateKey):
        return key
    raise TokenError("the service-account key is neither ECDSA P-256 nor RSA")


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unb64(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError as error:
        raise TokenError(f"not base64: {error}") from error


@lru_cache(maxsize=4)
def _key_id(pem: bytes) -> str:
    public = _load(pem).public_key()
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    digest = hashes.Hash(hashes.SHA256())
    digest.update(der)
    return _b64(digest.finalize())


def issue_token(
    claims: Claims, *, key: bytes, issuer: str, audiences: Sequence[str], issued: float, expires: float
) -> str:
    """Raises TokenError where there is no usable key."""
    private = _load(key)
    bound: dict[str, Any] = {
        "namespace": claims.namespace,
        "serviceaccount": {"name": claims.service_account, "uid": claims.service_account_uid},
    }
    for kind in _BOUND:
        if name := getattr(claims, kind):
            uid = getattr(claims, f"{kind}_uid")
            bound[kind] = {"name": name, "uid": uid} if uid else {"name": name}
    body = {
        "aud": list(audiences),
        "exp": int(expires),
        "iat": int(issued),
        "iss": issuer,
        "jti": str(uuid.uuid4()),
        "kubernetes.io": bound,
        "nbf": int(issued),
        "sub": f"system:serviceaccount:{claims.namespace}:{claims.service_account}",
    }
    algorithm = "ES256" if isinstance(private, ec.EllipticCurvePrivateKey) else "RS256"
    head = {"alg": algorithm, "kid": _key_id(key)}
    signed = f"{_b64(msgspec.json.encode(head))}.{_b64(msgspec.json.encode(body))}"
    return f"{signed}.{_b64(_sign(private, signed.encode()))}"


def _sign(private: Key, data: bytes) -> bytes:
    if isinstance(private, rsa.RSAPrivateKey):
        return private.sign(data, padding.PKCS1v15(), hashes.SHA256())
    r, s = decode_dss_signature(private.sign(data, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(_P256_BYTES, "big") + s.to_bytes(_P256_BYTES, "big")


def verify_token(token: str, *, key: bytes, issuer: str, audiences: Sequence[str], now: float) -> Claims:
    """Raises TokenError for anything but a token of ours, for us, now."""
    parts = token.split(".")
    if len(parts) != 3:
        raise TokenError("not a JWT")
    private = _load(key)
    algorithm = "ES256" if isinstance(private, ec.EllipticCurvePrivateKey) else "RS256"
    if _json(parts[0]).get("alg") != algorithm:
        raise TokenError(f"not signed by {algorithm}")
    _verify(private, f"{parts[0]}.{parts[1]}".encode(), _unb64(parts[2]))
    body = _json(parts[1])
    if body.get("iss") != issuer:
        raise TokenError(f"issuer {body.get('iss')!r} is not {issuer!r}")
    aud = body.get("aud")
    if not set([aud] if isinstance(aud, str) else aud or ()) & set(audiences):
        found = quoted_list([aud] if isinstance(aud, str) else aud or ())
        raise StaleTokenError(f"token audiences {found} is invalid for the target audiences {quoted_list(audiences)}")
    expires, begins = body.get("exp"), body.get("nbf", 0)
    if not isinstance(expires, int | float) or not isinstance(begins, int | float):
        raise TokenError("exp or nbf is no number")
    if not begins <= now + _LEEWAY:
        raise StaleTokenError("service account token is not valid yet")
    if not now < expires:
        raise StaleTokenError("service account token has expired")
    return _claims(body)


def _verify(private: Key, data: bytes, signature: bytes) -> None:
    try:
        if isinstance(private, rsa.RSAPrivateKey):
            private.public_key().verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
            return
        if len(signature) != 2 * _P256_BYTES:
            raise TokenError("the signature has the wrong length")
        r, s = (int.from_bytes(half, "big") for half in (signature[:_P256_BYTES], signature[_P256_BYTES:]))
        private.public_key().verify(encode_dss_signature(r, s), data, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise TokenError("the signature is not ours") from error


def _json(part: str) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(_unb64(part))
    except msgspec.DecodeError as error:
        raise TokenError(f"not JSON: {error}") from error
    if not isinstance(found, dict):
        raise TokenError("not a JSON object")
    return found


def _claims(body: dict[str, Any]) -> Claims:
    try:
        bound: dict[str, Any] = body["kubernetes.io"]
        account, aud = bound["serviceaccount"], body["aud"]
        others: dict[str, str] = {}
        for kind in (kind for kind in _BOUND if kind in bound):
            others[kind], others[f"{kind}_uid"] = bound[kind].get("name", ""), bound[kind].get("uid", "")
        audiences = (aud,) if isinstance(aud, str) else tuple(aud)
        claims = Claims(bound["namespace"], account["name"], account["uid"], id=body.get("jti", ""))
        return replace(claims, audiences=audiences, **others)
    except (KeyError, TypeError, AttributeError) as error:
        raise TokenError("the token names no service account") from error


def public_key(pem: bytes) -> dict[str, str]:
    """What verifies our tokens, as a JSON Web Key (RFC 7517). Raises TokenError where there is no usable key."""
    public = _load(pem).public_key()
    common = {"use": "sig", "kid": _key_id(pem)}
    if isinstance(public, rsa.RSAPublicKey):
        numbers = public.public_numbers()
        return {**common, "kty": "RSA", "alg": "RS256", "n": _b64_number(numbers.n), "e": _b64_number(numbers.e)}
    point = public.public_numbers()
    x, y = (_b64(number.to_bytes(_P256_BYTES, "big")) for number in (point.x, point.y))
    return {**common, "kty": "EC", "crv": "P-256", "alg": "ES256", "x": x, "y": y}


def _b64_number(number: int) -> str:
    return _b64(number.to_bytes((number.bit_length() + 7) // 8, "big"))
