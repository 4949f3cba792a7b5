"""Bootstrap tokens: wiring. What the Secrets hold is read when it is needed, and not kept."""

from __future__ import annotations

from seamark.controllers.bootstraptokens.plan import plan_signatures
from seamark.controllers.caches import Caches
from seamark.controllers.runtime import Controller
from seamark.controllers.workloads import TypedSecret
from seamark.machinery.bootstraptokens import NAMESPACE, SECRET_TYPE, Data, seconds_left
from seamark.machinery.gvr import CONFIGMAPS, SECRETS
from seamark.machinery.signing import decode_bytes
from seamark.machinery.status import StatusError
from seamark.model.meta import Object, ObjectKey

CLUSTER_INFO = ObjectKey("kube-public", "cluster-info")


class BootstrapTokenController:
    """Keys are the Secrets, and cluster-info."""

    def __init__(self, caches: Caches) -> None:
        self._caches = caches
        self.controller = Controller("bootstraptokens", self.reconcile, clock=caches.clock, workers=1)
        caches.secrets.on_change(self._on_secret)
        caches.configmaps.on_change(self._on_config)

    def _on_secret(self, old: TypedSecret | None, new: TypedSecret | None, seen: float) -> None:
        found = new or old
        assert found is not None
        if found.type == SECRET_TYPE and found.metadata.namespace == NAMESPACE:
            self.controller.queue.add(found.key)
            self.controller.queue.add(CLUSTER_INFO)

    def _on_config(self, old: Object | None, new: Object | None, seen: float) -> None:
        if new is not None and new.key == CLUSTER_INFO:
            self.controller.queue.add(CLUSTER_INFO)

    async def reconcile(self, key: ObjectKey) -> float | None:
        if key != CLUSTER_INFO:
            return await self._clean(key)
        await self._sign()
        return None

    async def _clean(self, key: ObjectKey) -> float | None:
        secret = self._caches.secrets.get(key)
        data = await self._read(key) if secret is not None else None
        if secret is None or data is None:
            return None
        left = seconds_left(data, self._caches.clock.time())
        if left == 0.0:
            await self._caches.delete(SECRETS, secret)
            return None
        return left

    async def _sign(self) -> None:
        caches = self._caches
        if caches.configmaps.get(CLUSTER_INFO) is None:
            return
        config = await caches.client.get(CONFIGMAPS, CLUSTER_INFO.name, namespace=CLUSTER_INFO.namespace)
        keys = [s.key for s in caches.secrets.items.values() if s.type == SECRET_TYPE and s.key.namespace == NAMESPACE]
        tokens = [data for key in sorted(keys) if (data := await self._read(key)) is not None]
        changed = plan_signatures(config.get("data") or {}, tokens, now=caches.clock.time())
        if changed is not None:
            meta = {"resourceVersion": config["metadata"]["resourceVersion"]}
            await caches.patch(CONFIGMAPS, CLUSTER_INFO, {"metadata": meta, "data": changed})

    async def _read(self, key: ObjectKey) -> Data | None:
        """None: gone meanwhile."""
        try:
            found = await self._caches.client.get(SECRETS, key.name, namespace=key.namespace)
        except StatusError as error:
            if error.code != 404:
                raise
            return None
        return {name: decode_bytes(value) for name, value in (found.get("data") or {}).items()}
