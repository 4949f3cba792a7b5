"""Create, update and patch, in process, as a client sees them."""

from __future__ import annotations

import asyncio
from typing import Any, ClassVar

import pytest

from seamark.api.app import Api
from seamark.client.client import Client
from seamark.client.inprocess import InProcessTransport
from seamark.machinery.gvr import CONFIGMAPS, EVENTS, EVENTS_V1, LEASES, NODES, SERVICES
from seamark.machinery.status import StatusError
from seamark.store.base import StoreWriteError
from seamark.testing.asking import ADMIN, ask, parsed
from seamark.testing.clock import FakeClock

Obj = dict[str, Any]


def config_map(name: str, data: dict[str, str] | None = None, **meta: Any) -> Obj:
    return {"metadata": {"name": name, "namespace": "default", **meta}, "data": data or {}}


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


NOT_READY = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}
OTHER = {"key": "dedicated", "value": "db", "effect": "NoExecute"}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        pytest.param([], [NOT_READY], id="none"),
        pytest.param([OTHER], [OTHER, NOT_READY], id="another"),
        pytest.param([NOT_READY], [NOT_READY], id="the same"),
    ],
)
async def test_a_new_node_takes_no_pods_yet(client: Client, given: list[Obj], kept: list[Obj]) -> None:
    made = await client.create(NODES, {"metadata": {"name": "n"}, "spec": {"taints": given}})
    assert made["spec"]["taints"] == kept


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
