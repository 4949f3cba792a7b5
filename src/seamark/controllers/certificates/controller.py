"""Certificate requests: wiring."""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from seamark.controllers.caches import Caches
from seamark.controllers.certificates.objects import Csr
from seamark.controllers.certificates.plan import Fail, Review, Sign, plan_expiry, plan_request
from seamark.controllers.certificates.signer import Signer
from seamark.controllers.runtime import Controller
from seamark.machinery.clock import format_time
from seamark.machinery.gvr import CERTIFICATESIGNINGREQUESTS, SUBJECTACCESSREVIEWS
from seamark.machinery.signing import parse_request
from seamark.model.meta import ObjectKey

_GROUP = CERTIFICATESIGNINGREQUESTS.group


class CertificateController:
    """Without a ``signer`` (a cluster whose authority is elsewhere) requests are approved and cleaned away."""

    def __init__(self, caches: Caches, signer: Signer | None) -> None:
        self._caches = caches
        self._signer = signer
        self.controller = Controller("certificates", self.reconcile, clock=caches.clock, workers=1)
        caches.requests.on_change(self._on_request)

    def _on_request(self, old: Csr | None, new: Csr | None, seen: float) -> None:
        if new is not None:
            self.controller.queue.add(new.key)

    async def reconcile(self, key: ObjectKey) -> float | None:
        csr = self._caches.requests.get(key)
        if csr is None:
            return None
        now = self._caches.clock.time()
        left = plan_expiry(csr) - now
        if left <= 0:
            await self._caches.delete(CERTIFICATESIGNINGREQUESTS, csr)
            return None
        try:
            action = plan_request(csr, parse_request(csr.spec.request))
        except ValueError:
            return left  # a request that the API took and this version cannot read: for others to sign
        match action:
            case Sign() if self._signer is not None:
                spec = csr.spec
                signed = self._signer.sign(spec.request, spec.usages or (), spec.expiration_seconds, now=now)
                await self._write(csr, "status", {"certificate": base64.b64encode(signed).decode()})
            case Fail(message):
                failed = self._condition("Failed", "SignerValidationFailure", message)
                await self._write(csr, "status", {"conditions": [*self._conditions(csr), failed]})
            case tuple():
                await self._review(csr, action)
        return left

    async def _review(self, csr: Csr, reviews: tuple[Review, ...]) -> None:
        for review in reviews:
            if await self._is_allowed(csr, review.subresource):
                approved = self._condition("Approved", "AutoApproved", review.message)
                await self._write(csr, "approval", {"conditions": [*self._conditions(csr), approved]})
                return

    async def _is_allowed(self, csr: Csr, subresource: str) -> bool:
        asked = {"group": _GROUP, "version": "*", "resource": "certificatesigningrequests", "verb": "create"}
        spec: dict[str, Any] = {"user": csr.spec.username, "uid": csr.spec.uid, "groups": csr.spec.groups or []}
        spec |= {"extra": csr.spec.extra or {}, "resourceAttributes": {**asked, "subresource": subresource}}
        review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        answer = await self._caches.client.create(SUBJECTACCESSREVIEWS, review)
        return bool(answer["status"].get("allowed"))

    async def _write(self, csr: Csr, subresource: str, status: dict[str, Any]) -> None:
        patch = {"metadata": {"resourceVersion": csr.metadata.resource_version}, "status": status}
        await self._caches.patch(CERTIFICATESIGNINGREQUESTS, csr.key, patch, subresource=subresource)

    def _conditions(self, csr: Csr) -> list[dict[str, Any]]:
        return [msgspec.to_builtins(condition) for condition in csr.status.conditions or ()]

    def _condition(self, type: str, reason: str, message: str) -> dict[str, Any]:
        now = format_time(self._caches.clock.time())
        times = {"lastUpdateTime": now, "lastTransitionTime": now}
        return {"type": type, "status": "True", "reason": reason, "message": message, **times}
