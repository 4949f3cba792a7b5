"""Definitions and custom objects against what kube-apiserver 1.36.3 answered to the same requests, word for word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from seamark.api.app import Api
from seamark.client.client import Client
from seamark.controllers.customresourcedefinition.plan import plan_status
from seamark.machinery.gvr import CUSTOMRESOURCEDEFINITIONS
from seamark.machinery.wire import ADMIN_GROUP, Identity, Request, Response

Obj = dict[str, Any]
RECORDED = json.loads((Path(__file__).parent / "recorded_customs.json").read_text())["requests"]
ADMIN = Identity("admin", (ADMIN_GROUP,))
NOW = "2026-01-01T00:00:00Z"
UNLIKE = ("uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "lastTransitionTime", "managedFields")


async def ask(api: Api, case: Obj) -> Response:
    where = urlsplit(case["path"])
    body = case.get("body", b"")
    body = body.encode() if isinstance(body, str) else msgspec.json.encode(body) if body != b"" else b""
    headers = {"accept": case.get("accept", "application/json"), "user-agent": "test/1"}
    headers |= {"content-type": case.get("type", "application/json")} if body else {}
    query = tuple(parse_qsl(where.query))
    return await api.handle(Request(case["method"], where.path, query, headers, body, ADMIN))


async def settle(api: Api, client: Client) -> None:
    """What the controller does, at once; of a definition that goes no object is left here."""
    definitions = await client.list(CUSTOMRESOURCEDEFINITIONS)
    for crd in definitions:
        status = plan_status(crd, [other for other in definitions if other is not crd], NOW)
        crd |= {"apiVersion": CUSTOMRESOURCEDEFINITIONS.api_version, "kind": CUSTOMRESOURCEDEFINITIONS.kind}
        if "deletionTimestamp" in crd["metadata"]:
            await client.update(CUSTOMRESOURCEDEFINITIONS, {**crd, "metadata": crd["metadata"] | {"finalizers": []}})
        elif status != crd["status"]:
            await client.update(CUSTOMRESOURCEDEFINITIONS, {**crd, "status": status}, subresource="status")


def comparable(value: Any) -> Any:
    """``value`` without what two servers cannot have alike: of several causes, Kubernetes shuffles the order."""
    if isinstance(value, dict):
        if len(value.get("details", {}).get("causes", ())) > 1:
            causes = sorted(value["details"]["causes"], key=lambda cause: str(cause["field"]))
            value = value | {"details": value["details"] | {"causes": causes}, "message": ""}
        return {k: comparable(v) for k, v in value.items() if k not in UNLIKE and v is not None}
    return [comparable(one) for one in value] if isinstance(value, list) else value


async def test_answers_are_those_of_kubernetes(api: Api, client: Client) -> None:
    unlike: list[str] = []
    for number, case in enumerate(RECORDED):
        response = await ask(api, case)
        found: Any = response.body.decode()
        if response.headers["content-type"] == "application/json":
            found = comparable(json.loads(found))
        same = (response.status, sorted(response.warnings)) == (case["code"], sorted(case.get("warnings", ())))
        if not same or found != comparable(case["answer"]):
            unlike.append(
                f"{number} {case['method']} {case['path']}:\n  {case['answer']}\n  {found} {response.warnings}"
            )
        if "/customresourcedefinitions" in case["path"] and response.status < 300:
            await settle(api, client)
    assert not unlike, "\n".join(unlike)
