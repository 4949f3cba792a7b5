"""What must hold for whatever the API has taken: generated changes on an object of every kind, and its invariants.

Valid JSON out; protobuf and YAML say the same; what GET returned changes nothing, however it is sent back; an apply
done twice is one; kubectl's three-way merge comes to rest; a field that the kind does not have is refused or told.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from seamark.api.app import Api
from seamark.machinery import protobuf, schema
from seamark.machinery.jsonvalue import copy_json, equal_json
from seamark.machinery.schema import Field, Message
from seamark.machinery.wire import Identity, Request, Response
from seamark.resources.registry import Resource
from seamark.resources.table import build_registry
from seamark.store.memory import MemoryStore
from seamark.testing.clock import FakeClock

Obj = dict[str, Any]
ADMIN = Identity("jane", ("system:masters",))
RECORDED: dict[str, Obj] = {
    path.stem: json.loads(path.read_text())
    for path in sorted((Path(__file__).parents[1] / "resources" / "recorded").glob("*.json"))
}
SERVER_OWNED = ("managedFields", "uid", "resourceVersion", "creationTimestamp", "generation")
UNMERGEABLE = (b"does not contain declared merge key", b"spec.ports[1]: Duplicate value", b"data: Invalid value")
"""Elements without their key, ports that only the protocol tells apart (a strategic merge's key is the port alone),
data that holds a directive of such a patch: sending them back fails in Kubernetes too."""
SCALARS: dict[str, list[Any]] = {"string": ["a", "80%", "web"], "bool": [True, False], "bytes": ["Yg=="], "double": [1]}


async def ask(api: Api, method: str, path: str, body: Any = None, *, kind: str = "json", **query: str) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
    headers = {"content-type": f"application/{kind}", "user-agent": "tester/v1"}
    return await api.handle(Request(method, path, tuple(query.items()), headers, raw, ADMIN))


async def read(api: Api, path: str, accept: str = "application/json") -> bytes:
    response = await api.handle(Request("GET", path, (), {"accept": accept}, b"", ADMIN))
    assert response.status == 200, response.body
    return response.body


def parsed(response: Response, status: int = 200) -> Obj:
    found: Obj = json.loads(response.body)
    assert response.status == status, found
    return found


async def new_api() -> Api:
    api = Api(store=MemoryStore(), registry=build_registry(), clock=FakeClock())
    await api.start()
    await ask(api, "POST", "/api/v1/namespaces", {"metadata": {"name": "default"}})
    for account in ("default", "sa"):
        await ask(api, "POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": account}})
    high = {"metadata": {"name": "high"}, "value": 7, "preemptionPolicy": "Never"}
    await ask(api, "POST", "/apis/scheduling.k8s.io/v1/priorityclasses", high)
    return api


async def create(api: Api, row: Resource, base: Obj) -> str:
    """Where the object is that was made of a recorded manifest."""
    body = copy_json(base)
    body["metadata"] = {"name": "web", **body.get("metadata", {})}
    body["metadata"].pop("namespace", None)
    where = row.gvr.path(namespace="default" if row.gvr.namespaced else "")
    made = parsed(await ask(api, "POST", where, body), 201)
    return f"{where}/{made['metadata']['name']}"


def change_of(message: Message, rng: random.Random, depth: int = 0) -> Obj:
    """A merge patch of a few fields, most of which the kind has."""
    fields = [(key, field) for key, field in message.fields.items() if key not in ("apiVersion", "kind", "metadata")]
    chosen = rng.sample(fields, min(len(fields), rng.randint(1, 3)))
    return {key: value_of(field, rng, depth) for key, field in chosen}


def value_of(field: Field, rng: random.Random, depth: int) -> Any:
    if rng.random() < 0.15:
        return None
    inner = schema.named(field.type) if field.is_message else None
    if inner is not None and (inner.codec or depth > 3):
        one: Any = rng.choice([1, "80", "2024-01-01T00:00:00Z", "1Gi"])
    elif inner is not None:
        one = change_of(inner, rng, depth + 1)
    else:
        one = rng.choice(SCALARS.get(field.type, [0, 1, 80]))
    return {"list": [one], "map": {"a": one}}.get(field.shape, one)


def pruned(value: Any) -> Any:
    """Without what Go's JSON leaves out or writes alike: nulls, empty objects, lists and texts, zeros."""
    if isinstance(value, dict):
        found = {key: pruned(member) for key, member in value.items()}
        return {key: member for key, member in found.items() if member not in (None, "", 0, False) and member != []}
    return [pruned(item) for item in value] if isinstance(value, list) else value


def bare(value: Any) -> Any:
    """Also without objects that are empty after that."""
    if isinstance(value, dict):
        found = {key: bare(member) for key, member in value.items()}
        return {key: member for key, member in found.items() if member != {}}
    return [bare(item) for item in value] if isinstance(value, list) else value


def as_config(obj: Obj) -> Obj:
    meta = {key: value for key, value in obj["metadata"].items() if key not in SERVER_OWNED}
    return {**{key: value for key, value in obj.items() if key != "status"}, "metadata": meta}


def three_way(original: Obj, modified: Obj, current: Obj) -> Obj:
    """kubectl's merge patch: what the new manifest adds or changes, and nulls for what the old one had besides."""
    patch: Obj = {}
    for key in original.keys() - modified.keys():
        if key in current:
            patch[key] = None
    for key, value in modified.items():
        there, before = current.get(key), original.get(key)
        if isinstance(value, dict) and isinstance(there, dict):
            if inner := three_way(before if isinstance(before, dict) else {}, value, there):
                patch[key] = inner
        elif key not in current or not equal_json(value, there):
            patch[key] = value
    return patch


async def check(api: Api, where: str) -> None:
    """The invariants of one stored object."""
    body = await read(api, where)
    obj: Obj = json.loads(body)
    assert json.loads(json.dumps(obj, allow_nan=False)) == obj
    binary = protobuf.decode_body(await read(api, where, protobuf.CONTENT_TYPE))
    assert bare(pruned(binary)) == bare(pruned(obj))
    assert yaml.safe_load(await read(api, where, "application/yaml")) == obj
    for kind in ("merge-patch+json", "strategic-merge-patch+json"):
        response = await ask(api, "PATCH", where, obj, kind=kind)
        if not any(text in response.body for text in UNMERGEABLE):
            assert parsed(response) == obj, kind
    assert parsed(await ask(api, "PATCH", where, [], kind="json-patch+json")) == obj
    assert parsed(await ask(api, "PUT", where, obj)) == obj
    assert await read(api, where) == body


async def check_apply(api: Api, where: str) -> None:
    """An apply of what is there twice, then kubectl's way to another manifest, twice."""
    config = as_config(json.loads(await read(api, where)))
    options = {"kind": "apply-patch+yaml", "fieldManager": "two", "force": "true"}
    applied = parsed(await ask(api, "PATCH", where, config, **options))
    assert parsed(await ask(api, "PATCH", where, config, **options)) == applied
    labels = {**config["metadata"].get("labels", {}), "a": "b"}
    meta = {**config["metadata"], "labels": labels}
    modified = {**config, "metadata": meta}
    for turn in range(2):
        current = json.loads(await read(api, where))
        patch = three_way(config, modified, current)
        assert bool(patch) == (turn == 0) or current["metadata"].get("labels") == labels
        after = parsed(await ask(api, "PATCH", where, patch, kind="merge-patch+json"))
        assert turn == 0 or after == current


async def check_unknown_field(api: Api, where: str) -> None:
    before = await read(api, where)
    wrong = {"spec": {"nosuchField": 1}, "nosuchField": {"a": 1}}
    strict = parsed(await ask(api, "PATCH", where, wrong, kind="merge-patch+json", fieldValidation="Strict"), 422)
    assert 'unknown field "nosuchField"' in strict["message"]
    warned = await ask(api, "PATCH", where, wrong, kind="merge-patch+json", dryRun="All")
    assert 'unknown field "nosuchField"' in warned.warnings and b"nosuchField" not in warned.body
    silent = await ask(api, "PATCH", where, wrong, kind="merge-patch+json", dryRun="All", fieldValidation="Ignore")
    assert silent.warnings == () or "nosuchField" not in " ".join(silent.warnings)
    assert await read(api, where) == before


def changes(message: Message, seed: int) -> Iterator[Obj]:
    rng = random.Random(seed)
    for _ in range(3):
        yield change_of(message, rng)


@pytest.mark.parametrize("name", sorted(RECORDED))
@settings(max_examples=3, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(seed=st.integers(0, 2**32))
async def test_invariants(name: str, seed: int) -> None:
    api = await new_api()
    row = next(row for row in api.core.registry.rows if row.gvr.kind == RECORDED[name]["kind"])
    message = schema.message(row.gvr.api_version, row.gvr.kind)
    assert message is not None
    where = await create(api, row, RECORDED[name]["base"])
    await check(api, where)
    await check_unknown_field(api, where)
    for change in changes(message, seed):
        for target in (where, f"{where}/status") if "status" in row.subresources else (where,):
            before = await read(api, where)
            response = await ask(api, "PATCH", target, change, kind="merge-patch+json")
            assert response.status < 500, (change, response.body)
            if response.status == 200:
                await check(api, where)
            else:
                assert json.loads(response.body)["kind"] == "Status"
                assert await read(api, where) == before
    await check_apply(api, where)
