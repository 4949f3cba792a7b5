"""Custom kinds from the definition's creation to its end, through all controllers and the real API in memory."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec

from seamark.machinery.definitions import is_true
from seamark.machinery.gvr import CONFIGMAPS, CUSTOMRESOURCEDEFINITIONS, GVR, NAMESPACES, RESOURCEQUOTAS
from seamark.machinery.status import StatusError

Obj = dict[str, Any]

WIDGETS = GVR("shop.example.com", "v1", "widgets", "Widget")
BOXES = GVR("shop.example.com", "v1", "boxes", "Box", namespaced=False)


def definition(gvr: GVR, **changed: Any) -> Obj:
    schema = {
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer", "default": 1}}}},
    }
    version = {"name": gvr.version, "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "metadata": {"name": f"{gvr.resource}.{gvr.group}"},
        "spec": {
            "group": gvr.group,
            "scope": "Namespaced" if gvr.namespaced else "Cluster",
            "names": {"plural": gvr.resource, "kind": gvr.kind},
            "versions": [version],
            **changed,
        },
    }


async def define(cluster: Any, gvr: GVR, **changed: Any) -> Obj:
    made: Obj = await cluster.client.create(CUSTOMRESOURCEDEFINITIONS, definition(gvr, **changed))

    async def established() -> Obj | None:
        crd: Obj = await cluster.client.get(CUSTOMRESOURCEDEFINITIONS, made["metadata"]["name"])
        return crd if is_true(crd, "Established") else None

    found: Obj = await cluster.eventually(established, f"{gvr.resource} is established")
    return found


def widget(name: str, **meta: Any) -> Obj:
    return {
        "apiVersion": WIDGETS.api_version,
        "kind": "Widget",
        "metadata": {"name": name, "namespace": "default", **meta},
        "spec": {},
    }


async def is_gone(client: Any, gvr: GVR, name: str, namespace: str = "") -> bool:
    try:
        await client.get(gvr, name, namespace=namespace)
    except StatusError as error:
        return error.code == 404
    return False


async def test_a_kind_is_served_from_the_next_request_on(cluster: Any) -> None:
    crd = await define(cluster, WIDGETS)
    assert [one["reason"] for one in crd["status"]["conditions"]] == ["NoConflicts", "InitialNamesAccepted"]
    assert crd["status"]["acceptedNames"] == {
        "plural": "widgets",
        "singular": "widget",
        "kind": "Widget",
        "listKind": "WidgetList",
    }
    made = await cluster.client.create(WIDGETS, widget("one"))
    assert made["spec"] == {"size": 1}
    await cluster.client.patch(
        CUSTOMRESOURCEDEFINITIONS,
        "widgets.shop.example.com",
        [
            {
                "op": "add",
                "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/size/maximum",
                "value": 1,
            }
        ],
        type="json",
    )
    try:
        await cluster.client.create(WIDGETS, {**widget("two"), "spec": {"size": 2}})
    except StatusError as error:
        assert "spec.size in body should be less than or equal to 1" in error.message
    else:
        raise AssertionError("the changed schema is not in force")


async def test_a_name_belongs_to_who_had_it_first(cluster: Any) -> None:
    await define(cluster, WIDGETS)
    other = definition(GVR("shop.example.com", "v1", "things", "Widget"))
    await cluster.client.create(CUSTOMRESOURCEDEFINITIONS, other)

    async def conditions() -> dict[str, tuple[str, str]]:
        crd = await cluster.client.get(CUSTOMRESOURCEDEFINITIONS, "things.shop.example.com")
        return {c["type"]: (c["reason"], c["message"]) for c in crd["status"].get("conditions") or []}

    found = await cluster.eventually(conditions)
    assert found == {
        "NamesAccepted": ("ListKindConflict", '"WidgetList" is already in use'),
        "Established": ("NotAccepted", "not all names are accepted"),
    }
    await cluster.client.delete(CUSTOMRESOURCEDEFINITIONS, "widgets.shop.example.com")

    async def accepted() -> bool:
        return (await conditions())["Established"][0] == "InitialNamesAccepted"

    await cluster.eventually(accepted, "the name is free again")


async def test_a_definition_takes_its_objects_along_and_waits_for_their_finalizers(cluster: Any) -> None:
    await define(cluster, WIDGETS)
    await cluster.client.create(WIDGETS, widget("plain"))
    await cluster.client.create(WIDGETS, widget("held", finalizers=["example.com/hold"]))
    events = cluster.client.watch(WIDGETS, query={"resourceVersion": "0"})
    seen: list[str] = []

    async def follow() -> None:
        nonlocal seen
        async for event in events:
            seen += [event.type]

    watching = asyncio.create_task(follow())
    await cluster.eventually(lambda: _true(seen.count("ADDED") == 2))
    await cluster.client.delete(CUSTOMRESOURCEDEFINITIONS, "widgets.shop.example.com")
    await cluster.eventually(lambda: is_gone(cluster.client, WIDGETS, "plain", "default"))
    crd = await cluster.client.get(CUSTOMRESOURCEDEFINITIONS, "widgets.shop.example.com")
    assert is_true(crd, "Terminating")
    try:
        await cluster.client.create(WIDGETS, widget("late"))
    except StatusError as error:
        assert error.code == 403
        assert error.message.endswith("create not allowed while custom resource definition is terminating")
    else:
        raise AssertionError("a kind on its way out takes new objects")
    await cluster.client.patch(WIDGETS, "held", {"metadata": {"finalizers": None}}, namespace="default")
    await cluster.pass_time(2)
    await cluster.eventually(lambda: is_gone(cluster.client, CUSTOMRESOURCEDEFINITIONS, "widgets.shop.example.com"))
    async with asyncio.timeout(5):
        await watching  # it ends, and has told of every object
    assert seen.count("DELETED") == 2
    try:
        await cluster.client.list(WIDGETS)
    except StatusError as error:
        assert error.code == 404
    else:
        raise AssertionError("the kind is still served")


async def _true(holds: bool) -> bool:
    return holds


async def test_garbage_collection_knows_custom_kinds(cluster: Any) -> None:
    await define(cluster, WIDGETS)
    await define(cluster, BOXES)
    box = await cluster.client.create(
        BOXES, {"metadata": {"name": "box"}, "kind": "Box", "apiVersion": BOXES.api_version}
    )
    ref = {"apiVersion": BOXES.api_version, "kind": "Box", "name": "box", "uid": box["metadata"]["uid"]}
    one = await cluster.client.create(WIDGETS, widget("one", ownerReferences=[ref]))
    ref = {"apiVersion": WIDGETS.api_version, "kind": "Widget", "name": "one", "uid": one["metadata"]["uid"]}
    await cluster.client.create(
        CONFIGMAPS, {"metadata": {"name": "owned", "namespace": "default", "ownerReferences": [ref]}}
    )
    await cluster.client.delete(BOXES, "box")
    await cluster.eventually(lambda: is_gone(cluster.client, WIDGETS, "one", "default"))
    await cluster.eventually(lambda: is_gone(cluster.client, CONFIGMAPS, "owned", "default"))


async def test_a_namespace_ends_with_its_custom_objects(cluster: Any) -> None:
    await define(cluster, WIDGETS)
    await cluster.client.create(NAMESPACES, {"metadata": {"name": "shop"}})
    await cluster.client.create(WIDGETS, {**widget("one"), "metadata": {"name": "one", "namespace": "shop"}})
    await cluster.client.delete(NAMESPACES, "shop")
    await cluster.eventually(lambda: is_gone(cluster.client, NAMESPACES, "shop"))
    assert await cluster.client.list(WIDGETS) == []


async def test_a_quota_counts_custom_objects(cluster: Any) -> None:
    await define(cluster, WIDGETS)
    hard = {"count/widgets.shop.example.com": "1"}
    await cluster.client.create(
        RESOURCEQUOTAS, {"metadata": {"name": "few", "namespace": "default"}, "spec": {"hard": hard}}
    )

    async def used() -> str:
        quota = await cluster.client.get(RESOURCEQUOTAS, "few", namespace="default")
        return str((quota["status"].get("used") or {}).get("count/widgets.shop.example.com", ""))

    await cluster.eventually(lambda: _is(used, "0"))
    await cluster.client.create(WIDGETS, widget("one"))
    await cluster.eventually(lambda: _is(used, "1"))
    try:
        await cluster.client.create(WIDGETS, widget("two"))
    except StatusError as error:
        assert "exceeded quota: few" in error.message
    else:
        raise AssertionError("the quota is not kept")
    await cluster.client.delete(WIDGETS, "one", namespace="default")
    await cluster.eventually(lambda: _is(used, "0"))


async def _is(ask: Any, wanted: str) -> bool:
    return bool(await ask() == wanted)


async def test_kinds_are_there_after_a_restart(cluster: Any) -> None:
    await define(cluster, WIDGETS)
    await cluster.client.create(WIDGETS, widget("one"))
    from seamark.api.app import Api
    from seamark.machinery.wire import ADMIN_GROUP, Identity, Request
    from seamark.resources.table import build_registry

    again = Api(store=cluster.api.core.store, registry=build_registry(), clock=cluster.clock)
    await again.start()
    answer = await again.handle(
        Request("GET", WIDGETS.path(namespace="default", name="one"), identity=Identity("admin", (ADMIN_GROUP,)))
    )
    assert answer.status == 200
    assert msgspec.json.decode(answer.body)["spec"] == {"size": 1}
