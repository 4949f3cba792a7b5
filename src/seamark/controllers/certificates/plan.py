"""A CertificateSigningRequest -> what is next for it; pure.

Requests of nodes for their client certificate are approved when whoever asks has the right to (the right is asked for
by a review). Kubernetes' own signers sign what is approved and what they are for; other signers are none of ours.
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509

from seamark.controllers.certificates.objects import Csr
from seamark.machinery.clock import parse_time
from seamark.machinery.signing import (
    KUBE_CLIENT,
    KUBELET_CLIENT,
    KUBELET_SERVING,
    LEGACY,
    CertificateRequest,
    why_not_kubelet_client,
    why_not_signed,
)

SIGNERS = (KUBE_CLIENT, KUBELET_CLIENT, KUBELET_SERVING, LEGACY)
HOUR, DAY = 3600.0, 86400.0


@dataclass(frozen=True, slots=True)
class Review:
    """Approve, where the asker may create this subresource of requests."""

    subresource: str
    message: str


@dataclass(frozen=True, slots=True)
class Sign:
    pass


@dataclass(frozen=True, slots=True)
class Fail:
    message: str


SELF = Review("selfnodeclient", "Auto approving self kubelet client certificate after SubjectAccessReview.")
NODE = Review("nodeclient", "Auto approving kubelet client certificate after SubjectAccessReview.")


def plan_request(csr: Csr, request: CertificateRequest) -> tuple[Review, ...] | Sign | Fail | None:
    kinds = {condition.type for condition in csr.status.conditions or ()}
    if csr.status.certificate or kinds & {"Denied", "Failed"}:
        return None
    if "Approved" not in kinds:
        return _select_reviews(csr, request)
    if csr.spec.signer_name not in SIGNERS:
        return None
    why = why_not_signed(csr.spec.signer_name, request, csr.spec.usages or ())
    return Fail(why) if why else Sign()


def _select_reviews(csr: Csr, request: CertificateRequest) -> tuple[Review, ...] | None:
    spec = csr.spec
    if spec.signer_name != KUBELET_CLIENT or why_not_kubelet_client(request, spec.usages or ()):
        return None
    return (SELF, NODE) if spec.username == request.common_name else (NODE,)


def plan_expiry(csr: Csr) -> float:
    """When it may be cleaned away, in Unix seconds."""
    created = parse_time(csr.metadata.creation_timestamp or "")
    conditions = csr.status.conditions or []
    if not conditions:
        return created + DAY
    due = []
    for condition in conditions:
        if condition.last_update_time is None:
            continue
        at, issued = parse_time(condition.last_update_time), bool(csr.status.certificate)
        if condition.type in ("Denied", "Failed") or (condition.type == "Approved" and issued):
            due.append(at + HOUR)
        elif condition.type == "Approved":
            due.append(at + DAY)
    if csr.status.certificate:
        due.append(_expiry_of(csr.status.certificate))
    return min(due, default=created + DAY)


def _expiry_of(pem: bytes) -> float:
    try:
        return x509.load_pem_x509_certificate(pem).not_valid_after_utc.timestamp()
    except ValueError:
        return float("inf")
