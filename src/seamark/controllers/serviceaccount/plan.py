"""A namespace -> the account it lacks. Pods that name no account run as ``default``, so it must always be there."""

from __future__ import annotations

from typing import Any

from seamark.model.service import Namespace

NAME = "default"


def plan_serviceaccount(namespace: Namespace, *, exists: bool) -> dict[str, Any] | None:
    if exists or namespace.metadata.deletion_timestamp is not None:
        return None
    metadata = {"name": NAME, "namespace": namespace.metadata.name}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
