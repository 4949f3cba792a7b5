"""Certificate requests: what they ask for, and what each of Kubernetes' own signers signs; pure.

Facts: k8s.io/kubernetes pkg/apis/certificates/helpers.go and pkg/controller/certificates/signer.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.x509.oid import NameOID

KUBE_CLIENT = "kubernetes.io/kube-apiserver-client"
KUBELET_CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
KUBELET_SERVING = "kubernetes.io/kubelet-serving"
LEGACY = "kubernetes.io/legacy-unknown"
NODES_GROUP = "system:nodes"
NODE_PREFIX = "system:node:"
_BLOCK = "CERTIFICATE REQUEST"
_CLIENT = ("client auth", "digital signature", "key encipherment")
_SERVING = ("digital signature", "key encipherment", "server auth")


@dataclass(frozen=True, slots=True)
class CertificateRequest:
    common_name: str
    organizations: tuple[str, ...]
    dns_names: tuple[str, ...] = ()
    ip_addresses: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()


def decode_bytes(value: Any) -> bytes:
    """A bytes field of the API: base64 in JSON. Empty for what is none."""
    try:
        return base64.b64decode(value or "", validate=False)
    except (binascii.Error, TypeError, ValueError):
        return b""


def parse_request(pem: bytes) -> CertificateRequest:
    """Raises ValueError for what is no request, or is not signed by its own key."""
    if f"-----BEGIN {_BLOCK}-----".encode() not in pem:
        raise ValueError(f"PEM block type must be {_BLOCK}")
    request = x509.load_pem_x509_csr(pem)
    if not request.is_signature_valid:
        raise ValueError("x509: the signature of the request is not that of its key")
    subject = request.subject
    names = [str(a.value) for a in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    organizations = tuple(str(a.value) for a in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME))
    return CertificateRequest(names[-1] if names else "", organizations, *_alternative_names(request))


def _alternative_names(request: x509.CertificateSigningRequest) -> tuple[tuple[str, ...], ...]:
    try:
        found = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return (), (), (), ()
    kinds = (x509.DNSName, x509.IPAddress, x509.RFC822Name, x509.UniformResourceIdentifier)
    return tuple(tuple(str(value) for value in found.get_values_for_type(kind)) for kind in kinds)


def why_not_signed(signer: str, request: CertificateRequest, usages: Sequence[str]) -> str:
    """Why one of Kubernetes' own signers refuses an approved request; empty = it signs."""
    match signer:
        case "kubernetes.io/kube-apiserver-client":
            return _why_not_client(usages)
        case "kubernetes.io/kube-apiserver-client-kubelet":
            return why_not_kubelet_client(request, usages)
        case "kubernetes.io/kubelet-serving":
            return _why_not_kubelet_serving(request, usages)
    return ""


def _why_not_client(usages: Sequence[str]) -> str:
    wrong = next((usage for usage in usages if usage not in _CLIENT), "")
    if wrong:
        return f"invalid usage for client certificate: {wrong}"
    return "" if "client auth" in usages else "missing required usage for client certificate: client auth"


def why_not_kubelet_client(request: CertificateRequest, usages: Sequence[str]) -> str:
    found = {
        "DNS": request.dns_names,
        "Email": request.emails,
        "IP": request.ip_addresses,
        "URI": request.uris,
    }
    if request.organizations != (NODES_GROUP,):
        return "subject organization is not system:nodes"
    named = next((kind for kind, values in found.items() if values), "")
    if named:
        return f"{named} subjectAltNames are not allowed"
    if not request.common_name.startswith(NODE_PREFIX):
        return "subject common name does not begin with system:node:"
    return _why_not_usages(usages, _CLIENT)


def _why_not_kubelet_serving(request: CertificateRequest, usages: Sequence[str]) -> str:
    if request.organizations != (NODES_GROUP,):
        return "subject organization is not system:nodes"
    if not (request.dns_names or request.ip_addresses):
        return "DNS or IP subjectAltName is required"
    for kind, values in (("Email", request.emails), ("URI", request.uris)):
        if values:
            return f"{kind} subjectAltNames are not allowed"
    wrong = _why_not_usages(usages, _SERVING)
    if wrong or request.common_name.startswith(NODE_PREFIX):
        return wrong
    return "subject common name does not begin with system:node:"


def _why_not_usages(usages: Sequence[str], wanted: Sequence[str]) -> str:
    """Keys that are not RSA need no key encipherment."""
    if set(usages) in (set(wanted), set(wanted) - {"key encipherment"}):
        return ""
    return f"usages did not match [{' '.join(wanted)}]"
