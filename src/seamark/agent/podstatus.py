"""Writes a pod's status: only when it changed, on the version it was computed from, once more after a conflict.

The answer of the API is the next thing the status is computed from, so times of transition never jump while the
watch lags behind. A merge patch touches nothing in the status that is not this node's to say.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from seamark.agent.podspec import Pod
from seamark.client.client import Client
from seamark.machinery.gvr import PODS
from seamark.machinery.status import StatusError
from seamark.model import codec

Obj = dict[str, Any]
CONFLICTS = 5


class StatusWriter:
    """Of one pod."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._written: Obj = {}

    async def write(self, pod: Pod, compute: Callable[[Pod], Obj]) -> Pod | None:
        """The pod as the API has it afterwards; None = it is no longer there. Raises StatusError, TransportError."""
        for _ in range(CONFLICTS):
            status = compute(pod)
            if status == self._written:
                return pod
            try:
                pod = msgspec.structs.replace(await self._patch(pod, status), static_uid=pod.static_uid)
            except StatusError as error:
                if error.code == 404:
                    return None
                if error.code != 409:
                    raise
                latest = await self._read(pod)
                if latest is None:
                    return None
                pod = msgspec.structs.replace(latest, static_uid=pod.static_uid)
                continue
            # Computed once more from the answer: what is left of a difference now is a real one.
            self._written = compute(pod)
            return pod
        return pod

    async def _patch(self, pod: Pod, status: Obj) -> Pod:
        meta = pod.metadata
        cleared = {key: None for key in self._written if key not in status}
        patch = {
            "metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version},
            "status": {**cleared, **status},
        }
        answer = await self._client.patch(PODS, meta.name, patch, namespace=meta.namespace, subresource="status")
        return codec.convert(answer, Pod)

    async def _read(self, pod: Pod) -> Pod | None:
        meta = pod.metadata
        try:
            found = await self._client.get_as(Pod, PODS, meta.name, namespace=meta.namespace)
        except StatusError as error:
            if error.code == 404:
                return None
            raise
        return found if found.uid == meta.uid else None
