"""Certificate requests through the real API: asked for, approved by who may, signed, refused, cleaned away."""

from __future__ import annotations

import base64
import datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from seamark.api.authn import parse_certificate
from seamark.client.client import Client
from seamark.client.inprocess import InProcessTransport
from seamark.controllers.settings import ControllerSettings
from seamark.machinery.gvr import CERTIFICATESIGNINGREQUESTS as CSRS
from seamark.machinery.gvr import CLUSTERROLEBINDINGS, CLUSTERROLES
from seamark.machinery.signing import KUBE_CLIENT, KUBELET_CLIENT, KUBELET_SERVING
from seamark.machinery.status import StatusError
from seamark.machinery.wire import Identity

Obj = dict[str, Any]
CLIENT = ["client auth", "digital signature"]
PEM = serialization.Encoding.PEM
BEGIN = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def authority() -> tuple[str, bytes]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ca")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(BEGIN).not_valid_after(BEGIN.replace(year=2090))
    plain = serialization.NoEncryption()
    key_pem = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, plain)
    return builder.sign(key, hashes.SHA256()).public_bytes(PEM).decode(), key_pem


@pytest.fixture
async def cluster(bare: Any, authority: tuple[str, bytes]) -> Any:
    bare.start(ControllerSettings(ca_pem=authority[0], ca_key_pem=authority[1], dns_replicas=0))
    return bare


def csr(name: str, signer: str, user: str, group: str, *names: str, **spec: Any) -> Obj:
    subject = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group), x509.NameAttribute(NameOID.COMMON_NAME, user)]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    if names:
        alternative = x509.SubjectAlternativeName([x509.DNSName(one) for one in names])
        builder = builder.add_extension(alternative, critical=False)
    pem = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(PEM)
    body = {"request": base64.b64encode(pem).decode(), "signerName": signer, "usages": CLIENT, **spec}
    return {"apiVersion": CSRS.api_version, "kind": CSRS.kind, "metadata": {"name": name}, "spec": body}


def as_user(cluster: Any, user: str, *groups: str) -> Client:
    return Client(InProcessTransport(cluster.api.handle), identity=Identity(user, (*groups, "system:authenticated")))


async def decide(client: Client, name: str, kind: str = "Approved") -> Obj:
    """As ``kubectl certificate approve`` and ``deny`` do."""
    found = await client.get(CSRS, name)
    condition = {"type": kind, "status": "True", "reason": "KubectlApprove", "message": "This CSR was decided"}
    found["status"]["conditions"] = [*(found["status"].get("conditions") or []), condition]
    return await client.update(CSRS, found, subresource="approval")


async def certificate(cluster: Any, name: str) -> x509.Certificate:
    async def signed() -> Any:
        return (await cluster.client.get(CSRS, name))["status"].get("certificate")

    return x509.load_pem_x509_certificate(base64.b64decode(await cluster.eventually(signed, f"{name} is signed")))


async def test_approved_request_of_a_user_is_signed(cluster: Any, authority: tuple[str, bytes]) -> None:
    asker = as_user(cluster, "asker", "system:masters")
    body = csr("jane", KUBE_CLIENT, "jane", "dev", expirationSeconds=3600, username="admin", groups=["x"])
    made = await asker.create(CSRS, body)
    assert (made["spec"]["username"], made["spec"]["groups"]) == ("asker", ["system:masters", "system:authenticated"])
    approved = await decide(cluster.client, "jane")
    assert approved["status"]["conditions"][0]["lastUpdateTime"]
    found = await certificate(cluster, "jane")
    found.verify_directly_issued_by(x509.load_pem_x509_certificate(authority[0].encode()))
    identity = parse_certificate(found.public_bytes(serialization.Encoding.DER))
    assert (identity.user, identity.groups[0]) == ("jane", "dev")
    assert found.not_valid_after_utc - found.not_valid_before_utc == datetime.timedelta(minutes=65)
    with pytest.raises(StatusError, match='updates may not remove a condition of type "Approved"'):
        await cluster.client.patch(CSRS, "jane", {"status": {"conditions": []}}, subresource="approval")


async def test_request_never_changes_and_nobody_approves_through_status(cluster: Any) -> None:
    client = cluster.client
    made = await client.create(CSRS, csr("jane", KUBE_CLIENT, "jane", "dev"))
    changed = await client.patch(CSRS, "jane", {"spec": {"signerName": "a.b/c"}, "metadata": {"labels": {"a": "b"}}})
    assert changed["spec"] == made["spec"]
    assert changed["metadata"]["labels"] == {"a": "b"}
    approved = {"type": "Approved", "status": "True", "reason": "x", "message": ""}
    with pytest.raises(StatusError, match='updates may not add a condition of type "Approved"'):
        await client.patch(CSRS, "jane", {"status": {"conditions": [approved]}}, subresource="status")
    await decide(client, "jane", "Denied")
    with pytest.raises(StatusError, match="Approved and Denied conditions are mutually exclusive"):
        await decide(client, "jane")


