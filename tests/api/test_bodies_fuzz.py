"""Whatever a body holds, the answer is the object or a Status below 500 that says what is wrong."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seamark.api.app import Api
from seamark.machinery import schema
from seamark.machinery.schema import Field, Message
from seamark.machinery.wire import Identity, Request
from seamark.resources.registry import Resource
from seamark.resources.table import build_registry
from seamark.store.memory import MemoryStore
from seamark.testing.clock import FakeClock

STORED = [row for row in build_registry().rows if row.stored]
WHO = Identity("jane", ("system:masters",))
SCALARS: dict[str, list[Any]] = {
    "string": ["", "a", "A_b", "None", "ClientIP", "10.96.0.5", "NodePort", "x" * 300, "80%", "é"],
    "bool": [True, False],
    "bytes": ["", "Yg==", "?"],
    "double": [0.5],
}
ANY: list[Any] = [None, 0, -1, "x", [], {}, [None], {"a": None}, [1], 1.5, True]


def make(message: Message, rng: random.Random, depth: int = 0) -> dict[str, Any]:
    """A body with fields of the kind, mostly of the right type."""
    fields = list(message.fields.items())
    chosen = rng.sample(fields, min(len(fields), rng.randint(0, 6)))
    return {key: value(field, rng, depth) for key, field in chosen}


def value(field: Field, rng: random.Random, depth: int) -> Any:
    if rng.random() < 0.05:
        return rng.choice(ANY)
    if field.shape == "list":
        return [one(field, rng, depth) for _ in range(rng.randint(0, 3))]
    if field.shape == "map":
        return {rng.choice(["a", "b/c", "", "A"]): one(field, rng, depth) for _ in range(rng.randint(0, 2))}
    return one(field, rng, depth)


def one(field: Field, rng: random.Random, depth: int) -> Any:
    if field.is_message:
        message = schema.named(field.type)
        if message.codec or depth > 5:
            return rng.choice([1, "80", "2024-01-01T00:00:00Z", {}, "1Gi", None])
        return make(message, rng, depth + 1)
    return rng.choice(SCALARS.get(field.type, [0, 1, -1, 80, 70000, 2**31 - 1]))


@pytest.mark.parametrize("row", STORED, ids=lambda row: row.gvr.resource)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32))
async def test_no_body_breaks_the_server(row: Resource, seed: int) -> None:
    api = Api(store=MemoryStore(), registry=build_registry(), clock=FakeClock())
    namespace = json.dumps({"metadata": {"name": "default"}}).encode()
    await api.handle(Request("POST", "/api/v1/namespaces", (), {}, namespace, WHO))
    rng = random.Random(seed)
    message = schema.message(row.gvr.api_version, row.gvr.kind)
    assert message is not None
    path = row.gvr.path(namespace="default")
    headers = {"content-type": "application/json"}
    for number in range(4):
        body = make(message, rng)
        if isinstance(body.get("metadata", {}), dict):
            body.setdefault("metadata", {})
            body["metadata"].update(name=f"n{number}", namespace="default")
            body["metadata"].pop("resourceVersion", None)  # which Kubernetes answers with a 500
            if not row.gvr.namespaced:
                del body["metadata"]["namespace"]
        created = await api.handle(Request("POST", path, (), headers, json.dumps(body).encode(), WHO))
        assert created.status < 500, (body, created.body)
        if created.status != 201:
            continue
        for accept in ("application/json;as=Table;v=v1;g=meta.k8s.io", "application/vnd.kubernetes.protobuf"):
            listed = await api.handle(Request("GET", path, (), {"accept": accept}, b"", WHO))
            assert listed.status == 200, (body, listed.body)
        change = make(message, rng)
        if isinstance(change.get("metadata"), dict):
            change["metadata"].pop("resourceVersion", None)
        other = json.dumps(change).encode()
        merge = {"content-type": "application/merge-patch+json"}
        strategic = {"content-type": "application/strategic-merge-patch+json"}
        for patch in (merge, strategic):
            patched = await api.handle(Request("PATCH", f"{path}/n{number}", (), patch, other, WHO))
            foreseen = b"does not contain declared merge key" in patched.body  # Kubernetes answers 500 to that
            assert patched.status < 500 or foreseen, (body, other, patched.body)
        if "status" in row.subresources:
            answer = await api.handle(Request("PATCH", f"{path}/n{number}/status", (), merge, other, WHO))
            assert answer.status < 500, (body, other, answer.body)
        await api.handle(Request("DELETE", f"{path}/n{number}", (), {}, b"", WHO))
