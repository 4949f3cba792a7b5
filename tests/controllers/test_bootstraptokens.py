"""Bootstrap tokens through the real API: who they are, a node's way to its certificate, their end."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.api.authn import Authenticator, Credentials
from seamark.client.client import Client
from seamark.client.inprocess import InProcessTransport
from seamark.machinery.clock import format_time
from seamark.machinery.gvr import CERTIFICATESIGNINGREQUESTS, CONFIGMAPS, SECRETS
from seamark.machinery.status import StatusError
from seamark.machinery.wire import Identity

TOKEN = "abcdef.0123456789abcdef"


def secret(**data: str) -> dict[str, Any]:
    given = {"token-id": "abcdef", "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true"}
    given |= {name.replace("_", "-"): value for name, value in data.items()}
    meta = {"name": "bootstrap-token-abcdef", "namespace": "kube-system"}
    return {"metadata": meta, "type": "bootstrap.kubernetes.io/token", "stringData": given}


async def who(cluster: Any, token: str) -> Identity | None:
    return await Authenticator(cluster.api.core)(Credentials(None, f"Bearer {token}"))


async def test_token_is_a_bootstrapper_in_its_groups(cluster: Any) -> None:
    group = "system:bootstrappers:workers"
    await cluster.client.create(SECRETS, secret(auth_extra_groups=group))
    found = await who(cluster, TOKEN)
    assert found is not None
    assert found.user == "system:bootstrap:abcdef"
    assert set(found.groups) == {"system:bootstrappers", group, "system:authenticated"}
    joining = Client(InProcessTransport(cluster.api.handle), identity=found)
    assert await joining.list(CERTIFICATESIGNINGREQUESTS) == []
    with pytest.raises(StatusError, match="forbidden"):
        await joining.list(SECRETS)


@pytest.mark.parametrize(
    ("data", "token"),
    [
        ({}, "abcdef.fedcba9876543210"),
        ({}, "aaaaaa.0123456789abcdef"),
        ({"usage_bootstrap_authentication": "false"}, TOKEN),
        ({"expiration": "2020-01-01T00:00:00Z"}, TOKEN),
        ({"auth_extra_groups": "system:masters"}, TOKEN),
    ],
    ids=["another secret", "another id", "not for this use", "over", "groups that are none of theirs"],
)
async def test_bad_token_is_nobody(cluster: Any, data: dict[str, str], token: str) -> None:
    await cluster.client.create(SECRETS, secret(**data))
    with pytest.raises(StatusError) as caught:
        await who(cluster, token)
    assert caught.value.code == 401


async def test_cluster_info_is_signed_until_the_token_expires(cluster: Any) -> None:
    client = cluster.client
    info = {"metadata": {"name": "cluster-info", "namespace": "kube-public"}, "data": {"kubeconfig": "x"}}
    await client.create(CONFIGMAPS, info)
    until = format_time(cluster.clock.time() + 60)
    await client.create(SECRETS, secret(usage_bootstrap_signing="true", expiration=until))

    async def signed(wanted: bool) -> bool:
        found = await client.get(CONFIGMAPS, "cluster-info", namespace="kube-public")
        return ("jws-kubeconfig-abcdef" in found["data"]) is wanted

    await cluster.eventually(lambda: signed(True), "signed")
    await cluster.clock.advance(61)
    await cluster.eventually(lambda: signed(False), "the signature went with the token")
    assert not await client.list(SECRETS, namespace="kube-system", query={"fieldSelector": "type=" + secret()["type"]})
