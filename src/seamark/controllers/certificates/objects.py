"""certificates.k8s.io/v1 CertificateSigningRequest as its controllers read it."""

from __future__ import annotations

import msgspec

from seamark.model.meta import Object, Projection


class CsrCondition(Projection, frozen=True):
    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    last_update_time: str | None = None
    last_transition_time: str | None = None


class CsrSpec(Projection, frozen=True):
    request: bytes = b""
    signer_name: str = ""
    expiration_seconds: int | None = None
    usages: list[str] | None = None
    username: str = ""
    uid: str = ""
    groups: list[str] | None = None
    extra: dict[str, list[str]] | None = None


class CsrStatus(Projection, frozen=True):
    conditions: list[CsrCondition] | None = None
    certificate: bytes = b""


class Csr(Object, frozen=True):
    spec: CsrSpec = msgspec.field(default_factory=CsrSpec)
    status: CsrStatus = msgspec.field(default_factory=CsrStatus)
