"""Secrets of service accounts' tokens: wiring."""

from __future__ import annotations

from seamark.client.index import Index
from seamark.controllers.accounttokens.plan import (
    ACCOUNT_NAME,
    SECRET_TYPE,
    TOKEN,
    Fill,
    Remove,
    plan_secret,
    render_patch,
    render_request,
)
from seamark.controllers.caches import Caches
from seamark.controllers.runtime import Controller
from seamark.controllers.workloads import TypedSecret
from seamark.machinery.gvr import SECRETS, SERVICEACCOUNTS
from seamark.model.meta import Object, ObjectKey


class AccountTokenController:
    def __init__(self, caches: Caches, *, ca_pem: str) -> None:
        self._caches = caches
        self._ca_pem = ca_pem
        self._of = Index(caches.secrets, _account_keys)
        self.controller = Controller("accounttokens", self.reconcile, clock=caches.clock)
        caches.secrets.on_change(self._on_secret)
        caches.serviceaccounts.on_change(self._on_account)

    def _on_secret(self, old: TypedSecret | None, new: TypedSecret | None, seen: float) -> None:
        if new is not None and new.type == SECRET_TYPE:
            self.controller.queue.add(new.key)

    def _on_account(self, old: Object | None, new: Object | None, seen: float) -> None:
        found = new or old
        assert found is not None
        for key in self._of.keys(found.key):
            self.controller.queue.add(key)

    async def reconcile(self, key: ObjectKey) -> float | None:
        caches = self._caches
        secret = caches.secrets.get(key)
        if secret is None or secret.metadata.deletion_timestamp is not None:
            return None
        account = next((caches.serviceaccounts.get(of) for of in _account_keys(secret)), None)
        found = await caches.client.get(SECRETS, key.name, namespace=key.namespace)
        match plan_secret(secret, found.get("data") or {}, account, ca_pem=self._ca_pem):
            case Remove():
                await caches.delete(SECRETS, secret)
            case Fill(token, data) if account is not None:
                if token:
                    data = {**data, TOKEN: await self._request(secret, account)}
                await caches.patch(SECRETS, key, render_patch(secret, account, data))
        return None

    async def _request(self, secret: TypedSecret, account: Object) -> bytes:
        meta, body = account.metadata, render_request(secret)
        answer = await self._caches.client.create(
            SERVICEACCOUNTS, body, namespace=meta.namespace, name=meta.name, subresource="token"
        )
        return str(answer["status"]["token"]).encode()


def _account_keys(secret: TypedSecret) -> tuple[ObjectKey, ...]:
    name = secret.annotations.get(ACCOUNT_NAME, "")
    return (ObjectKey(secret.metadata.namespace, name),) if secret.type == SECRET_TYPE and name else ()
