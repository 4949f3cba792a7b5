"""The API in memory, and clients of it that are somebody."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from seamark.api.app import Api
from seamark.client.client import Client
from seamark.machinery.gvr import CLUSTERROLES, ROLEBINDINGS
from seamark.machinery.wire import Identity, Request

Obj = dict[str, Any]
AUTHENTICATED = "system:authenticated"


@pytest.fixture
def user(client_for: Callable[[Identity], Client]) -> Callable[..., Client]:
    """``user("jane", "devs")``: a client of an ordinary, authenticated user."""
    return lambda name, *groups: client_for(Identity(name, (*groups, AUTHENTICATED)))


@pytest.fixture
def grant(client: Client) -> Callable[..., Awaitable[None]]:
    """``await grant("jane", rule, …)``: a role and a binding in the namespace default."""

    async def give(name: str, *rules: Obj, namespace: str = "default") -> None:
        await client.create(CLUSTERROLES, {"metadata": {"name": f"of-{name}"}, "rules": list(rules)})
        ref = {"kind": "ClusterRole", "name": f"of-{name}", "apiGroup": "rbac.authorization.k8s.io"}
        subjects = [{"kind": "User", "name": name}]
        meta = {"name": f"of-{name}", "namespace": namespace}
        await client.create(ROLEBINDINGS, {"metadata": meta, "roleRef": ref, "subjects": subjects})

    return give


@pytest.fixture
def ask(api: Api) -> Callable[..., Awaitable[tuple[int, Obj]]]:
    """``status, body = await ask(identity, method, path, body=…, headers=…)``."""

    async def send(
        who: Identity | None, method: str, path: str, *, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Obj]:
        raw = json.dumps(body).encode() if body is not None else b""
        path, _, query = path.partition("?")
        pairs = tuple((k, v) for k, _, v in (part.partition("=") for part in query.split("&") if part))
        response = await api.handle(Request(method, path, pairs, headers or {}, raw, who))
        found = response.body if response.headers["content-type"] == "application/json" else b"{}"
        return response.status, json.loads(found)

    return send