async def test_administrators_are_not_made_by_request(cluster: Any) -> None:
    with pytest.raises(StatusError) as caught:
        await cluster.client.create(CSRS, csr("root", KUBE_CLIENT, "root", "system:masters"))
    assert caught.value.message == (
        'certificatesigningrequests.certificates.k8s.io "root" is forbidden: '
        "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed"
    )


async def test_approving_takes_the_right_to_the_signer(cluster: Any) -> None:
    client, jane = cluster.client, as_user(cluster, "jane")
    rules = [
        {"apiGroups": [CSRS.group], "resources": ["certificatesigningrequests"], "verbs": ["get"]},
        {"apiGroups": [CSRS.group], "resources": ["certificatesigningrequests/approval"], "verbs": ["update"]},
        {"apiGroups": [CSRS.group], "resources": ["signers"], "verbs": ["approve"], "resourceNames": ["a.example/*"]},
    ]
    await client.create(CLUSTERROLES, {"metadata": {"name": "approver"}, "rules": rules})
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "approver"}
    subjects = [{"apiGroup": role["apiGroup"], "kind": "User", "name": "jane"}]
    binding = {"metadata": {"name": "approver"}, "roleRef": role, "subjects": subjects}
    await client.create(CLUSTERROLEBINDINGS, binding)
    await client.create(CSRS, csr("theirs", KUBE_CLIENT, "x", "dev"))
    await client.create(CSRS, csr("hers", "a.example/signer", "x", "dev"))
    await decide(jane, "hers")
    with pytest.raises(StatusError) as caught:
        await decide(jane, "theirs")
    assert caught.value.message.endswith(
        'user not permitted to approve requests with signerName "kubernetes.io/kube-apiserver-client"'
    )


async def test_nodes_get_their_certificates(cluster: Any) -> None:
    client, node = cluster.client, "system:node:node9"
    await client.create(CSRS, csr("stranger", KUBELET_CLIENT, node, "system:nodes"))
    own = as_user(cluster, node, "system:nodes")
    await own.create(CSRS, csr("own", KUBELET_CLIENT, node, "system:nodes"))
    assert (await certificate(cluster, "own")).subject.rfc4514_string() == "CN=system:node:node9,O=system:nodes"
    usages = ["digital signature", "server auth"]
    await own.create(CSRS, csr("serving", KUBELET_SERVING, node, "system:nodes", "node9.example", usages=usages))
    await own.create(CSRS, csr("nameless", KUBELET_SERVING, node, "system:nodes", usages=usages))
    assert not (await client.get(CSRS, "serving"))["status"]
    for name in ("serving", "nameless"):
        await decide(client, name)
    found = await certificate(cluster, "serving")
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["node9.example"]

    async def failed() -> bool:
        conditions = (await client.get(CSRS, "nameless"))["status"]["conditions"]
        return any(c["reason"] == "SignerValidationFailure" for c in conditions)

    await cluster.eventually(failed, "nameless failed")


async def test_old_requests_go(cluster: Any) -> None:
    await cluster.client.create(CSRS, csr("pending", KUBE_CLIENT, "x", "dev"))
    await cluster.client.create(CSRS, csr("denied", KUBE_CLIENT, "x", "dev"))
    await decide(cluster.client, "denied", "Denied")

    async def left(*names: str) -> bool:
        return {one["metadata"]["name"] for one in await cluster.client.list(CSRS)} == set(names)

    await cluster.clock.advance(3601)
    await cluster.eventually(lambda: left("pending"), "the denied one is gone")
    await cluster.clock.advance(82801)
    await cluster.eventually(left, "all are gone")


async def test_extension_that_would_name_no_use_is_left_out(cluster: Any) -> None:
    """OpenSSL takes no certificate with an empty one."""
    for name, usages in (("bare", ["client auth"]), ("usual", CLIENT)):
        await cluster.client.create(CSRS, csr(name, KUBE_CLIENT, name, "dev", usages=usages))
        await decide(cluster.client, name)
    ids = {name: [e.oid for e in (await certificate(cluster, name)).extensions] for name in ("bare", "usual")}
    assert x509.KeyUsage.oid not in ids["bare"]
    assert x509.KeyUsage.oid in ids["usual"]
