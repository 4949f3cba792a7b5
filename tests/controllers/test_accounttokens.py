"""Hand-made Secrets of service accounts' tokens: filled in, good as credentials, gone with the account."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from seamark.api.authn import Authenticator, Credentials
from seamark.machinery.gvr import SECRETS, SERVICEACCOUNTS
from seamark.machinery.status import StatusError

ANNOTATION = "kubernetes.io/service-account.name"


def secret(account: str) -> dict[str, Any]:
    meta = {"name": "lasting", "namespace": "default", "annotations": {ANNOTATION: account}}
    return {"metadata": meta, "type": "kubernetes.io/service-account-token"}


async def test_secret_gets_a_token_that_lasts_as_long_as_both_do(cluster: Any) -> None:
    client = cluster.client
    made = await client.create(SERVICEACCOUNTS, {"metadata": {"name": "bot", "namespace": "default"}})
    await client.create(SECRETS, secret("bot"))

    async def filled() -> Any:
        found = await client.get(SECRETS, "lasting", namespace="default")
        return found if (found.get("data") or {}).keys() == {"token", "ca.crt", "namespace"} else None

    found = await cluster.eventually(filled, "token, ca.crt and namespace")
    assert found["metadata"]["annotations"]["kubernetes.io/service-account.uid"] == made["metadata"]["uid"]
    assert base64.b64decode(found["data"]["ca.crt"]) == b"CA"
    token = base64.b64decode(found["data"]["token"]).decode()
    authenticate = Authenticator(cluster.api.core)
    who = await authenticate(Credentials(None, f"Bearer {token}"))
    assert who is not None
    assert who.user == "system:serviceaccount:default:bot"
    await client.delete(SERVICEACCOUNTS, "bot", namespace="default")

    async def gone() -> bool:
        return not [s for s in await client.list(SECRETS, namespace="default") if s["metadata"]["name"] == "lasting"]

    await cluster.eventually(gone, "the secret goes with its account")
    with pytest.raises(StatusError):
        await authenticate(Credentials(None, f"Bearer {token}"))


async def test_secret_of_no_account_goes(cluster: Any) -> None:
    await cluster.client.create(SECRETS, secret("nobody"))

    async def gone() -> bool:
        return not await cluster.client.list(SECRETS, namespace="default")

    await cluster.eventually(gone, "gone")
