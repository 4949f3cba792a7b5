"""Random writes by several managers: nobody owns what is not there, and what was applied is there."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from seamark.api.app import Api
from seamark.client.client import Client
from seamark.client.inprocess import InProcessTransport
from seamark.machinery.apply.extract import extract_fields
from seamark.machinery.apply.items import as_written
from seamark.machinery.apply.shape import shape_of_kind
from seamark.machinery.fieldset import difference, has, paths_of
from seamark.machinery.gvr import NAMESPACES
from seamark.machinery.wire import Identity, Request, Response
from seamark.resources.table import build_registry
from seamark.store.memory import MemoryStore
from seamark.testing.clock import FakeClock

ADMIN = Identity("admin", ("system:masters",))
PATH = "/api/v1/namespaces/default/services/s"
Obj = dict[str, Any]
# It goes with the last external address, after it was written down whose it is: in kube-apiserver as well.
DROPPED = ("f:spec", "f:externalTrafficPolicy")

LABELS = st.dictionaries(st.sampled_from("abc"), st.sampled_from("12"), min_size=1, max_size=3)
PORTS = st.lists(
    st.tuples(st.sampled_from([80, 81, 82]), st.sampled_from(["TCP", "UDP"]), st.sampled_from([1, 2])),
    min_size=1,
    max_size=3,
    unique_by=lambda port: port[:2],
)
SPECS = st.fixed_dictionaries(
    {"ports": PORTS},
    optional={
        "selector": LABELS,
        "externalIPs": st.sampled_from([["1.1.1.1"], ["1.1.1.1", "1.1.1.2"]]),
        "publishNotReadyAddresses": st.booleans(),
    },
)
CONFIGS = st.fixed_dictionaries({"spec": SPECS}, optional={"labels": LABELS, "annotations": LABELS})
WRITES = st.lists(
    st.tuples(st.sampled_from(["apply", "force", "put", "merge", "same"]), st.sampled_from("mno"), CONFIGS),
    min_size=1,
    max_size=6,
)


def service(config: Obj) -> Obj:
    meta = {key: config[key] for key in ("labels", "annotations") if key in config}
    spec = dict(config["spec"])
    spec["ports"] = [
        {"name": f"{protocol.lower()}{port}", "port": port, "protocol": protocol, "targetPort": target}
        for port, protocol, target in spec["ports"]
    ]
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", **meta}, "spec": spec}


async def ask(api: Api, method: str, kind: str, body: Any, **query: str) -> Response:
    path = PATH.removesuffix("/s") if method == "POST" else PATH
    headers = {"content-type": kind, "accept": "application/json"}
    raw = json.dumps(body).encode() if body is not None else b""
    return await api.handle(Request(method, path, tuple(query.items()), headers, raw, ADMIN))


async def write(api: Api, how: str, manager: str, config: Obj) -> None:
    body = service(config)
    if how in ("apply", "force"):
        query = {"fieldManager": manager, "force": str(how == "force").lower()}
        answer = await ask(api, "PATCH", "application/apply-patch+yaml", body, **query)
        if answer.status == 409 and how == "apply":
            return
        assert answer.status in (200, 201), answer.body
        applied = json.loads(answer.body)
        check_applied(applied, body, manager)
        again = await ask(api, "PATCH", "application/apply-patch+yaml", body, fieldManager=manager)
        assert json.loads(again.body) == applied
        return
    found = await ask(api, "GET", "", None)
    if found.status == 404:
        answer = await ask(api, "POST", "application/json", body, fieldManager=manager)
    elif how == "same":
        answer = await ask(api, "PUT", "application/json", json.loads(found.body), fieldManager=manager)
        assert answer.body == found.body
    elif how == "put":
        answer = await ask(api, "PUT", "application/json", body, fieldManager=manager)
    else:
        answer = await ask(api, "PATCH", "application/merge-patch+json", body, fieldManager=manager)
    assert answer.status in (200, 201), answer.body


def check_applied(obj: Obj, config: Obj, manager: str) -> None:
    """Everything that was applied is there and belongs to the manager."""
    shape = shape_of_kind("v1", "Service")
    (entry,) = [e for e in entries(obj) if (e["manager"], e["operation"]) == (manager, "Apply")]
    for path in paths_of(extract_fields({"metadata": config["metadata"], "spec": config["spec"]}, shape)):
        assert path == ("f:metadata", "f:name") or has(entry["fieldsV1"], path)
    for name, value in config["spec"].items():
        if name != "ports":
            assert obj["spec"].get(name, False) == value
    ports = {(port["port"], port["protocol"]): port["targetPort"] for port in obj["spec"]["ports"]}
    for port in config["spec"]["ports"]:
        assert ports[(port["port"], port["protocol"])] == port["targetPort"]


def entries(obj: Obj) -> list[Obj]:
    return list(obj["metadata"].get("managedFields", []))


def check_owners(obj: Obj) -> None:
    """Nobody owns what is not there; two that updated never own the same field."""
    shape = shape_of_kind("v1", "Service")
    there = extract_fields(as_written(obj, shape), shape)
    updated: dict[str, Obj] = {}
    for entry in entries(obj):
        for path in paths_of(difference(entry["fieldsV1"], there)):
            assert path == DROPPED or starts(there, path), f"{entry['manager']} owns {path}, which is not there"
        if entry["operation"] == "Update":
            updated[entry["manager"]] = entry["fieldsV1"]
    for left in updated:
        for right in updated:
            if left < right:
                assert not set(paths_of(updated[left])) & set(paths_of(updated[right]))


def starts(fields: Obj, path: tuple[str, ...]) -> bool:
    """Whether something below ``path`` is in the set: a whole list or map that was new is owned itself."""
    node = fields
    for element in path:
        if element not in node:
            return path[-1] == "f:publishNotReadyAddresses"  # false is applied and owned, but not written
        node = node[element]
    return True


async def run(writes: list[tuple[str, str, Obj]]) -> None:
    clock = FakeClock()
    store = MemoryStore(now=clock.time)
    api = Api(store=store, registry=build_registry(), clock=clock)
    await Client(InProcessTransport(api.handle), identity=ADMIN).create(NAMESPACES, {"metadata": {"name": "default"}})
    for how, manager, config in writes:
        await write(api, how, manager, config)
        await clock.advance(1)
        found = await ask(api, "GET", "", None)
        if found.status == 200:
            check_owners(json.loads(found.body))
    await store.close()


@settings(max_examples=40, deadline=None)
@given(WRITES)
def test_random_writes(writes: list[tuple[str, str, Obj]]) -> None:
    asyncio.run(run(writes))
