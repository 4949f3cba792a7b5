"""A namespace and its ConfigMap kube-root-ca.crt -> what to write, so that its data is exactly the cluster's CA."""

from __future__ import annotations

from typing import Any, NamedTuple

from seamark.model.service import Namespace

NAME = "kube-root-ca.crt"
KEY = "ca.crt"
DESCRIPTION = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "
    "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of "
    "Kubernetes clusters."
)


class Create(NamedTuple):
    obj: dict[str, Any]


class Patch(NamedTuple):
    patch: dict[str, Any]


def plan_rootca(namespace: Namespace, data: dict[str, str] | None, ca_pem: str) -> Create | Patch | None:
    """``data`` is what the ConfigMap holds, None where there is none."""
    if namespace.metadata.deletion_timestamp is not None:
        return None
    if data is None:
        metadata = {
            "name": NAME,
            "namespace": namespace.metadata.name,
            "annotations": {"kubernetes.io/description": DESCRIPTION},
        }
        return Create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {KEY: ca_pem}})
    if data == {KEY: ca_pem}:
        return None
    return Patch({"data": {**dict.fromkeys(data), KEY: ca_pem}})
