"""Certificate requests: which are approved by themselves, which signed, which refused, and when they go."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from seamark.controllers.certificates.objects import Csr
from seamark.controllers.certificates.plan import NODE, SELF, Fail, Sign, plan_expiry, plan_request
from seamark.machinery.clock import parse_time
from seamark.machinery.signing import KUBE_CLIENT, KUBELET_CLIENT, KUBELET_SERVING, CertificateRequest

AT = "2026-11-24T10:00:00Z"
CLIENT = ["client auth", "digital signature"]
SERVING = ["digital signature", "key encipherment", "server auth"]
NODE1 = CertificateRequest("system:node:node1", ("system:nodes",))
JANE = CertificateRequest("jane", ("dev",))


def csr(signer: str, usages: list[str], *conditions: str, user: str = "system:bootstrap:x", **status: Any) -> Csr:
    given = [{"type": kind, "status": "True", "lastUpdateTime": AT} for kind in conditions]
    spec = {"signerName": signer, "usages": usages, "username": user}
    meta = {"name": "c", "creationTimestamp": AT}
    return msgspec.convert({"metadata": meta, "spec": spec, "status": {"conditions": given, **status}}, Csr)


@pytest.mark.parametrize(
    ("one", "request_", "wanted"),
    [
        pytest.param(csr(KUBELET_CLIENT, CLIENT), NODE1, (NODE,), id="a node's first certificate"),
        pytest.param(
            csr(KUBELET_CLIENT, CLIENT, user="system:node:node1"), NODE1, (SELF, NODE), id="a node renews its own"
        ),
        pytest.param(csr(KUBELET_CLIENT, CLIENT), JANE, None, id="no node"),
        pytest.param(csr(KUBELET_SERVING, SERVING), NODE1, None, id="serving certificates are for people to approve"),
        pytest.param(csr(KUBE_CLIENT, CLIENT), JANE, None, id="users too"),
        pytest.param(csr(KUBE_CLIENT, CLIENT, "Approved"), JANE, Sign(), id="approved"),
        pytest.param(csr(KUBE_CLIENT, CLIENT, "Denied"), JANE, None, id="denied"),
        pytest.param(csr(KUBE_CLIENT, CLIENT, "Approved", certificate="AA=="), JANE, None, id="signed already"),
        pytest.param(csr("example.com/own", CLIENT, "Approved"), JANE, None, id="another signer's"),
        pytest.param(
            csr(KUBE_CLIENT, SERVING, "Approved"),
            JANE,
            Fail("invalid usage for client certificate: server auth"),
            id="a client certificate that would serve",
        ),
        pytest.param(
            csr(KUBELET_CLIENT, CLIENT, "Approved"),
            JANE,
            Fail("subject organization is not system:nodes"),
            id="approved, and no node",
        ),
        pytest.param(
            csr(KUBELET_SERVING, SERVING, "Approved"),
            NODE1,
            Fail("DNS or IP subjectAltName is required"),
            id="serving under no name",
        ),
    ],
)
def test_plan_request(one: Csr, request_: CertificateRequest, wanted: Any) -> None:
    assert plan_request(one, request_) == wanted


@pytest.mark.parametrize(
    ("one", "hours"),
    [
        pytest.param(csr(KUBE_CLIENT, CLIENT), 24, id="pending"),
        pytest.param(csr(KUBE_CLIENT, CLIENT, "Denied"), 1, id="denied"),
        pytest.param(csr(KUBE_CLIENT, CLIENT, "Approved"), 24, id="approved and not signed"),
        pytest.param(csr(KUBE_CLIENT, CLIENT, "Approved", certificate="AA=="), 1, id="signed"),
        pytest.param(csr(KUBE_CLIENT, CLIENT, "Approved", "Failed"), 1, id="failed"),
    ],
)
def test_plan_expiry(one: Csr, hours: int) -> None:
    assert plan_expiry(one) == parse_time(AT) + hours * 3600
