"""What the audit log tells of requests: events as kube-apiserver 1.36 writes them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from seamark.api.app import Api
from seamark.api.audit.auditor import Audit
from seamark.api.audit.policy import parse_policy
from seamark.api.authn import unauthorized
from seamark.api.respond import close_stream
from seamark.client.client import Client
from seamark.client.inprocess import InProcessTransport
from seamark.machinery.gvr import NAMESPACES
from seamark.machinery.wire import ADMIN_GROUP, Identity, Request, Response
from seamark.resources.table import build_registry
from seamark.store.memory import MemoryStore
from seamark.testing.clock import FakeClock

Obj = dict[str, Any]
ADMIN = Identity("jane", (ADMIN_GROUP, "system:authenticated"), "u1")
BOB = Identity("bob", ("system:authenticated",))
MAPS = "/api/v1/namespaces/default/configmaps"
RULES: list[Obj] = [
    {"level": "None", "users": ["silent"]},
    {"level": "Metadata", "omitStages": ["RequestReceived"], "resources": [{"resources": ["secrets"]}]},
    {"level": "Request", "resources": [{"resources": ["services"]}]},
    {"level": "RequestResponse", "omitManagedFields": True, "resources": [{"resources": ["configmaps"]}]},
    {"level": "Metadata"},
]


class Told:
    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def take(self) -> list[Obj]:
        events = [json.loads(line) for line in self.lines]
        assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in self.lines)
        self.lines.clear()
        return events


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
async def audited(clock: FakeClock, told: Told) -> AsyncIterator[Api]:
    store = MemoryStore(now=clock.time)
    policy = parse_policy({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": RULES})
    api = Api(store=store, registry=build_registry(), clock=clock, audit=Audit(policy, told.lines.append))
    await api.start()
    await Client(InProcessTransport(api.handle), identity=ADMIN).create(NAMESPACES, {"metadata": {"name": "default"}})
    told.lines.clear()
    yield api
    await store.close()


async def ask(api: Api, method: str, path: str, body: Obj | None = None, *, who: Identity | None = ADMIN) -> Response:
    headers = {"user-agent": "kubectl/v1.36", "audit-id": "given"}
    raw = json.dumps(body).encode() if body is not None else b""
    path, _, query = path.partition("?")
    pairs = tuple((k, v) for k, _, v in (one.partition("=") for one in query.split("&") if one))
    return await api.handle(Request(method, path, pairs, headers, raw, who, query, "127.0.0.1"))


async def test_the_stages_of_a_write(audited: Api, told: Told) -> None:
    response = await ask(audited, "POST", f"{MAPS}?fieldManager=x", {"metadata": {"name": "a"}, "data": {"k": "v"}})
    received, complete = told.take()
    assert response.headers["audit-id"] == "given"
    common = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "RequestResponse",
        "auditID": "given",
        "requestURI": f"{MAPS}?fieldManager=x",
        "verb": "create",
        "user": {"username": "jane", "uid": "u1", "groups": [ADMIN_GROUP, "system:authenticated"]},
        "sourceIPs": ["127.0.0.1"],
        "userAgent": "kubectl/v1.36",
        "requestReceivedTimestamp": "2023-11-14T22:13:20.000000Z",
        "stageTimestamp": "2023-11-14T22:13:20.000000Z",
    }
    where = {"resource": "configmaps", "namespace": "default", "apiVersion": "v1"}
    assert received == {**common, "stage": "RequestReceived", "objectRef": where}
    answered = complete.pop("responseObject")
    assert answered["data"] == {"k": "v"} and "managedFields" not in answered["metadata"]
    assert complete == {
        **common,
        "stage": "ResponseComplete",
        "objectRef": {**where, "name": "a"},
        "responseStatus": {"metadata": {}, "code": 201},
        "requestObject": {"metadata": {"name": "a"}, "data": {"k": "v"}},
        "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""},
    }


async def test_levels(audited: Api, told: Told) -> None:
    secret = {"metadata": {"name": "s"}, "data": {"k": "aGk="}}
    await ask(audited, "POST", "/api/v1/namespaces/default/secrets", secret)
    (event,) = told.take()  # RequestReceived is omitted
    assert "requestObject" not in event and "responseObject" not in event and b"aGk=" not in json.dumps(event).encode()
    service = {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}}
    await ask(audited, "POST", "/api/v1/namespaces/default/services", service)
    event = told.take()[1]
    assert event["requestObject"] == service and "responseObject" not in event
    await ask(audited, "GET", MAPS, who=Identity("silent", (ADMIN_GROUP,)))
    assert told.take() == []


async def test_a_generated_name_is_told(audited: Api, told: Told) -> None:
    made = json.loads((await ask(audited, "POST", MAPS, {"metadata": {"generateName": "a-"}})).body)
    assert told.take()[1]["objectRef"]["name"] == made["metadata"]["name"]


async def test_refusals(audited: Api, told: Told) -> None:
    await ask(audited, "GET", f"{MAPS}/nosuch", who=BOB)
    event = told.take()[1]
    assert event["annotations"]["authorization.k8s.io/decision"] == "forbid"
    assert event["responseStatus"]["reason"] == "Forbidden" and event["responseStatus"]["code"] == 403
    assert event["responseObject"]["kind"] == "Status"
    await ask(audited, "GET", f"{MAPS}/nosuch")
    assert told.take()[1]["responseStatus"] == {
        "metadata": {},
        "status": "Failure",
        "message": 'configmaps "nosuch" not found',
        "reason": "NotFound",
        "details": {"name": "nosuch", "kind": "configmaps"},
        "code": 404,
    }
    assert (await audited.refuse(Request("GET", MAPS), unauthorized())).status == 401
    event = told.take()[1]
    assert (event["user"], event["responseStatus"]["code"]) == ({}, 401) and "annotations" not in event


async def test_what_is_no_resource(audited: Api, told: Told) -> None:
    await ask(audited, "GET", "/healthz?verbose", who=None)
    event = told.take()[1]
    assert (event["requestURI"], event["verb"], "objectRef" in event) == ("/healthz?verbose", "get", False)
    assert event["user"]["username"] == "system:anonymous"


async def test_a_watch_begins_and_ends(audited: Api, told: Told) -> None:
    await ask(audited, "POST", MAPS, {"metadata": {"name": "a"}})
    told.lines.clear()
    response = await ask(audited, "GET", f"{MAPS}?watch=true")
    assert [event["stage"] for event in told.take()] == ["RequestReceived", "ResponseStarted"]
    assert response.stream is not None
    assert b'"ADDED"' in await anext(response.stream)
    await close_stream(response.stream)
    (event,) = told.take()
    assert (event["stage"], event["verb"], event["responseStatus"]["code"]) == ("ResponseComplete", "watch", 200)


async def test_whom_one_acts_as(audited: Api, told: Told) -> None:
    headers = {"impersonate-user": "bob", "impersonate-group": "devs\nops"}
    await audited.handle(Request("GET", MAPS, (), headers, identity=ADMIN))
    event = told.take()[1]
    assert event["user"]["username"] == "jane"
    assert event["impersonatedUser"] == {"username": "bob", "groups": ["devs", "ops"]}


async def test_a_fault_is_a_panic(audited: Api, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(**_: Any) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr(audited.core.store, "get", broken)
    assert (await ask(audited, "GET", f"{MAPS}/a")).status == 500
    assert [event["stage"] for event in told.take()] == ["RequestReceived", "Panic"]


async def test_a_medium_that_refuses_costs_the_line_alone(
    audited: Api, told: Told, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(audited, "_auditor", None)
    plain = await ask(audited, "GET", MAPS)
    monkeypatch.undo()
    auditor: Any = audited._auditor
    monkeypatch.setattr(auditor, "_audit", Audit(auditor._audit.policy, full))
    assert (await ask(audited, "GET", MAPS)).body == plain.body
    assert "audit event lost auditID=given stage=ResponseComplete" in caplog.text
