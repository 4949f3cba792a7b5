"""Service-account tokens: what they say, what ends them, who reviews them, and the documents that verify them."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from seamark.api.app import Api
from seamark.api.authn import Authenticator, Credentials
from seamark.client.client import Client
from seamark.machinery.gvr import GVR, NODES, PODS, SECRETS, SERVICEACCOUNTS
from seamark.machinery.status import StatusError
from seamark.machinery.wire import ADMIN_GROUP, Identity, Request, Response
from seamark.testing.clock import FakeClock

Obj = dict[str, Any]
ADMIN = Identity("jane", (ADMIN_GROUP,))
POD: Obj = {
    "metadata": {"name": "p", "namespace": "default"},
    "spec": {"containers": [{"name": "c", "image": "i"}]},
}


def parsed(response: Response) -> Obj:
    found: Obj = json.loads(response.body)
    return found


async def post(api: Api, path: str, body: Obj) -> Response:
    return await api.handle(Request("POST", path, body=json.dumps(body).encode(), identity=ADMIN))


def decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def claims_of(token: str) -> Obj:
    found: Obj = json.loads(decoded(token.split(".")[1]))
    return found


class TestTokens:
    @pytest.fixture
    async def account(self, client: Client) -> Obj:
        return await client.create(SERVICEACCOUNTS, {"metadata": {"name": "sa", "namespace": "default"}})

    async def token(self, client: Client, **spec: Any) -> str:
        made = await client.create(SERVICEACCOUNTS, {"spec": spec}, namespace="default", name="sa", subresource="token")
        return str(made["status"]["token"])

    async def test_is_good_until_it_expires(self, api: Api, client: Client, account: Obj, clock: FakeClock) -> None:
        token = await self.token(client, expirationSeconds=600)
        authenticate = Authenticator(api.core)
        found = await authenticate(Credentials(None, f"Bearer {token}"))
        assert found is not None and found.user == "system:serviceaccount:default:sa"
        assert found.groups == (
            "system:serviceaccounts",
            "system:serviceaccounts:default",
            "system:authenticated",
        )
        assert found.uid == account["metadata"]["uid"]
        await clock.advance(601)
        with pytest.raises(StatusError, match="Unauthorized"):
            await authenticate(Credentials(None, f"Bearer {token}"))

    async def test_ends_with_its_pod(self, api: Api, client: Client, account: Obj) -> None:
        await client.create(PODS, {**POD, "spec": {**POD["spec"], "serviceAccountName": "sa"}})
        token = await self.token(client, boundObjectRef={"kind": "Pod", "apiVersion": "v1", "name": "p"})
        authenticate = Authenticator(api.core)
        found = await authenticate(Credentials(None, f"Bearer {token}"))
        assert found is not None and found.extra["authentication.kubernetes.io/pod-name"] == ("p",)
        await client.delete(PODS, "p", namespace="default")
        with pytest.raises(StatusError):
            await authenticate(Credentials(None, f"Bearer {token}"))

    async def test_of_a_pod_names_its_node(self, api: Api, client: Client, account: Obj) -> None:
        node = await client.create(NODES, {"metadata": {"name": "n"}})
        await client.create(PODS, {**POD, "spec": {**POD["spec"], "serviceAccountName": "sa", "nodeName": "n"}})
        token = await self.token(client, boundObjectRef={"kind": "Pod", "apiVersion": "v1", "name": "p"})
        bound = claims_of(token)["kubernetes.io"]
        assert bound["node"] == {"name": "n", "uid": node["metadata"]["uid"]}
        await client.delete(NODES, "n")  # which the pod's token does not depend on
        found = await Authenticator(api.core)(Credentials(None, f"Bearer {token}"))
        assert found is not None
        assert found.extra["authentication.kubernetes.io/node-name"] == ("n",)
        assert found.extra["authentication.kubernetes.io/credential-id"] == (f"JTI={claims_of(token)['jti']}",)

    @pytest.mark.parametrize(("gvr", "kind", "namespace"), [(SECRETS, "Secret", "default"), (NODES, "Node", "")])
    async def test_ends_with_what_it_is_bound_to(
        self, api: Api, client: Client, account: Obj, gvr: GVR, kind: str, namespace: str
    ) -> None:
        meta = {"name": "b", "namespace": namespace} if namespace else {"name": "b"}
        made = await client.create(gvr, {"metadata": meta})
        token = await self.token(client, boundObjectRef={"kind": kind, "apiVersion": "v1", "name": "b"})
        assert claims_of(token)["kubernetes.io"][kind.lower()] == {"name": "b", "uid": made["metadata"]["uid"]}
        assert await Authenticator(api.core)(Credentials(None, f"Bearer {token}")) is not None
        await client.delete(gvr, "b", namespace=namespace)
        with pytest.raises(StatusError, match="Unauthorized"):
            await Authenticator(api.core)(Credentials(None, f"Bearer {token}"))

    async def test_is_bound_to_the_account_that_was(self, api: Api, client: Client, account: Obj) -> None:
        token = await self.token(client)
        await client.delete(SERVICEACCOUNTS, "sa", namespace="default")
        await client.create(SERVICEACCOUNTS, {"metadata": {"name": "sa", "namespace": "default"}})
        with pytest.raises(StatusError):
            await Authenticator(api.core)(Credentials(None, f"Bearer {token}"))

    async def test_for_another_audience_is_not_for_us(self, api: Api, client: Client, account: Obj) -> None:
        token = await self.token(client, audiences=["vault"])
        with pytest.raises(StatusError):
            await Authenticator(api.core)(Credentials(None, f"Bearer {token}"))
        path = "/apis/authentication.k8s.io/v1/tokenreviews"
        review = parsed(await post(api, path, {"spec": {"token": token, "audiences": ["vault"]}}))
        assert review["status"]["authenticated"] is True
        assert review["status"]["user"]["username"] == "system:serviceaccount:default:sa"
        assert review["status"]["audiences"] == ["vault"]
        review = parsed(await post(api, path, {"spec": {"token": token}}))
        assert review["status"] == {
            "user": {},
            "error": '[invalid bearer token, token audiences ["vault"] is invalid for the target audiences '
            '["https://kubernetes.default.svc.cluster.local"]]',
        }
        review = parsed(await post(api, path, {"spec": {"token": "rubbish"}}))
        assert review["status"] == {"user": {}, "error": "invalid bearer token"}

    async def test_any_change_breaks_it(self, api: Api, client: Client, account: Obj) -> None:
        head, body, signature = (await self.token(client)).split(".")
        flipped = ("A" if signature[5] != "A" else "B").join((signature[:5], signature[6:]))
        none = "eyJhbGciOiJub25lIn0"
        for wrong in (
            f"{head}.{body}.{flipped}",
            f"{none}.{body}.",
            f"{head}.{body}",
            f"{head}..{signature}",
            f"{head}.{body}.AAAA",
            "é.é.é",
        ):
            with pytest.raises(StatusError, match="Unauthorized"):
                await Authenticator(api.core)(Credentials(None, f"Bearer {wrong}"))

    @pytest.mark.parametrize(
        ("spec", "text"),
        [
            ({"expirationSeconds": 60}, "less than 10 minutes"),
            ({"expirationSeconds": "x"}, "cannot unmarshal string"),
            ({"boundObjectRef": {"kind": "Secret", "name": "x"}}, 'secrets "x" not found'),
            ({"boundObjectRef": {"kind": "Node", "name": "x"}}, 'nodes "x" not found'),
            ({"boundObjectRef": {"kind": "Pod", "name": "x"}}, 'pods "x" not found'),
            ({"boundObjectRef": {"kind": "Pod"}}, "Name parameter required"),
            (
                {"boundObjectRef": {"kind": "ConfigMap", "apiVersion": "v1", "name": "x"}},
                "cannot bind token to object of type /v1, Kind=ConfigMap",
            ),
            ({"boundObjectRef": {"kind": "Pod", "apiVersion": "apps/v1", "name": "x"}}, "type apps/v1, Kind=Pod"),
            ({"boundObjectRef": {"kind": "Node", "name": "n", "uid": "x"}}, "does not match the UID in record"),
            ({"boundObjectRef": {"kind": "Pod", "name": "p"}}, "running with different serviceaccount name"),
        ],
    )
    async def test_bad_requests(self, client: Client, account: Obj, spec: Obj, text: str) -> None:
        await client.create(NODES, {"metadata": {"name": "n"}})
        await client.create(PODS, POD)
        with pytest.raises(StatusError, match=text):
            await self.token(client, **spec)


class TestIssuerDiscovery:
    async def test_the_keys_verify_a_token(self, api: Api, client: Client) -> None:
        await client.create(SERVICEACCOUNTS, {"metadata": {"name": "sa", "namespace": "default"}})
        made = await client.create(SERVICEACCOUNTS, {"spec": {}}, namespace="default", name="sa", subresource="token")
        head, body, signature = made["status"]["token"].split(".")
        response = await api.handle(Request("GET", "/openid/v1/jwks", identity=ADMIN))
        assert response.headers["content-type"] == "application/jwk-set+json"
        (key,) = parsed(response)["keys"]
        assert json.loads(decoded(head)) == {"alg": key["alg"], "kid": key["kid"]}
        x, y = (int.from_bytes(decoded(key[axis]), "big") for axis in "xy")
        r, s = (int.from_bytes(half, "big") for half in (decoded(signature)[:32], decoded(signature)[32:]))
        public = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
        public.verify(encode_dss_signature(r, s), f"{head}.{body}".encode(), ec.ECDSA(hashes.SHA256()))

    async def test_the_configuration_names_the_keys(self, api: Api) -> None:
        response = await api.handle(Request("GET", "/.well-known/openid-configuration", identity=ADMIN))
        found = parsed(response)
        assert response.headers["cache-control"] == "public, max-age=3600"
        assert (found["issuer"], found["id_token_signing_alg_values_supported"]) == (api.core.config.issuer, ["ES256"])
        assert found["jwks_uri"].endswith("/openid/v1/jwks")

    @pytest.mark.parametrize(
        ("who", "status"),
        [
            (None, 403),
            (Identity("bob", ("system:authenticated",)), 403),
            (Identity("system:serviceaccount:a:b", ("system:serviceaccounts", "system:authenticated")), 200),
        ],
    )
    async def test_is_open_to_service_accounts(self, api: Api, who: Identity | None, status: int) -> None:
        for path in ("/openid/v1/jwks", "/.well-known/openid-configuration"):
            assert (await api.handle(Request("GET", path, identity=who))).status == status
