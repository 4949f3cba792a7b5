"""What each node may read, derived from the pods bound to it: their secrets, config maps, claims and accounts.

Pure state that follows the store, like ``rbac.py``. Facts: k8s.io/kubernetes plugin/pkg/auth/authorizer/node.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

MIRROR = "kubernetes.io/config.mirror"


class Related(NamedTuple):
    """An object by resource, namespace and name."""

    resource: str
    namespace: str
    name: str


_SECRET_VOLUMES = {  # volume type: where in it a secret is named
    "azureFile": ("secretName",),
    "cephfs": ("secretRef", "name"),
    "cinder": ("secretRef", "name"),
    "csi": ("nodePublishSecretRef", "name"),
    "flexVolume": ("secretRef", "name"),
    "iscsi": ("secretRef", "name"),
    "rbd": ("secretRef", "name"),
    "scaleIO": ("secretRef", "name"),
    "secret": ("secretName",),
    "storageos": ("secretRef", "name"),
}


def related_to(pod: Mapping[str, Any]) -> set[Related]:
    """All that a pod refers to, itself among it. A mirror pod, which its node made, opens nothing but itself."""
    meta, spec = pod["metadata"], pod.get("spec") or {}
    namespace = meta["namespace"]
    found = {("pods", meta["name"])}
    if MIRROR not in (meta.get("annotations") or {}):
        found.add(("serviceaccounts", spec.get("serviceAccountName") or "default"))
        found.update(("secrets", ref.get("name")) for ref in spec.get("imagePullSecrets") or ())
        for field in ("initContainers", "containers", "ephemeralContainers"):
            for container in spec.get(field) or ():
                found.update(_of_environment(container))
        for volume in spec.get("volumes") or ():
            found.update(_of_volume(volume, meta["name"]))
    return {Related(resource, namespace, str(name)) for resource, name in found if name}


def _of_environment(container: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for one in container.get("env") or ():
        source = one.get("valueFrom") or {}
        yield "secrets", (source.get("secretKeyRef") or {}).get("name")
        yield "configmaps", (source.get("configMapKeyRef") or {}).get("name")
    for one in container.get("envFrom") or ():
        yield "secrets", (one.get("secretRef") or {}).get("name")
        yield "configmaps", (one.get("configMapRef") or {}).get("name")


def _of_volume(volume: Mapping[str, Any], pod: str) -> Iterator[tuple[str, Any]]:
    for kind, path in _SECRET_VOLUMES.items():
        at: Any = volume.get(kind) or {}
        for field in path:
            at = (at or {}).get(field)
        yield "secrets", at
    yield "configmaps", (volume.get("configMap") or {}).get("name")
    yield "persistentvolumeclaims", (volume.get("persistentVolumeClaim") or {}).get("claimName")
    if volume.get("ephemeral") is not None:
        yield "persistentvolumeclaims", f"{pod}-{volume.get('name')}"
    for source in (volume.get("projected") or {}).get("sources") or ():
        yield "secrets", (source.get("secret") or {}).get("name")
        yield "configmaps", (source.get("configMap") or {}).get("name")


class NodeGraph:
    def __init__(self) -> None:
        self._pods: dict[str, tuple[str, set[Related]]] = {}  # by store key: the node, and what it may read for it
        self._counts: dict[str, Counter[Related]] = {}

    def put(self, key: str, pod: Mapping[str, Any]) -> None:
        """``key`` is the store's."""
        node = (pod.get("spec") or {}).get("nodeName") or ""
        related = related_to(pod) if node else set()
        if self._pods.get(key) == (node, related):
            return
        self.drop(key)
        if node:
            self._pods[key] = (node, related)
            self._counts.setdefault(node, Counter()).update(related)

    def drop(self, key: str) -> None:
        node, related = self._pods.pop(key, ("", set()))
        counts = self._counts.get(node)
        if counts is None:
            return
        for one in related:
            counts[one] -= 1
            if not counts[one]:
                del counts[one]
        if not counts:
            del self._counts[node]

    def reaches(self, node: str, resource: str, namespace: str, name: str) -> bool:
        return Related(resource, namespace, name) in self._counts.get(node, ())

    def claims(self, node: str) -> list[Related]:
        return [one for one in self._counts.get(node, ()) if one.resource == "persistentvolumeclaims"]
