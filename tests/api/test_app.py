"""The verbs, in process, as a client sees them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import aclosing
from typing import Any, ClassVar

import pytest

from seamark.api.app import Api
from seamark.client.client import Client
from seamark.client.inprocess import InProcessTransport
from seamark.machinery.gvr import CONFIGMAPS, EVENTS, EVENTS_V1, LEASES, NAMESPACES, PODS, SERVICES
from seamark.machinery.status import StatusError
from seamark.machinery.wire import Identity, Request, Response
from seamark.store.base import StoreWriteError
from seamark.testing.clock import FakeClock

ADMIN = Identity("admin", ("system:masters",))
Obj = dict[str, Any]


def config_map(name: str, data: dict[str, str] | None = None, **meta: Any) -> Obj:
    return {"metadata": {"name": name, "namespace": "default", **meta}, "data": data or {}}


async def ask(api: Api, method: str, path: str, body: Any = None, **headers: str) -> Response:
    path, _, query = path.partition("?")
    pairs = tuple((k, v) for k, _, v in (p.partition("=") for p in query.split("&") if p))
    raw = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
    sent = {k.replace("_", "-"): v for k, v in headers.items()}
    return await api.handle(Request(method, path, pairs, sent, raw, ADMIN))


def parsed(response: Response) -> Obj:
    found: Obj = json.loads(response.body)
    return found


async def events(client: Client, count: int, **query: Any) -> list[tuple[str, str, str]]:
    """(type, name, resourceVersion) of the next ``count`` events on config maps."""
    found = []
    async with asyncio.timeout(5), aclosing(client.watch(CONFIGMAPS, namespace="default", query=query)) as stream:
        async for event in stream:
            meta = json.loads(bytes(event.object)).get("metadata", {})
            found.append((event.type, meta.get("name", ""), meta.get("resourceVersion", "")))
            if len(found) == count:
                break
    return found


class TestCreate:
    async def test_gets_uid_time_and_revision(self, client: Client, clock: FakeClock) -> None:
        made = await client.create(CONFIGMAPS, config_map("a", {"k": "v"}))
        assert made["kind"] == "ConfigMap" and made["apiVersion"] == "v1"
        meta = made["metadata"]
        assert meta["creationTimestamp"] == "2023-11-14T22:13:20Z"
        assert len(meta["uid"]) == 36 and int(meta["resourceVersion"]) > 1
        assert meta["managedFields"][0]["manager"] == "seamark"
        assert await client.get(CONFIGMAPS, "a", namespace="default") == made

    async def test_twice_already_exists(self, client: Client) -> None:
        await client.create(CONFIGMAPS, config_map("a"))
        with pytest.raises(StatusError, match=r'configmaps "a" already exists') as error:
            await client.create(CONFIGMAPS, config_map("a"))
        assert (error.value.code, error.value.reason) == (409, "AlreadyExists")

    async def test_generate_name(self, client: Client) -> None:
        body = {"metadata": {"generateName": "web-", "namespace": "default"}}
        names = {(await client.create(CONFIGMAPS, body))["metadata"]["name"] for _ in range(3)}
        assert len(names) == 3 and all(n.startswith("web-") and len(n) == 9 for n in names)

    async def test_needs_the_namespace(self, client: Client) -> None:
        with pytest.raises(StatusError, match='namespaces "nowhere" not found'):
            await client.create(CONFIGMAPS, {"metadata": {"name": "a", "namespace": "nowhere"}})

    @pytest.mark.parametrize(
        ("body", "code", "text"),
        [
            pytest.param(b"{", 400, "unrecognized", id="malformed"),
            pytest.param(b"\xff\xfe", 400, "unrecognized", id="not-utf8"),
            pytest.param(b"[" * 5000, 400, "unrecognized", id="deep"),
            pytest.param(b'{"data":' * 5000 + b"1" + b"}" * 5000, 400, "", id="deep-object"),
            pytest.param(b"[]", 400, "cannot unmarshal array", id="list"),
            pytest.param(b"", 400, "empty", id="empty"),
            pytest.param(b'{"kind":"Pod"}', 400, "cannot be handled as a ConfigMap", id="wrong-kind"),
            pytest.param(b'{"apiVersion":"v2"}', 400, "cannot be handled as a ConfigMap", id="wrong-version"),
            pytest.param(b'{"metadata":[1]}', 400, "metadata", id="metadata-list"),
            pytest.param(b'{"metadata":{"name":"a","namespace":"b"}}', 400, "does not match", id="other-namespace"),
            pytest.param(b'{"metadata":{}}', 422, "name or generateName is required", id="no-name"),
            pytest.param(b'{"metadata":{"name":"A_b"}}', 422, "RFC 1123", id="bad-name"),
            pytest.param(b'{"metadata":{"name":"a","labels":{"x":"-"}}}', 422, "metadata.labels", id="bad-label"),
            pytest.param(b'{"metadata":{"name":"a","resourceVersion":"3"}}', 500, "should not be set", id="revision"),
        ],
    )
    async def test_bad_bodies_are_refused(self, api: Api, body: bytes, code: int, text: str) -> None:
        before = await api.core.store.revision()
        response = await ask(api, "POST", "/api/v1/namespaces/default/configmaps", body)
        assert response.status == code
        status = parsed(response)
        assert status["kind"] == "Status" and text in status["message"], status
        assert await api.core.store.revision() == before

    @pytest.mark.parametrize(
        ("metadata", "causes"),
        [
            pytest.param(
                {"name": "a", "finalizers": ["x y", "mine"]},
                [
                    ("metadata.finalizers", "name part must consist"),
                    ("metadata.finalizers[0]", "name is neither a standard finalizer name"),
                    ("metadata.finalizers[1]", "name is neither a standard finalizer name"),
                ],
                id="finalizers",
            ),
            pytest.param(
                {"name": "a", "finalizers": ["orphan", "foregroundDeletion"]},
                [("metadata.finalizers", "finalizer orphan and foregroundDeletion cannot be both set")],
                id="both-policies",
            ),
            pytest.param(
                {"generateName": "Web_-"},
                [("metadata.generateName", 'Invalid value: "Web_-"'), ("metadata.name", 'Invalid value: "Web_-')],
                id="generate-name",
            ),
            pytest.param(
                {"name": "a", "generateName": "B"}, [("metadata.generateName", "RFC 1123")], id="unused-generate-name"
            ),
            pytest.param(
                {"name": "a", "ownerReferences": [{"kind": "Pod", "name": "p"}]},
                [
                    ("metadata.ownerReferences.apiVersion", 'Invalid value: "": version must not be empty'),
                    ("metadata.ownerReferences.uid", 'Invalid value: "": must not be empty'),
                ],
                id="owner",
            ),
            pytest.param(
                {
                    "name": "a",
                    "ownerReferences": [
                        {"apiVersion": "v1", "kind": "Pod", "name": n, "uid": n, "controller": True} for n in "pq"
                    ],
                },
                [("metadata.ownerReferences", 'Found "true" in references for Pod/p and Pod/q')],
                id="two-controllers",
            ),
        ],
    )
    async def test_bad_metadata(self, api: Api, metadata: Obj, causes: list[tuple[str, str]]) -> None:
        response = await ask(api, "POST", "/api/v1/namespaces/default/configmaps", {"metadata": metadata})
        found = parsed(response)["details"]["causes"]
        assert response.status == 422 and [c["field"] for c in found] == [field for field, _ in causes]
        assert all(text in cause["message"] for cause, (_, text) in zip(found, causes, strict=True)), found

    @pytest.mark.parametrize(
        ("method", "kind"), [("POST", "CreateOptions"), ("PUT", "UpdateOptions"), ("PATCH", "PatchOptions")]
    )
    @pytest.mark.parametrize(
        ("query", "text"),
        [
            ("dryRun=Some", 'dryRun: Unsupported value: ["Some"]: supported values: "All"'),
            (f"fieldManager={'x' * 129}", "fieldManager: Too long: may not be more than 128 bytes"),
            (
                "fieldManager=a\x7fb",
                'fieldManager: Invalid value: "a\\x7fb": invalid character U+007F (at position 1)',
            ),
            (
                "fieldValidation=Some",
                'fieldValidation: Unsupported value: "Some": supported values: "", "Ignore", "Strict", "Warn"',
            ),
        ],
    )
    async def test_bad_options_write_nothing(self, api: Api, method: str, kind: str, query: str, text: str) -> None:
        await ask(api, "POST", "/api/v1/namespaces/default/configmaps", config_map("a"))
        before = await api.core.store.revision()
        path = "/api/v1/namespaces/default/configmaps" + ("" if method == "POST" else "/a")
        body, merge = config_map("b" if method == "POST" else "a", {"k": "v"}), "application/merge-patch+json"
        response = await ask(
            api, method, f"{path}?{query}", body, **({"content_type": merge} if method == "PATCH" else {})
        )
        assert response.status == 422 and parsed(response)["message"] == f'{kind}.meta.k8s.io "" is invalid: {text}'
        assert await api.core.store.revision() == before

    async def test_dry_run_stores_nothing(self, api: Api) -> None:
        before = await api.core.store.revision()
        response = await ask(api, "POST", "/api/v1/namespaces/default/configmaps?dryRun=All", config_map("a"))
        assert response.status == 201
        meta = parsed(response)["metadata"]
        assert meta["uid"] and "resourceVersion" not in meta
        assert await api.core.store.revision() == before
        wrong = await ask(api, "POST", "/api/v1/namespaces/default/configmaps?dryRun=Some", config_map("a"))
        assert wrong.status == 422


class TestFieldValidation:
    PATH = "/api/v1/namespaces/default/services"
    SPEC = b'{"selctor":{},"ports":[{"port":80,"prt":1}],"type":"ClusterIP","type":"ClusterIP"}'
    BODY = b'{"metadata":{"name":"s"},"spec":' + SPEC + b"}"

    async def test_warns_by_default(self, api: Api) -> None:
        response = await ask(api, "POST", self.PATH, self.BODY)
        assert response.status == 201
        assert response.warnings == (
            'unknown field "spec.selctor"',
            'unknown field "spec.ports[0].prt"',
            'duplicate field "spec.type"',
        )
        assert "selctor" not in parsed(response)["spec"]

    async def test_strict_refuses_naming_all(self, api: Api) -> None:
        response = await ask(api, "POST", f"{self.PATH}?fieldValidation=Strict", self.BODY)
        assert response.status == 400
        message = parsed(response)["message"]
        assert "strict decoding error: " in message and message.count("unknown field") == 2

    async def test_ignore_is_silent(self, api: Api) -> None:
        response = await ask(api, "POST", f"{self.PATH}?fieldValidation=Ignore", self.BODY)
        assert (response.status, response.warnings) == (201, ())
        assert (await ask(api, "POST", f"{self.PATH}?fieldValidation=Maybe", self.BODY)).status == 422

    async def test_patches_are_validated_too(self, api: Api, client: Client) -> None:
        await client.create(CONFIGMAPS, config_map("a"))
        path = "/api/v1/namespaces/default/configmaps/a"
        merge = {"content_type": "application/merge-patch+json"}
        response = await ask(api, "PATCH", path, {"dta": {"k": "v"}}, **merge)
        assert response.warnings == ('unknown field "dta"',)
        response = await ask(api, "PATCH", f"{path}?fieldValidation=Strict", {"dta": {"k": "v"}}, **merge)
        assert response.status == 422
        message = parsed(response)["message"]
        assert message.startswith(' "" is invalid: patch: Invalid value: "{\\"kind\\":\\"ConfigMap\\"')
        assert message.endswith(': strict decoding error: unknown field "dta"')

    async def test_wrong_types_are_refused(self, api: Api) -> None:
        response = await ask(api, "POST", self.PATH, {"metadata": {"name": "s"}, "spec": {"ports": [{"port": "x"}]}})
        assert response.status == 400
        assert "cannot unmarshal string into Go struct field ServicePort.spec.ports.port" in parsed(response)["message"]


class TestOwners:
    @pytest.mark.parametrize(("method", "when"), [("POST", ""), ("PATCH", " after mutating admission happens")])
    async def test_an_owner_named_twice_counts_once(self, api: Api, client: Client, method: str, when: str) -> None:
        await client.create(CONFIGMAPS, config_map("a"))
        one = {"apiVersion": "v1", "kind": "ConfigMap", "name": "o", "uid": "u"}
        other = {**one, "uid": "v"}
        path = f"/api/v1/namespaces/default/configmaps{'' if method == 'POST' else '/a'}"
        body = {"metadata": {"name": "b" if method == "POST" else "a", "ownerReferences": [one, one, other, one]}}
        kind = {} if method == "POST" else {"content_type": "application/merge-patch+json"}
        response = await ask(api, method, path, body, **kind)
        assert parsed(response)["metadata"]["ownerReferences"] == [one, other]
        assert response.warnings == (
            f".metadata.ownerReferences contains duplicate entries{when}; API server dedups owner references in 1.20+, "
            "and may reject such requests as early as 1.24; please fix your requests; duplicate UID(s) observed: u, u",
        )


class TestUpdate:
    async def test_conflict_and_unconditional(self, client: Client) -> None:
        made = await client.create(CONFIGMAPS, config_map("a", {"k": "1"}))
        changed = await client.update(CONFIGMAPS, {**made, "data": {"k": "2"}})
        with pytest.raises(StatusError, match="the object has been modified") as error:
            await client.update(CONFIGMAPS, {**made, "data": {"k": "3"}})
        assert error.value.reason == "Conflict"
        free = await client.update(CONFIGMAPS, config_map("a", {"k": "4"}))
        assert int(free["metadata"]["resourceVersion"]) == int(changed["metadata"]["resourceVersion"]) + 1
        assert free["metadata"]["uid"] == made["metadata"]["uid"]

    async def test_no_change_moves_nothing(self, client: Client, api: Api, clock: FakeClock) -> None:
        made = await client.create(CONFIGMAPS, config_map("a", {"k": "1"}))
        await clock.advance(100)
        again = await client.update(CONFIGMAPS, {**made, "binaryData": None})
        assert again == made
        assert await client.patch(CONFIGMAPS, "a", {"data": {"k": "1"}}, namespace="default") == made

    async def test_another_uid_is_another_object(self, client: Client) -> None:
        made = await client.create(CONFIGMAPS, config_map("a"))
        stale = {**made, "metadata": {**made["metadata"], "uid": "x", "resourceVersion": ""}}
        with pytest.raises(StatusError, match="Precondition failed: UID in precondition: x"):
            await client.update(CONFIGMAPS, stale)

    async def test_name_and_namespace_are_those_of_the_url(self, client: Client, api: Api) -> None:
        await client.create(CONFIGMAPS, config_map("a"))
        path = "/api/v1/namespaces/default/configmaps/a"
        assert (await ask(api, "PUT", path, config_map("b"))).status == 400
        elsewhere = {**config_map("a"), "metadata": {"name": "a", "namespace": "kube-system"}}
        assert (await ask(api, "PUT", path, elsewhere)).status == 400

    async def test_missing_is_not_created(self, client: Client) -> None:
        with pytest.raises(StatusError, match=r'configmaps "a" not found'):
            await client.update(CONFIGMAPS, config_map("a"))


class TestPatch:
    async def test_merge_and_json(self, client: Client) -> None:
        await client.create(CONFIGMAPS, config_map("a", {"k": "1", "l": "2"}))
        merged = await client.patch(CONFIGMAPS, "a", {"data": {"k": None, "m": "3"}}, namespace="default")
        assert merged["data"] == {"l": "2", "m": "3"}
        operations = [{"op": "test", "path": "/data/m", "value": "3"}, {"op": "remove", "path": "/data/m"}]
        patched = await client.patch(CONFIGMAPS, "a", operations, namespace="default", type="json")
        assert patched["data"] == {"l": "2"}

    async def test_racing_patches_all_land(self, client: Client) -> None:
        await client.create(CONFIGMAPS, config_map("a"))
        await asyncio.gather(
            *(client.patch(CONFIGMAPS, "a", {"data": {f"k{i}": "x"}}, namespace="default") for i in range(20))
        )
        assert len((await client.get(CONFIGMAPS, "a", namespace="default"))["data"]) == 20

    async def test_a_stale_revision_in_a_patch_conflicts(self, client: Client) -> None:
        await client.create(CONFIGMAPS, config_map("a"))
        with pytest.raises(StatusError) as error:
            await client.patch(CONFIGMAPS, "a", {"metadata": {"resourceVersion": "1"}}, namespace="default")
        assert error.value.reason == "Conflict"


class TestDelete:
    async def test_answers_a_status_with_the_uid(self, client: Client) -> None:
        made = await client.create(CONFIGMAPS, config_map("a"))
        gone = await client.delete(CONFIGMAPS, "a", namespace="default")
        assert gone["status"] == "Success"
        assert gone["details"] == {"name": "a", "kind": "configmaps", "uid": made["metadata"]["uid"]}
        with pytest.raises(StatusError, match="not found"):
            await client.delete(CONFIGMAPS, "a", namespace="default")

    async def test_waits_for_finalizers(self, client: Client) -> None:
        await client.create(CONFIGMAPS, config_map("a", finalizers=["example.com/wait"]))
        marked = await client.delete(CONFIGMAPS, "a", namespace="default")
        assert marked["metadata"]["deletionTimestamp"]
        with pytest.raises(StatusError) as refused:
            await client.create(CONFIGMAPS, config_map("a"))
        assert refused.value.message == 'object is being deleted: configmaps "a" already exists'
        await client.patch(CONFIGMAPS, "a", {"metadata": {"finalizers": None}}, namespace="default")
        with pytest.raises(StatusError, match="not found"):
            await client.get(CONFIGMAPS, "a", namespace="default")

    async def test_waits_for_no_more_than_it_did(self, client: Client) -> None:
        await client.create(CONFIGMAPS, config_map("a", finalizers=["example.com/wait"]))
        await client.delete(CONFIGMAPS, "a", namespace="default")
        more = {"metadata": {"finalizers": ["example.com/wait", "example.com/more"]}}
        with pytest.raises(StatusError, match="no new finalizers can be added"):
            await client.patch(CONFIGMAPS, "a", more, namespace="default")

    @pytest.mark.parametrize(("policy", "finalizer"), [("Foreground", "foregroundDeletion"), ("Orphan", "orphan")])
    async def test_policies_become_finalizers(self, client: Client, policy: str, finalizer: str) -> None:
        await client.create(CONFIGMAPS, config_map("a"))
        marked = await client.delete(CONFIGMAPS, "a", namespace="default", options={"propagationPolicy": policy})
        assert marked["metadata"]["finalizers"] == [finalizer]

    async def test_preconditions(self, client: Client) -> None:
        await client.create(CONFIGMAPS, config_map("a"))
        with pytest.raises(StatusError, match="Precondition failed: UID") as error:
            await client.delete(CONFIGMAPS, "a", namespace="default", options={"preconditions": {"uid": "x"}})
        assert error.value.code == 409

    async def test_collection_by_label(self, client: Client, api: Api) -> None:
        for name in ("a", "b", "c"):
            await client.create(CONFIGMAPS, config_map(name, labels={"keep": "yes" if name == "c" else "no"}))
        response = await ask(api, "DELETE", "/api/v1/namespaces/default/configmaps?labelSelector=keep notin (yes)")
        assert [i["metadata"]["name"] for i in parsed(response)["items"]] == ["a", "b"]
        assert [o["metadata"]["name"] for o in await client.list(CONFIGMAPS, namespace="default")] == ["c"]

    async def test_namespace_goes_through_finalize(self, client: Client, api: Api) -> None:
        await client.create(NAMESPACES, {"metadata": {"name": "n"}, "spec": {"finalizers": ["kubernetes"]}})
        marked = await client.delete(NAMESPACES, "n")
        assert marked["status"]["phase"] == "Terminating"
        with pytest.raises(
            StatusError, match=r'configmaps "a" is forbidden: .* because it is being terminated'
        ) as error:
            await client.create(CONFIGMAPS, {"metadata": {"name": "a", "namespace": "n"}})
        assert error.value.code == 403
        body = {"metadata": {"name": "n"}, "spec": {"finalizers": []}}
        response = await ask(api, "PUT", "/api/v1/namespaces/n/finalize", body)
        assert response.status == 200, response.body
        with pytest.raises(StatusError, match="not found"):
            await client.get(NAMESPACES, "n")

    async def test_default_namespace_stays(self, client: Client) -> None:
        with pytest.raises(StatusError, match="may not be deleted"):
            await client.delete(NAMESPACES, "default")


def pod(name: str, node: str = "", **spec: Any) -> Obj:
    given = {"containers": [{"name": "c", "image": "i"}], **({"nodeName": node} if node else {}), **spec}
    return {"metadata": {"name": name, "namespace": "default"}, "spec": given}


class TestPodDeletion:
    async def test_unbound_goes_at_once(self, client: Client) -> None:
        await client.create(PODS, pod("p"))
        gone = await client.delete(PODS, "p", namespace="default")
        assert gone["kind"] == "Pod"
        assert await client.list(PODS, namespace="default") == []

    async def test_bound_gets_its_grace(self, client: Client) -> None:
        await client.create(PODS, pod("p", "node1", terminationGracePeriodSeconds=40))
        marked = (await client.delete(PODS, "p", namespace="default"))["metadata"]
        assert (marked["deletionTimestamp"], marked["deletionGracePeriodSeconds"]) == ("2023-11-14T22:14:00Z", 40)
        longer = await client.delete(PODS, "p", namespace="default", options={"gracePeriodSeconds": 90})
        assert longer["metadata"]["deletionGracePeriodSeconds"] == 40
        shorter = await client.delete(PODS, "p", namespace="default", options={"gracePeriodSeconds": 10})
        assert shorter["metadata"]["deletionTimestamp"] == "2023-11-14T22:13:30Z"
        gone = await client.delete(PODS, "p", namespace="default", options={"gracePeriodSeconds": 0})
        assert gone["metadata"]["deletionGracePeriodSeconds"] == 0
        assert await client.list(PODS, namespace="default") == []


class TestList:
    async def test_pages_come_from_one_snapshot(self, client: Client, api: Api) -> None:
        for name in "abcde":
            await client.create(CONFIGMAPS, config_map(name))
        base = "/api/v1/namespaces/default/configmaps?limit=2"
        first = parsed(await ask(api, "GET", base))
        assert first["metadata"]["remainingItemCount"] == 3
        await client.create(CONFIGMAPS, config_map("bb"))
        await client.delete(CONFIGMAPS, "d", namespace="default")
        second = parsed(await ask(api, "GET", f"{base}&continue={first['metadata']['continue']}"))
        assert [i["metadata"]["name"] for i in second["items"]] == ["c", "d"]
        assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
        last = parsed(await ask(api, "GET", f"{base}&continue={second['metadata']['continue']}"))
        assert [i["metadata"]["name"] for i in last["items"]] == ["e"]
        assert "continue" not in last["metadata"]

    async def test_an_expired_page_gives_a_token_to_go_on(self, client: Client, api: Api) -> None:
        for name in "abc":
            await client.create(CONFIGMAPS, config_map(name))
        base = "/api/v1/namespaces/default/configmaps?limit=1"
        first = parsed(await ask(api, "GET", base))
        await client.create(CONFIGMAPS, config_map("aa"))
        await api.core.store.compact(revision=await api.core.store.revision())
        response = await ask(api, "GET", f"{base}&continue={first['metadata']['continue']}")
        gone = parsed(response)
        assert (response.status, gone["reason"]) == (410, "Expired")
        again = parsed(await ask(api, "GET", f"{base}&continue={gone['metadata']['continue']}"))
        assert [i["metadata"]["name"] for i in again["items"]] == ["aa"]

    @pytest.mark.parametrize(
        ("query", "code"),
        [
            ("continue=rubbish", 400),
            ("resourceVersion=abc", 400),
            ("limit=x", 400),
            ("limit=-1", 200),
            ("timeoutSeconds=x", 400),
            ("timeout=x", 400),
            ("labelSelector=a in", 400),
            ("fieldSelector=spec.x=1", 400),
            ("resourceVersionMatch=Exact", 422),
            ("resourceVersionMatch=Exact&resourceVersion=0", 422),
            ("resourceVersionMatch=Some&resourceVersion=1", 422),
            ("sendInitialEvents=true", 422),
            ("resourceVersionMatch=Exact&resourceVersion=1", 200),
        ],
    )
    async def test_options_are_checked(self, api: Api, query: str, code: int) -> None:
        response = await ask(api, "GET", f"/api/v1/namespaces/default/configmaps?{query}")
        assert response.status == code, response.body

    @pytest.mark.parametrize("path", ["/api/v1/configmaps", "/api/v1/namespaces/default"])
    async def test_the_future_times_out(self, api: Api, clock: FakeClock, path: str) -> None:
        assert (await ask(api, "GET", f"{path}?resourceVersion=1")).status == 200
        assert (await ask(api, "GET", f"{path}?resourceVersion=new")).status == 400
        asking = asyncio.create_task(ask(api, "GET", f"{path}?resourceVersion=99999"))
        for _ in range(40):
            await clock.advance(0.1)
        response = await asking
        assert response.status == 504
        assert parsed(response)["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"

    async def test_selectors(self, client: Client) -> None:
        await client.create(CONFIGMAPS, config_map("a", labels={"app": "web"}))
        await client.create(CONFIGMAPS, config_map("b", labels={"app": "db"}))
        for query, wanted in (
            ({"labelSelector": "app=web"}, ["a"]),
            ({"labelSelector": "app!=web"}, ["b"]),
            ({"fieldSelector": "metadata.name=b"}, ["b"]),
            ({"fieldSelector": "metadata.namespace!=default"}, []),
        ):
            found = await client.list(CONFIGMAPS, namespace="default", query=query)
            assert [o["metadata"]["name"] for o in found] == wanted


class TestWatch:
    async def test_goes_on_from_a_revision(self, client: Client) -> None:
        made = await client.create(CONFIGMAPS, config_map("a"))
        since = made["metadata"]["resourceVersion"]
        await client.patch(CONFIGMAPS, "a", {"data": {"k": "1"}}, namespace="default")
        await client.delete(CONFIGMAPS, "a", namespace="default")
        first = int(since)
        assert await events(client, 2, resourceVersion=since) == [
            ("MODIFIED", "a", str(first + 1)),
            ("DELETED", "a", str(first + 2)),
        ]

    async def test_begins_with_what_exists_and_says_where_that_ends(self, client: Client) -> None:
        await client.create(CONFIGMAPS, config_map("a"))
        found = await events(client, 2)
        assert [kind for kind, _, _ in found] == ["ADDED", "BOOKMARK"]
        streaming = await events(client, 2, sendInitialEvents=True, resourceVersionMatch="NotOlderThan")
        assert streaming == found

    async def test_leaving_a_selector_is_a_deletion(self, client: Client) -> None:
        made = await client.create(CONFIGMAPS, config_map("a", labels={"app": "web"}))
        since = made["metadata"]["resourceVersion"]
        for label in ("db", "web"):
            await client.patch(CONFIGMAPS, "a", {"metadata": {"labels": {"app": label}}}, namespace="default")
        first = int(since)
        assert await events(client, 2, resourceVersion=since, labelSelector="app=web") == [
            ("DELETED", "a", str(first + 1)),
            ("ADDED", "a", str(first + 2)),
        ]

    async def test_the_old_path_of_one_object(self, client: Client, api: Api) -> None:
        for name in ("a", "b"):
            await client.create(CONFIGMAPS, config_map(name))
        response = await ask(api, "GET", "/api/v1/watch/namespaces/default/configmaps/b")
        assert response.stream is not None
        async with aclosing(response.stream) as stream:  # type: ignore[type-var]
            (line,) = (await anext(stream)).splitlines()
        assert json.loads(line)["object"]["metadata"]["name"] == "b"

    async def test_too_old_is_an_event(self, client: Client, api: Api) -> None:
        await client.create(CONFIGMAPS, config_map("a"))
        await api.core.store.compact(revision=await api.core.store.revision())
        async with aclosing(client.watch(CONFIGMAPS, query={"resourceVersion": "1"})) as stream:
            found = [(e.type, json.loads(bytes(e.object))["code"]) async for e in stream]
        assert found == [("ERROR", 410)]

    async def test_bookmarks_and_end_by_the_clock(self, client: Client, api: Api, clock: FakeClock) -> None:
        path = "/api/v1/configmaps?watch=1&resourceVersion=1&timeoutSeconds=100&allowWatchBookmarks=true"
        response = await ask(api, "GET", path)
        assert response.stream is not None
        lines: list[Obj] = []

        async def read(stream: Any) -> None:
            async for chunk in stream:
                lines.extend(json.loads(line) for line in chunk.splitlines())

        reading = asyncio.create_task(read(response.stream))
        await clock.advance(1)
        await client.create(NAMESPACES, {"metadata": {"name": "other"}})
        moved = str(await api.core.store.revision())
        await eventually(clock, 60, lambda: bool(lines))
        assert [(e["type"], e["object"]["metadata"]["resourceVersion"]) for e in lines] == [("BOOKMARK", moved)]
        await eventually(clock, 40, reading.done)
        assert reading.done() and len(lines) == 1

    @pytest.mark.parametrize(
        ("query", "code"),
        [("resourceVersion=abc", 500), ("sendInitialEvents=true", 422), ("resourceVersionMatch=NotOlderThan", 422)],
    )
    async def test_options_are_checked(self, api: Api, query: str, code: int) -> None:
        assert (await ask(api, "GET", f"/api/v1/configmaps?watch=true&{query}")).status == code


async def eventually(clock: FakeClock, seconds: float, done: Callable[[], bool]) -> None:
    """Moves time, and gives the watch the few real milliseconds it waits for stragglers."""
    for _ in range(int(seconds)):
        await clock.advance(1)
    for _ in range(100):
        if done():
            return
        await asyncio.sleep(0.01)
        await clock.advance(0)


async def test_a_store_that_refuses_writes(api: Api, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await client.create(CONFIGMAPS, config_map("a"))

    async def refuse(**_: Any) -> None:
        raise StoreWriteError("/data/registry.db: database or disk is full")

    for verb in ("create", "update", "delete"):
        monkeypatch.setattr(api.core.store, verb, refuse)
    body = {
        "metadata": {"name": "s", "namespace": "default"},
        "spec": {"clusterIP": "10.96.0.77", "ports": [{"port": 1}]},
    }
    for attempt in (
        client.create(CONFIGMAPS, config_map("b")),
        client.create(SERVICES, body),
        client.patch(CONFIGMAPS, "a", {"data": {"x": "y"}}, namespace="default"),
        client.delete(CONFIGMAPS, "a", namespace="default"),
    ):
        with pytest.raises(StatusError, match="disk is full") as error:
            await attempt
        assert error.value.code == 500
    assert await client.list(CONFIGMAPS, namespace="default") == [made]
    monkeypatch.undo()
    await client.create(SERVICES, body)  # the address was not lost with the failed write


class TestServices:
    async def test_addresses_are_kept_freed_and_adopted(self, api: Api, client: Client) -> None:
        body = {
            "metadata": {"name": "s", "namespace": "default"},
            "spec": {"ports": [{"port": 80}], "type": "NodePort"},
        }
        made = await client.create(SERVICES, body)
        ip, port = made["spec"]["clusterIP"], made["spec"]["ports"][0]["nodePort"]
        put = await client.update(SERVICES, body)
        assert (put["spec"]["clusterIP"], put["spec"]["ports"][0]["nodePort"]) == (ip, port)
        again = Api(store=api.core.store, registry=api.core.registry, clock=api.core.clock)
        assert await again.start() == []
        other = Client(InProcessTransport(again.handle), identity=ADMIN)
        taken = {"metadata": {"name": "t", "namespace": "default"}, "spec": {"ports": [{"port": 80}], "clusterIP": ip}}
        for asked in (client, other):
            with pytest.raises(StatusError, match="provided IP is already allocated"):
                await asked.create(SERVICES, taken)
        await client.delete(SERVICES, "s", namespace="default")
        assert (await client.create(SERVICES, taken))["spec"]["clusterIP"] == ip

    async def test_a_dry_run_takes_no_address(self, api: Api, client: Client) -> None:
        body = {"metadata": {"name": "s"}, "spec": {"ports": [{"port": 80}], "clusterIP": "10.96.0.99"}}
        path = "/api/v1/namespaces/default/services"
        assert (await ask(api, "POST", f"{path}?dryRun=All", body)).status == 201
        assert (await ask(api, "POST", path, body)).status == 201


class TestLease:
    LEASE: ClassVar[Obj] = {"metadata": {"name": "l", "namespace": "default"}, "spec": {"holderIdentity": "a"}}

    async def test_put_creates_and_is_never_unconditional(self, client: Client) -> None:
        made = await client.update(LEASES, self.LEASE)
        assert made["metadata"]["uid"]
        with pytest.raises(StatusError, match="must be specified for an update"):
            await client.update(LEASES, {**self.LEASE, "spec": {"holderIdentity": "b"}})
        kept = await client.update(LEASES, {**made, "spec": {"holderIdentity": "b"}})
        assert kept["spec"]["holderIdentity"] == "b"


class TestEvents:
    async def test_one_object_in_two_groups(self, client: Client) -> None:
        event = {
            "metadata": {"name": "e", "namespace": "default"},
            "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"},
            "reason": "Started",
            "message": "hello",
            "type": "Normal",
        }
        await client.create(EVENTS_V1, event)
        new = await client.get(EVENTS, "e", namespace="default")
        assert (new["apiVersion"], new["regarding"]["name"], new["note"]) == ("events.k8s.io/v1", "p", "hello")
        assert (await client.list(EVENTS, namespace="default"))[0]["apiVersion"] == "events.k8s.io/v1"
        await client.patch(EVENTS, "e", {"note": "bye"}, namespace="default")
        assert (await client.get(EVENTS_V1, "e", namespace="default"))["message"] == "bye"
        query = {"fieldSelector": "involvedObject.name=p,involvedObject.kind=Pod"}
        assert len(await client.list(EVENTS_V1, namespace="default", query=query)) == 1
        other = {"fieldSelector": "involvedObject.name=q"}
        assert await client.list(EVENTS_V1, namespace="default", query=other) == []


class TestRefusals:
    @pytest.mark.parametrize(
        ("method", "path", "code", "text"),
        [
            ("GET", "/apis/nosuch.io/v1/things", 404, "404 page not found"),
            ("GET", "/nowhere", 404, "404 page not found"),
            ("GET", "/api/v1/nosuch", 404, "could not find the requested resource"),
            ("GET", "/api/v1/namespaces/default/configmaps/a/nosuch", 404, "could not find the requested resource"),
            ("GET", "/api/v1/configmaps/a", 404, "could not find the requested resource"),
            ("GET", "/api/v1/namespaces/default/configmaps/%2e%2e", 400, "may not be '..'"),
            ("GET", "/api/v1/namespaces/default/configmaps/a%2fb", 400, "may not contain '/'"),
            ("GET", "/api/v1/namespaces/default/configmaps//a", 400, "may not be ''"),
            ("POST", "/api/v1/namespaces/default/pods/p/resize", 501, "resize is not supported"),
            ("POST", "/api/v1/configmaps", 405, "does not allow this method"),
            ("HEAD", "/api/v1/namespaces/default/configmaps", 405, "does not allow this method"),
            ("OPTIONS", "/api/v1/namespaces/default/configmaps/a", 405, "does not allow this method"),
            ("DELETE", "/api/v1/namespaces", 405, "does not allow this method"),
        ],
    )
    async def test_by_path_and_method(self, api: Api, method: str, path: str, code: int, text: str) -> None:
        response = await ask(api, method, path)
        assert response.status == code
        assert text in response.body.decode()

    async def test_unsupported_types(self, api: Api) -> None:
        path = "/api/v1/namespaces/default/configmaps"
        assert (await ask(api, "POST", path, {}, content_type="text/html")).status == 415
        assert (await ask(api, "PATCH", f"{path}/a", {}, content_type="application/json")).status == 415
        assert (await ask(api, "GET", path, accept="image/png")).status == 406

    async def test_without_identity(self, api: Api) -> None:
        response = await api.handle(Request("GET", "/api/v1/pods"))
        assert response.status == 403
        assert parsed(response)["message"] == (
            'pods is forbidden: User "system:anonymous" cannot list resource "pods" '
            'in API group "" at the cluster scope'
        )
        for path in ("/healthz", "/livez", "/readyz", "/version"):
            assert (await api.handle(Request("GET", path))).status == 200
        assert (await api.handle(Request("GET", "/api"))).status == 403
