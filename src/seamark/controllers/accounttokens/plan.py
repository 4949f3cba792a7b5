"""A Secret of a service account's token, and the account -> what it must hold, or that it goes; pure.

Who wants a token that lasts makes such a Secret by hand. The token is bound to the Secret: it is worth nothing when
that is deleted.
"""

from __future__ import annotations

import base64
from typing import Any, NamedTuple

from seamark.controllers.workloads import TypedSecret
from seamark.machinery.signing import decode_bytes
from seamark.model.meta import Object

SECRET_TYPE = "kubernetes.io/service-account-token"
ACCOUNT_NAME = "kubernetes.io/service-account.name"
ACCOUNT_UID = "kubernetes.io/service-account.uid"
SECONDS = 2**32  # the longest that can be asked for
CA, NAMESPACE, TOKEN = "ca.crt", "namespace", "token"


class Remove(NamedTuple):
    """Its account is gone, or another one has the name."""


class Fill(NamedTuple):
    """``token``: whether one has to be asked for; ``data`` is the rest."""

    token: bool
    data: dict[str, bytes]


def plan_secret(
    secret: TypedSecret, data: dict[str, Any], account: Object | None, *, ca_pem: str
) -> Remove | Fill | None:
    """``data`` as the API has it: base64."""
    known = secret.annotations.get(ACCOUNT_UID, "")
    if account is None or known not in ("", account.metadata.uid):
        return Remove()
    wanted = {CA: ca_pem.encode(), NAMESPACE: secret.metadata.namespace.encode()}
    wrong = {key: value for key, value in wanted.items() if decode_bytes(data.get(key)) != value}
    if not wrong and data.get(TOKEN) and known:
        return None
    return Fill(not data.get(TOKEN), wrong)


def render_request(secret: TypedSecret) -> dict[str, Any]:
    meta = secret.metadata
    ref = {"apiVersion": "v1", "kind": "Secret", "name": meta.name, "uid": meta.uid}
    spec = {"expirationSeconds": SECONDS, "boundObjectRef": ref}
    return {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}


def render_patch(secret: TypedSecret, account: Object, data: dict[str, bytes]) -> dict[str, Any]:
    meta = {
        "resourceVersion": secret.metadata.resource_version,
        "annotations": {ACCOUNT_UID: account.metadata.uid},
    }
    return {"metadata": meta, "data": {key: base64.b64encode(value).decode() for key, value in data.items()}}
