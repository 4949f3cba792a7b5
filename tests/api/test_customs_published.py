"""Custom kinds as the rest of the server shows them: documents, versions, protobuf, what is refused, what is stored."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from seamark.api.app import Api
from seamark.client.client import Client
from seamark.controllers.customresourcedefinition.plan import plan_status
from seamark.machinery.gvr import CUSTOMRESOURCEDEFINITIONS, GVR
from seamark.machinery.status import StatusError
from seamark.testing.asking import ask

Obj = dict[str, Any]
CARS = GVR("example.com", "v1", "cars", "Car")
V2 = GVR("example.com", "v2", "cars", "Car")
PROTOBUF = "application/vnd.kubernetes.protobuf"
GNOSTIC = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
PLAIN: Obj = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"a": {"type": "string"}}}}}


def definition(*, schema: Obj = PLAIN, versions: tuple[str, ...] = ("v1",), stored: str = "v1", **spec: Any) -> Obj:
    return {
        "metadata": {"name": "cars.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "cars", "kind": "Car"},
            "versions": [
                {"name": one, "served": True, "storage": one == stored, "schema": {"openAPIV3Schema": schema}}
                for one in versions
            ],
            **spec,
        },
    }


async def define(client: Client, crd: Obj) -> Obj:
    made = await client.create(CUSTOMRESOURCEDEFINITIONS, crd)
    status = plan_status(made, (), "2026-01-01T00:00:00Z")
    return await client.update(CUSTOMRESOURCEDEFINITIONS, {**made, "status": status}, subresource="status")


async def change(client: Client, patch: Obj) -> None:
    await client.patch(CUSTOMRESOURCEDEFINITIONS, "cars.example.com", patch)


def car(gvr: GVR = CARS, name: str = "one", **spec: Any) -> Obj:
    return {
        "apiVersion": gvr.api_version,
        "kind": "Car",
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    }


async def test_documents_follow(api: Api, client: Client) -> None:
    before = {accept: (await ask(api, "GET", "/openapi/v2", accept=accept)).body for accept in ("*/*", GNOSTIC)}
    await define(client, definition())
    document = json.loads((await ask(api, "GET", "/openapi/v2")).body)
    assert "/apis/example.com/v1/namespaces/{namespace}/cars" in document["paths"]
    assert document["definitions"]["com.example.v1.Car"]["properties"]["spec"] == PLAIN["properties"]["spec"]
    assert b"com.example.v1.Car" in (await ask(api, "GET", "/openapi/v2", accept=GNOSTIC)).body
    third = json.loads((await ask(api, "GET", "/openapi/v3/apis/example.com/v1")).body)
    assert "com.example.v1.Car" in third["components"]["schemas"]
    index = json.loads((await ask(api, "GET", "/openapi/v3")).body)
    assert "apis/example.com/v1" in index["paths"]

    await change(client, {"spec": {"names": {"shortNames": ["c"]}}, "metadata": {"finalizers": None}})
    await client.delete(CUSTOMRESOURCEDEFINITIONS, "cars.example.com")
    await change(client, {"metadata": {"finalizers": None}})
    for accept, body in before.items():
        assert (await ask(api, "GET", "/openapi/v2", accept=accept)).body == body
    assert (await ask(api, "GET", "/openapi/v3/apis/example.com/v1")).status == 404


@pytest.mark.parametrize(
    ("changed", "field", "words"),
    [
        (
            {"schema": {**PLAIN, "x-kubernetes-validations": [{"rule": "true"}]}},
            "spec.validation.openAPIV3Schema.x-kubernetes-validations",
            "rules in CEL are not evaluated by this server",
        ),
        (
            {"conversion": {"strategy": "Webhook", "webhook": {"conversionReviewVersions": ["v1"]}}},
            "spec.conversion.strategy",
            "conversion webhooks are not called by this server",
        ),
    ],
)
async def test_what_would_not_be_kept_is_refused(client: Client, changed: Obj, field: str, words: str) -> None:
    with pytest.raises(StatusError) as caught:
        await client.create(CUSTOMRESOURCEDEFINITIONS, definition(**changed))
    assert caught.value.code == 422
    (cause,) = caught.value.details["causes"]
    assert cause["field"] == field
    assert cause["message"].startswith(f"Forbidden: {words}")


async def test_no_protobuf(api: Api, client: Client) -> None:
    await define(client, definition())
    path = "/apis/example.com/v1/namespaces/default/cars"
    assert (await ask(api, "GET", path, accept=PROTOBUF)).status == 406
    assert (await ask(api, "GET", path, accept=f"{PROTOBUF},application/json")).status == 200
    sent = await ask(api, "POST", path, b"k8s\x00", content_type=PROTOBUF)
    assert sent.status == 415


async def test_versions_are_one_object(api: Api, client: Client) -> None:
    await define(client, definition(versions=("v1", "v2")))
    await client.create(CARS, car(a="x"))
    other = await client.get(V2, "one", namespace="default")
    assert (other["apiVersion"], other["spec"]) == ("example.com/v2", {"a": "x"})
    await change(client, {"spec": definition(versions=("v1", "v2"), stored="v2")["spec"]})
    crd = await client.get(CUSTOMRESOURCEDEFINITIONS, "cars.example.com")
    assert crd["status"]["storedVersions"] == ["v1", "v2"]
    assert (await client.get(CARS, "one", namespace="default"))["apiVersion"] == "example.com/v1"
    changed = await client.patch(V2, "one", {"spec": {"a": "y"}}, namespace="default")
    assert (changed["apiVersion"], changed["metadata"]["generation"]) == ("example.com/v2", 2)
    assert [one["spec"] for one in await client.list(CARS, namespace="default")] == [{"a": "y"}]
    first, second = definition(versions=("v1", "v2"), stored="v2")["spec"]["versions"]
    await change(client, {"spec": {"versions": [first | {"served": False}, second]}})
    assert (await ask(api, "GET", "/apis/example.com/v1/namespaces/default/cars/one")).status == 404


async def test_a_later_default_shows_in_what_was_stored_before(client: Client) -> None:
    await define(client, definition())
    await client.create(CARS, car(a="x"))
    fields = {"a": {"type": "string"}, "b": {"type": "integer", "default": 7}}
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": fields}}}
    await change(client, {"spec": definition(schema=schema)["spec"]})
    read = await client.get(CARS, "one", namespace="default")
    assert read["spec"] == {"a": "x", "b": 7}
    assert read["metadata"]["generation"] == 1
    del fields["a"]
    await change(client, {"spec": definition(schema=schema)["spec"]})
    assert (await client.get(CARS, "one", namespace="default"))["spec"] == {"b": 7}, "pruned when read"


async def test_reading_hands_out_the_stored_bytes(api: Api, client: Client) -> None:
    await define(client, definition())
    await client.create(CARS, car(a="x"))
    one = (await ask(api, "GET", "/apis/example.com/v1/namespaces/default/cars/one")).body
    listed = (await ask(api, "GET", "/apis/example.com/v1/cars")).body
    assert one.strip() in listed
    assert msgspec.json.decode(listed)["kind"] == "CarList"
