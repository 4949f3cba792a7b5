"""What kube-apiserver 1.36.3 answers, replayed: accepts, bodies good and bad, list options, paths, anonymous requests.

``wire_recorded.json`` has a case a line: the request, and of its answer the status, the media type, the warnings and,
of a Status, message, reason and the members of its details (null = no details). In the namespace wire there are the
ConfigMaps a (``data: {k: v}``) and p0 to p6 (label x: 0 or 1), and the Service s (port 80).
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest

from seamark.api.app import Api
from seamark.machinery.wire import Identity, Request, Response

Obj = dict[str, Any]
ADMIN = Identity("admin", ("system:masters", "system:authenticated"))
CASES: list[Obj] = json.loads((Path(__file__).parent / "wire_recorded.json").read_text())


async def send(api: Api, case: Obj) -> Response:
    path, _, query = case["path"].partition("?")
    pairs = tuple(parse_qsl(query, keep_blank_values=True))
    who = None if case.get("anonymous") else ADMIN
    body = base64.b64decode(case.get("body", ""))
    return await api.handle(Request(case["method"], path, pairs, case.get("headers", {}), body, who, query))


@pytest.fixture
async def wired(api: Api) -> Api:
    async def make(path: str, body: Obj) -> None:
        made = await api.handle(Request("POST", path, (), {}, json.dumps(body).encode(), ADMIN))
        assert made.status == 201, made.body

    await make("/api/v1/namespaces", {"metadata": {"name": "wire"}})
    await make("/api/v1/namespaces/wire/configmaps", {"metadata": {"name": "a"}, "data": {"k": "v"}})
    for number in range(7):
        labels = {"x": str(number % 2)}
        await make("/api/v1/namespaces/wire/configmaps", {"metadata": {"name": f"p{number}", "labels": labels}})
    await make("/api/v1/namespaces/wire/services", {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}]}})
    return api


def told(method: str, response: Response) -> Obj:
    found: Obj = {"status": response.status}
    if response.warnings:
        found["warnings"] = list(response.warnings)
    if method == "HEAD" or (not response.body and response.stream is None):
        return found
    found["contentType"] = response.headers["content-type"]
    if found["contentType"].startswith("application/json") and response.body:
        status = json.loads(response.body)
        if status.get("kind") == "Status":
            found["message"], found["reason"] = status.get("message", ""), status.get("reason", "")
            found["details"] = sorted(status["details"]) if "details" in status else None
    return found


@pytest.mark.parametrize("method", sorted({case["method"] for case in CASES}))
async def test_as_the_real_one(wired: Api, method: str) -> None:
    different = []
    for case in (case for case in CASES if case["method"] == method):
        found = told(method, await send(wired, case))
        if found != case["answer"]:
            different.append((case, found))
    assert different == []
