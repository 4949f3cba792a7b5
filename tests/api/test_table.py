"""Tables and partial objects: what kubectl get asks for."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from seamark.api.app import Api
from seamark.client.client import Client
from seamark.machinery import protobuf
from seamark.machinery.gvr import CONFIGMAPS
from seamark.machinery.wire import Identity, Request, Response
from seamark.testing.clock import FakeClock

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
BOTH = f"{TABLE},application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
PATH = "/api/v1/namespaces/default/configmaps"


@pytest.fixture(autouse=True)
async def two(client: Client) -> None:
    for name in ("a", "b"):
        await client.create(CONFIGMAPS, {"metadata": {"name": name, "namespace": "default"}, "data": {"k": "v"}})


async def ask(api: Api, path: str, accept: str, **query: str) -> Response:
    return await api.handle(
        Request("GET", path, tuple(query.items()), {"accept": accept}, b"", Identity("jane", ("system:masters",)))
    )


def parsed(data: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(data)
    return found


async def test_a_list(api: Api, clock: FakeClock) -> None:
    await clock.advance(190)
    table = parsed((await ask(api, PATH, BOTH)).body)
    assert (table["kind"], table["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    assert [c["name"] for c in table["columnDefinitions"]] == ["Name", "Data", "Age"]
    assert [row["cells"] for row in table["rows"]] == [["a", 1, "3m10s"], ["b", 1, "3m10s"]]
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    assert table["metadata"]["resourceVersion"]


async def test_an_object_an_empty_list_and_a_page(api: Api) -> None:
    one = parsed((await ask(api, f"{PATH}/a", BOTH)).body)
    assert [row["cells"][0] for row in one["rows"]] == ["a"]
    empty = parsed((await ask(api, PATH, BOTH, labelSelector="x=y")).body)
    assert empty["rows"] == [] and len(empty["columnDefinitions"]) == 3
    page = parsed((await ask(api, PATH, BOTH, limit="1")).body)
    assert page["metadata"]["continue"] and page["metadata"]["remainingItemCount"] == 1


@pytest.mark.parametrize(
    ("include", "kind"), [("Object", "ConfigMap"), ("Metadata", "PartialObjectMetadata"), ("None", None)]
)
async def test_include_object(api: Api, include: str, kind: str | None) -> None:
    table = parsed((await ask(api, PATH, BOTH, includeObject=include)).body)
    shown = table["rows"][0]["object"]
    assert (shown and shown["kind"]) == kind


async def test_versions_and_refusals(api: Api) -> None:
    beta = "application/json;as=Table;v=v1beta1;g=meta.k8s.io"
    assert parsed((await ask(api, PATH, beta)).body)["apiVersion"] == "meta.k8s.io/v1beta1"
    unknown = "application/json;as=Table;v=v9;g=meta.k8s.io"
    assert (await ask(api, PATH, unknown)).status == 406
    assert parsed((await ask(api, PATH, f"{unknown},application/json")).body)["kind"] == "ConfigMapList"
    assert (await ask(api, PATH, BOTH, includeObject="Some")).status == 400
    missing = await ask(api, f"{PATH}/nosuch", BOTH)
    assert missing.status == 404 and parsed(missing.body)["kind"] == "Status"


async def test_a_watch_sends_its_columns_once(api: Api) -> None:
    response = await ask(api, PATH, BOTH, watch="true")
    assert response.stream is not None
    async with asyncio.timeout(5):
        chunk = await anext(aiter(response.stream))
    await response.stream.aclose()  # type: ignore[attr-defined]
    first, second = (json.loads(line)["object"] for line in chunk.splitlines())
    assert len(first["columnDefinitions"]) == 3 and second["columnDefinitions"] is None
    assert [t["rows"][0]["cells"][0] for t in (first, second)] == ["a", "b"]


async def test_partial_metadata(api: Api) -> None:
    partial = "application/json;as={};g=meta.k8s.io;v=v1"
    one = parsed((await ask(api, f"{PATH}/a", partial.format("PartialObjectMetadata"))).body)
    assert one["kind"] == "PartialObjectMetadata" and "data" not in one
    protobuf_first = f"application/vnd.kubernetes.protobuf;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,{partial}"
    for accept in (protobuf_first, partial):
        response = await ask(api, PATH, accept.format("PartialObjectMetadataList"))
        is_json = response.headers["content-type"] == "application/json"
        many = parsed(response.body) if is_json else protobuf.decode_body(response.body)
        assert is_json == (accept == partial)
        assert many["kind"] == "PartialObjectMetadataList" and len(many["items"]) == 2


async def test_protobuf_for_those_who_take_nothing_else(api: Api, client: Client) -> None:
    only = "application/vnd.kubernetes.protobuf"
    response = await ask(api, f"{PATH}/a", only)
    assert response.headers["content-type"] == only
    assert protobuf.decode_body(response.body)["data"] == {"k": "v"}
    listed = protobuf.decode_body((await ask(api, PATH, only)).body)
    assert (listed["kind"], [i["metadata"]["name"] for i in listed["items"]]) == ("ConfigMapList", ["a", "b"])
    assert protobuf.decode_body((await ask(api, f"{PATH}/x", only)).body)["reason"] == "NotFound"
    assert (await ask(api, f"{PATH}/a", f"{only},application/json")).headers["content-type"] == only
    assert (await ask(api, f"{PATH}/a", f"application/json,{only}")).headers["content-type"] == "application/json"
    body = protobuf.encode_body(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "p"}, "data": {"x": "y"}}
    )
    made = await api.handle(
        Request("POST", PATH, (), {"content-type": only}, body, Identity("jane", ("system:masters",)))
    )
    assert (made.status, parsed(made.body)["data"]) == (201, {"x": "y"})
    for wrong in (b"k8s\0\xff", b"{}", body[:20]):
        refused = await api.handle(
            Request("POST", PATH, (), {"content-type": only}, wrong, Identity("jane", ("system:masters",)))
        )
        assert refused.status == 400, refused.body


async def test_yaml(api: Api) -> None:
    response = await ask(api, f"{PATH}/a", "application/yaml")
    assert response.headers["content-type"] == "application/yaml"
    assert response.body.startswith(b"apiVersion: v1\n")
    body = b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: dated\ndata:\n  day: '2024-01-01'\n"
    headers = {"content-type": "application/yaml"}
    made = await api.handle(Request("POST", PATH, (), headers, body, Identity("jane", ("system:masters",))))
    assert (made.status, parsed(made.body)["data"]) == (201, {"day": "2024-01-01"})
    bad = await api.handle(Request("POST", PATH, (), headers, b"a: [", Identity("jane", ("system:masters",))))
    assert bad.status == 400
