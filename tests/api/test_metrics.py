"""/metrics of the API server."""

from __future__ import annotations

from seamark.api.app import Api
from seamark.client.client import Client
from seamark.machinery.gvr import CONFIGMAPS
from seamark.machinery.wire import ADMIN_GROUP, ANONYMOUS, UNAUTHENTICATED, Identity, Request

ADMIN = Identity("admin", (ADMIN_GROUP,))
NOBODY = Identity(ANONYMOUS, (UNAUTHENTICATED,))


async def _ask(api: Api, who: Identity, method: str = "GET") -> tuple[int, list[str]]:
    answer = await api.handle(Request(method, "/metrics", identity=who))
    assert isinstance(answer.body, bytes)
    return answer.status, answer.body.decode().splitlines()


async def test_objects_are_counted_by_resource(api: Api, client: Client) -> None:
    for name in ("a", "b"):
        await client.create(CONFIGMAPS, {"metadata": {"name": name, "namespace": "default"}})
    status, lines = await _ask(api, ADMIN)
    assert status == 200
    assert 'apiserver_resource_objects{group="",resource="configmaps"} 2.0' in lines
    assert 'apiserver_resource_objects{group="apps",resource="deployments"} 0.0' in lines
    assert any(line.startswith("kubernetes_build_info{") and 'git_version="v1.' in line for line in lines)
    assert any(line.startswith("process_resident_memory_bytes ") for line in lines)


async def test_who_may_ask(api: Api) -> None:
    assert (await _ask(api, NOBODY))[0] == 403
    assert (await _ask(api, Identity("m", ("system:monitoring",))))[0] == 200
    assert (await _ask(api, ADMIN, "POST"))[0] == 405
