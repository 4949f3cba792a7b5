"""Who asks: a client certificate's subject, a static or a bootstrap token, or a service account's signed token.

An identity comes only out of something verified: the certificate by TLS against the cluster's CA, a token by
signature, issuer, audience, expiry and the existence of what it is bound to. A token that is shown and is not good is
401, never anonymous.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from seamark.api.bootstraptokens import identify_bootstrap
from seamark.api.core import Core
from seamark.api.objects import unpack_entry
from seamark.api.tokens import Claims, StaleTokenError, TokenError, verify_token
from seamark.machinery.clock import parse_time
from seamark.machinery.status import StatusError
from seamark.machinery.wire import AUTHENTICATED, Identity

SERVICE_ACCOUNTS = "system:serviceaccounts"
_CERTIFICATES_MAX = 256
_FAREWELL = 60.0  # seconds


@dataclass(frozen=True, slots=True)
class Credentials:
    """``certificate`` is DER and already verified by TLS; ``authorization`` the header as sent."""

    certificate: bytes | None
    authorization: str


def unauthorized() -> StatusError:
    return StatusError(401, "Unauthorized", "Unauthorized")


def parse_certificate(der: bytes) -> Identity:
    """CommonName is the user, every Organization a group. Raises StatusError for one not meant for clients."""
    certificate = x509.load_der_x509_certificate(der)
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    groups = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        usage = None
    if not names or (usage is not None and ExtendedKeyUsageOID.CLIENT_AUTH not in usage):
        raise unauthorized()
    return _identity(str(names[0].value), tuple(str(g.value) for g in groups))


def _identity(user: str, groups: tuple[str, ...], *, uid: str = "") -> Identity:
    if AUTHENTICATED not in groups:
        groups = (*groups, AUTHENTICATED)
    return Identity(user, groups, uid)


class Authenticator:
    """An ``api.server.Authenticate``."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._certificates: dict[bytes, Identity] = {}

    async def __call__(self, credentials: Credentials) -> Identity | None:
        if credentials.certificate is not None:
            return self._of_certificate(credentials.certificate)
        scheme, _, token = credentials.authorization.partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            return None  # another scheme says nothing about who asks
        try:
            return (await identify_token(self._core, token.strip())).identity
        except TokenError:
            raise unauthorized() from None

    def _of_certificate(self, der: bytes) -> Identity:
        """Parsed once per certificate; whether it is still valid was TLS' question at the handshake."""
        found = self._certificates.get(der)
        if found is None:
            if len(self._certificates) >= _CERTIFICATES_MAX:
                self._certificates.clear()
            found = self._certificates[der] = parse_certificate(der)
        return found


class Verified(NamedTuple):
    """Whose token it is, and for which of the audiences that were asked for."""

    identity: Identity
    audiences: tuple[str, ...]


async def identify_token(core: Core, token: str, *, audiences: Sequence[str] = ()) -> Verified:
    """``audiences`` empty = this server's own. Raises TokenError."""
    config = core.config
    known = config.tokens.get(token)
    if known is not None:
        return Verified(_identity(known.user, known.groups, uid=known.uid), tuple(audiences or config.audiences))
    asked = audiences or config.audiences
    bootstrapper = await identify_bootstrap(core, token)
    if bootstrapper is not None:
        return Verified(_identity(bootstrapper.user, bootstrapper.groups), tuple(asked))
    claims = verify_token(
        token, key=config.service_account_key, issuer=config.issuer, audiences=asked, now=core.clock.time()
    )
    await _check_bound(core, claims)
    groups = (SERVICE_ACCOUNTS, f"{SERVICE_ACCOUNTS}:{claims.namespace}")
    user = f"system:serviceaccount:{claims.namespace}:{claims.service_account}"
    plain = _identity(user, groups, uid=claims.service_account_uid)
    identity = Identity(plain.user, plain.groups, plain.uid, _extra(claims))
    return Verified(identity, tuple(one for one in asked if one in claims.audiences))


def _extra(claims: Claims) -> dict[str, tuple[str, ...]]:
    told = {
        "credential-id": f"JTI={claims.id}" if claims.id else "",
        "node-name": claims.node,
        "node-uid": claims.node_uid,
        "pod-name": claims.pod,
        "pod-uid": claims.pod_uid,
    }
    return {f"authentication.kubernetes.io/{name}": (value,) for name, value in told.items() if value}


async def _check_bound(core: Core, claims: Claims) -> None:
    """The account, and what the token was made for, must still be the ones they were."""
    bound = [("ServiceAccount", claims.service_account, claims.service_account_uid)]
    if claims.pod:
        bound.append(("Pod", claims.pod, claims.pod_uid))
    if claims.secret:
        bound.append(("Secret", claims.secret, claims.secret_uid))
    if claims.node and not claims.pod:  # a pod's token tells the node and does not depend on it
        bound.append(("Node", claims.node, claims.node_uid))
    for kind, name, uid in bound:
        row = core.registry.by_kind("", kind)
        entry = await core.store.get(key=row.key(claims.namespace, name)) if row else None
        meta = unpack_entry(entry)["metadata"] if entry is not None else {}
        if meta.get("uid") != uid or _is_long_gone(meta, core.clock.time()):
            raise StaleTokenError("service account token has been invalidated")


def _is_long_gone(meta: dict[str, Any], now: float) -> bool:
    """What is being deleted may use its token a little longer: it has to say goodbye."""
    deleted = meta.get("deletionTimestamp")
    return isinstance(deleted, str) and parse_time(deleted) + _FAREWELL < now
