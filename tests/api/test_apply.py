"""Server-side apply and managedFields over the API: what a client sees."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from seamark.api.app import Api
from seamark.machinery.jsonvalue import copy_json
from seamark.machinery.wire import Identity, Request, Response
from seamark.testing.clock import FakeClock

ADMIN = Identity("admin", ("system:masters",))
Obj = dict[str, Any]
MAPS = "/api/v1/namespaces/default/configmaps"
SERVICES = "/api/v1/namespaces/default/services"
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


async def ask(
    api: Api, method: str, path: str, body: Any = None, *, kind: str = "application/json", **query: str
) -> Response:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
    headers = {"content-type": kind, "accept": "application/json", "user-agent": "tester/v1 (linux)"}
    return await api.handle(Request(method, path, tuple(query.items()), headers, raw, ADMIN))


async def apply(api: Api, path: str, body: Any, manager: str = "one", **query: str) -> Response:
    named = {"fieldManager": manager} if manager else {}
    return await ask(api, "PATCH", path, body, kind="application/apply-patch+yaml", **named, **query)


def parsed(response: Response, status: int = 200) -> Obj:
    found: Obj = json.loads(response.body)
    assert response.status == status, found
    return found


def config_map(data: dict[str, str], **meta: Any) -> Obj:
    head = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", **meta}}
    return {**head, "data": data} if data else head


def deployment(**spec: Any) -> Obj:
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "x"}]}}
    body = {"selector": {"matchLabels": labels}, "template": template, **spec}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": body}


def owners(obj: Obj) -> dict[tuple[str, str, str], Obj]:
    entries = obj["metadata"].get("managedFields", [])
    return {(e["manager"], e["operation"], e.get("subresource", "")): e["fieldsV1"] for e in entries}


class TestApply:
    async def test_creates_then_changes(self, api: Api) -> None:
        made = parsed(await apply(api, f"{MAPS}/a", config_map({"k": "1"})), 201)
        assert made["metadata"]["managedFields"] == [
            {
                "manager": "one",
                "operation": "Apply",
                "apiVersion": "v1",
                "time": "2023-11-14T22:13:20Z",
                "fieldsType": "FieldsV1",
                "fieldsV1": {"f:data": {"f:k": {}}},
            }
        ]
        changed = parsed(await apply(api, f"{MAPS}/a", b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"))
        assert "data" not in changed and "managedFields" not in changed["metadata"]

    async def test_the_same_again_moves_nothing(self, api: Api, clock: FakeClock) -> None:
        first = parsed(await apply(api, f"{SERVICES}/s", service()), 201)
        await clock.advance(100)
        again = parsed(await apply(api, f"{SERVICES}/s", service()))
        assert again == first

    async def test_what_get_returned_applies_without_a_change_of_the_object(self, api: Api) -> None:
        made = parsed(await apply(api, f"{DEPLOYMENTS}/web", deployment()), 201)
        for field in ("managedFields", "uid", "resourceVersion", "creationTimestamp", "generation"):
            made["metadata"].pop(field)
        again = parsed(await apply(api, f"{DEPLOYMENTS}/web", made, "two"))
        assert again["metadata"]["generation"] == 1
        shown = {"managedFields", "uid", "resourceVersion", "creationTimestamp", "generation"}
        assert {**again, "metadata": {k: v for k, v in again["metadata"].items() if k not in shown}} == made

    async def test_conflict(self, api: Api) -> None:
        await apply(api, f"{MAPS}/a", config_map({"k": "1"}))
        status = parsed(await apply(api, f"{MAPS}/a", config_map({"k": "2"}), "two"), 409)
        assert status["reason"] == "Conflict"
        assert status["message"] == 'Apply failed with 1 conflict: conflict with "one": .data.k'
        assert status["details"]["causes"] == [
            {"reason": "FieldManagerConflict", "message": 'conflict with "one"', "field": ".data.k"}
        ]
        forced = parsed(await apply(api, f"{MAPS}/a", config_map({"k": "2"}), "two", force="true"))
        assert forced["data"] == {"k": "2"} and list(owners(forced)) == [("two", "Apply", "")]

    async def test_dry_run_stores_nothing(self, api: Api) -> None:
        before = await api.core.store.revision()
        made = parsed(await apply(api, f"{MAPS}/a", config_map({"k": "1"}), dryRun="All"), 201)
        assert made["metadata"]["uid"] and await api.core.store.revision() == before
        await apply(api, f"{MAPS}/a", config_map({"k": "1"}))
        before = await api.core.store.revision()
        tried = parsed(await apply(api, f"{MAPS}/a", config_map({"k": "2"}), dryRun="All"))
        assert tried["data"] == {"k": "2"} and await api.core.store.revision() == before

    async def test_ports_merge_by_port_and_protocol(self, api: Api) -> None:
        await apply(api, f"{SERVICES}/s", service({"name": "dns", "port": 53, "protocol": "UDP"}))
        second = service({"name": "dns-tcp", "port": 53, "protocol": "TCP"})
        both = parsed(await apply(api, f"{SERVICES}/s", second, "two"))
        assert [p["protocol"] for p in both["spec"]["ports"]] == ["UDP", "TCP"]

    async def test_revision_in_the_configuration_is_a_condition(self, api: Api) -> None:
        made = parsed(await apply(api, f"{MAPS}/a", config_map({"k": "1"})), 201)
        await apply(api, f"{MAPS}/a", config_map({"k": "2"}))
        old = config_map({"k": "3"}, resourceVersion=made["metadata"]["resourceVersion"])
        assert "the object has been modified" in parsed(await apply(api, f"{MAPS}/a", old), 409)["message"]

    async def test_many_at_once(self, api: Api) -> None:
        bodies = [config_map({f"k{i}": "1"}) for i in range(8)]
        answers = await asyncio.gather(*(apply(api, f"{MAPS}/a", b, f"m{i}") for i, b in enumerate(bodies)))
        assert sorted(a.status for a in answers) == [200] * 7 + [201]
        found = parsed(await ask(api, "GET", f"{MAPS}/a"))
        assert len(found["data"]) == 8 and len(owners(found)) == 8


def service(*ports: Obj) -> Obj:
    spec = {"selector": {"app": "web"}, "ports": list(ports) or [{"port": 80}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"}, "spec": spec}


LEVELS = "".join(f"{c}: &{c} [{','.join([f'*{p}'] * 10)}]\n" for p, c in zip("abcdefgh", "bcdefghi", strict=True))
BOMB = f"a: &a [{','.join('x' * 10)}]\n{LEVELS}".encode()


class TestRefusals:
    @pytest.mark.parametrize(
        ("body", "query", "code", "text"),
        [
            pytest.param(
                config_map({}),
                {"manager": ""},
                422,
                'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
                id="manager",
            ),
            pytest.param(
                config_map({}),
                {"manager": "x" * 129},
                422,
                'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Too long: may not be more than 128 bytes',
                id="long-manager",
            ),
            pytest.param(
                {**config_map({}), "dta": {}},
                {},
                500,
                "failed to create typed patch object (/a; /v1, Kind=ConfigMap): .dta: field not declared in schema",
                id="unknown-field",
            ),
            pytest.param(
                {**config_map({}), "dta": {}}, {"fieldValidation": "Ignore"}, 500, "not declared", id="ignore"
            ),
            pytest.param(
                config_map({}, managedFields=[]), {}, 400, "metadata.managedFields must be nil", id="managed-fields"
            ),
            pytest.param(
                {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}},
                {},
                400,
                "invalid object type: /v1, Kind=Pod",
                id="kind",
            ),
            pytest.param({"metadata": {"name": "a"}}, {}, 400, "invalid object type: /, Kind=", id="no-kind"),
            pytest.param(b"a: [", {}, 400, "error decoding YAML: ", id="yaml"),
            pytest.param(b"- a", {}, 400, "error decoding YAML: ", id="list"),
            pytest.param(b"[a]: 1", {}, 400, "error decoding YAML: ", id="odd-key"),
            pytest.param(BOMB, {}, 400, "document contains excessive aliasing", id="bomb"),
            pytest.param(b"a: &a [*a]", {}, 400, "document contains excessive aliasing", id="circle"),
            pytest.param(b"\xff", {}, 400, "error decoding YAML: ", id="not-utf8"),
            pytest.param(b"[" * 9999, {}, 400, "error decoding YAML: ", id="deep"),
            pytest.param({**config_map({}), "metadata": "a"}, {}, 500, ".metadata: expected map, got &{a}", id="meta"),
            pytest.param(config_map({}, name="b"), {}, 400, "does not match the name on the URL", id="name"),
            pytest.param(config_map({}, name=""), {}, 400, "name must be provided", id="no-name"),
            pytest.param(config_map({}, namespace="b"), {}, 400, "namespace", id="namespace"),
            pytest.param(config_map({}, uid="u"), {}, 409, "uid mismatch", id="uid"),
            pytest.param(config_map({"a/b": "1"}), {}, 422, "data[a/b]", id="invalid"),
        ],
    )
    async def test_is_refused(self, api: Api, body: Any, query: dict[str, str], code: int, text: str) -> None:
        before = await api.core.store.revision()
        status = parsed(await apply(api, f"{MAPS}/a", body, **query), code)
        assert status["kind"] == "Status" and text in status["message"]
        assert await api.core.store.revision() == before

    async def test_repeated_keys(self, api: Api) -> None:
        body = b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  k: '1'\n  k: '2'\n"
        strict = parsed(await apply(api, f"{MAPS}/a", body, fieldValidation="Strict"), 400)
        assert strict["message"] == (
            "error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n"
            '  line 7: key "k" already set in map'
        )
        warned = await apply(api, f"{MAPS}/a", body)
        assert (warned.status, warned.warnings) == (201, ('line 7: key "k" already set in map',))
        assert (await apply(api, f"{MAPS}/a", body, fieldValidation="Ignore")).warnings == ()

    @pytest.mark.parametrize("body", [BOMB, b"[a]: 1", b"a: &a [*a]"], ids=["bomb", "odd-key", "circle"])
    async def test_a_yaml_bomb_is_refused_in_a_create_too(self, api: Api, body: bytes) -> None:
        answer = await ask(api, "POST", MAPS, body, kind="application/yaml")
        assert "unrecognized" in parsed(answer, 400)["message"]

    async def test_no_such_namespace(self, api: Api) -> None:
        path = "/api/v1/namespaces/nowhere/configmaps/a"
        assert 'namespaces "nowhere" not found' in parsed(await apply(api, path, config_map({})), 404)["message"]

    async def test_a_status_is_not_made_by_applying_it(self, api: Api) -> None:
        body = {**service(), "status": {"conditions": []}}
        parsed(await apply(api, f"{SERVICES}/s/status", body), 404)

    async def test_force_is_for_apply_alone(self, api: Api) -> None:
        answer = await ask(api, "PATCH", f"{MAPS}/a", {}, kind="application/merge-patch+json", force="true")
        assert "force: Forbidden: may not be specified for non-apply patch" in parsed(answer, 422)["message"]


class TestManagedFields:
    async def test_of_a_service_made_by_kubectl(self, api: Api) -> None:
        body = {
            "metadata": {"name": "s", "labels": {"app": "web"}},
            "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
        }
        made = parsed(await ask(api, "POST", SERVICES, body, fieldManager="kubectl-create"), 201)
        port = {".": {}, "f:name": {}, "f:port": {}, "f:protocol": {}, "f:targetPort": {}}
        assert owners(made) == {
            ("kubectl-create", "Update", ""): {
                "f:metadata": {"f:labels": {".": {}, "f:app": {}}},
                "f:spec": {
                    "f:internalTrafficPolicy": {},
                    "f:ports": {".": {}, 'k:{"port":80,"protocol":"TCP"}': port},
                    "f:selector": {},
                    "f:sessionAffinity": {},
                    "f:type": {},
                },
            }
        }

    async def test_of_a_deployment_and_its_status_and_scale(self, api: Api, clock: FakeClock) -> None:
        made = parsed(await ask(api, "POST", DEPLOYMENTS, deployment(), fieldManager="kubectl-create"), 201)
        spec = owners(made)[("kubectl-create", "Update", "")]["f:spec"]
        assert spec["f:strategy"] == {
            "f:rollingUpdate": {".": {}, "f:maxSurge": {}, "f:maxUnavailable": {}},
            "f:type": {},
        }
        container = spec["f:template"]["f:spec"]["f:containers"]['k:{"name":"c"}']
        assert container["f:resources"] == {} and "f:replicas" in spec
        await clock.advance(5)
        status = {**made, "status": {"replicas": 1, "observedGeneration": 1}}
        found = parsed(await ask(api, "PUT", f"{DEPLOYMENTS}/web/status", status))
        assert owners(found)[("tester", "Update", "status")] == {
            "f:status": {"f:observedGeneration": {}, "f:replicas": {}}
        }
        scale = {"spec": {"replicas": 3}}
        answer = await ask(api, "PATCH", f"{DEPLOYMENTS}/web/scale", scale, kind="application/merge-patch+json")
        assert "managedFields" not in parsed(answer)["metadata"]
        found = parsed(await ask(api, "GET", f"{DEPLOYMENTS}/web"))
        assert owners(found)[("tester", "Update", "scale")] == {"f:spec": {"f:replicas": {}}}
        assert "f:replicas" not in owners(found)[("kubectl-create", "Update", "")]["f:spec"]
        times = {(e["manager"], e.get("subresource")): e["time"] for e in found["metadata"]["managedFields"]}
        assert times[("kubectl-create", None)] < times[("tester", "status")]

    async def test_applied_replicas_against_scale(self, api: Api) -> None:
        await apply(api, f"{DEPLOYMENTS}/web", deployment(replicas=2))
        scale: Obj = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "web"}}
        scale["spec"] = {"replicas": 5}
        status = parsed(await apply(api, f"{DEPLOYMENTS}/web/scale", scale, "hpa"), 409)
        assert status["message"] == 'Apply failed with 1 conflict: conflict with "one": .spec.replicas'
        answer = parsed(await apply(api, f"{DEPLOYMENTS}/web/scale", scale, "hpa", force="true"))
        assert answer["kind"] == "Scale" and answer["spec"] == {"replicas": 5}
        found = parsed(await ask(api, "GET", f"{DEPLOYMENTS}/web"))
        assert owners(found)[("hpa", "Apply", "scale")] == {"f:spec": {"f:replicas": {}}}
        assert "f:replicas" not in owners(found)[("one", "Apply", "")]["f:spec"]
        status = parsed(await apply(api, f"{DEPLOYMENTS}/web", deployment(replicas=2)), 409)
        assert 'conflict with "hpa" with subresource "scale": .spec.replicas' in status["message"]

    async def test_status_by_apply(self, api: Api) -> None:
        await apply(api, f"{SERVICES}/s", service())
        condition = {"type": "Ready", "status": "True", "reason": "Fine", "message": "", "observedGeneration": 1}
        condition["lastTransitionTime"] = "2024-01-01T00:00:00Z"
        body = {**service({"port": 99}), "status": {"conditions": [condition]}}
        found = parsed(await apply(api, f"{SERVICES}/s/status", body, "cloud"))
        assert found["spec"]["ports"][0]["port"] == 80 and found["status"]["conditions"] == [condition]
        fields = owners(found)[("cloud", "Apply", "status")]
        assert list(fields) == ["f:status"]

    async def test_a_write_of_the_same_moves_neither_time_nor_revision(self, api: Api, clock: FakeClock) -> None:
        made = parsed(await ask(api, "POST", MAPS, config_map({"k": "1"})), 201)
        await clock.advance(60)
        assert parsed(await ask(api, "PUT", f"{MAPS}/a", made, fieldManager="other")) == made
        patch = {"data": {"k": "1"}}
        same = await ask(api, "PATCH", f"{MAPS}/a", patch, kind="application/merge-patch+json", fieldManager="other")
        assert parsed(same) == made

    async def test_put_without_them_keeps_them(self, api: Api) -> None:
        await apply(api, f"{MAPS}/a", config_map({"k": "1"}))
        found = parsed(await ask(api, "PUT", f"{MAPS}/a", config_map({"k": "1", "l": "2"})))
        assert owners(found) == {
            ("one", "Apply", ""): {"f:data": {"f:k": {}}},
            ("tester", "Update", ""): {"f:data": {"f:l": {}}},
        }

    @pytest.mark.parametrize("reset", [[], [{}]])
    async def test_reset(self, api: Api, reset: list[Any]) -> None:
        await apply(api, f"{MAPS}/a", config_map({"k": "1"}))
        patch = [{"op": "replace", "path": "/metadata/managedFields", "value": reset}]
        bare = parsed(await ask(api, "PATCH", f"{MAPS}/a", patch, kind="application/json-patch+json"))
        assert "managedFields" not in bare["metadata"]
        still = parsed(await ask(api, "PUT", f"{MAPS}/a", config_map({"k": "2"})))
        assert "managedFields" not in still["metadata"]
        found = parsed(await apply(api, f"{MAPS}/a", config_map({"l": "1"})))
        assert owners(found) == {
            ("one", "Apply", ""): {"f:data": {"f:l": {}}},
            ("before-first-apply", "Update", ""): {"f:data": {".": {}, "f:k": {}}},
        }

    @pytest.mark.parametrize("reset", [[], [{}]])
    async def test_reset_by_put(self, api: Api, reset: list[Any]) -> None:
        await apply(api, f"{MAPS}/a", config_map({"k": "1"}))
        bare = parsed(await ask(api, "PUT", f"{MAPS}/a", config_map({"k": "1"}, managedFields=reset)))
        assert "managedFields" not in bare["metadata"] and bare["data"] == {"k": "1"}

    async def test_a_client_may_rewrite_them(self, api: Api) -> None:
        """As kubectl does when it goes over from client-side apply."""
        made = parsed(await ask(api, "POST", MAPS, config_map({"k": "1"})), 201)
        entries = [{**made["metadata"]["managedFields"][0], "manager": "kubectl", "operation": "Apply"}]
        patch = [
            {"op": "replace", "path": "/metadata/managedFields", "value": entries},
            {"op": "replace", "path": "/metadata/resourceVersion", "value": made["metadata"]["resourceVersion"]},
        ]
        found = parsed(await ask(api, "PATCH", f"{MAPS}/a", patch, kind="application/json-patch+json"))
        assert found["metadata"]["managedFields"] == entries

    async def test_garbage_is_not_taken(self, api: Api) -> None:
        made = parsed(await ask(api, "POST", MAPS, config_map({"k": "1"})), 201)
        for garbage in ({"operation": "Eat"}, {"fieldsV1": {"x": {}}}, {"apiVersion": ""}):
            broken = {**made["metadata"]["managedFields"][0], **garbage}
            body = {**made, "metadata": {**made["metadata"], "managedFields": [broken]}}
            assert parsed(await ask(api, "PUT", f"{MAPS}/a", body)) == made

    async def test_binding_owns_nothing(self, api: Api) -> None:
        await ask(api, "POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
        pod = {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "x"}]}}
        made = parsed(await ask(api, "POST", "/api/v1/namespaces/default/pods", pod), 201)
        target = {"target": {"kind": "Node", "name": "n"}}
        await ask(api, "POST", "/api/v1/namespaces/default/pods/p/binding", target)
        found = parsed(await ask(api, "GET", "/api/v1/namespaces/default/pods/p"))
        assert found["spec"]["nodeName"] == "n"
        assert found["metadata"]["managedFields"] == made["metadata"]["managedFields"]

    async def test_an_event_in_both_versions(self, api: Api) -> None:
        regarding = {"kind": "Pod", "name": "p", "namespace": "default"}
        old = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "involvedObject": regarding}
        path = "namespaces/default/events/e"
        parsed(await apply(api, f"/api/v1/{path}", {**old, "reason": "A", "type": "Normal"}), 201)
        new = {"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e"}, "reason": "B"}
        status = parsed(await apply(api, f"/apis/events.k8s.io/v1/{path}", new, "two"), 409)
        assert status["message"] == 'Apply failed with 1 conflict: conflict with "one": .reason'


RECORDED: dict[str, Obj] = {
    path.stem: json.loads(path.read_text())
    for path in sorted((Path(__file__).parents[1] / "resources" / "recorded").glob("*.json"))
}
SERVER_OWNED = {"managedFields", "uid", "resourceVersion", "creationTimestamp", "generation"}


def as_config(obj: Obj) -> Obj:
    """What GET returned, without what is the server's."""
    return {**obj, "metadata": {k: v for k, v in obj["metadata"].items() if k not in SERVER_OWNED}}


OWNED_ON_CREATE: dict[str, Obj] = json.loads((Path(__file__).parent / "owned_on_create.json").read_text())
"""What a creator owns by k8s.io/apimachinery v0.36.3, of each recorded base after defaulting."""


@pytest.mark.parametrize("name", sorted(RECORDED.keys() & OWNED_ON_CREATE.keys()))
async def test_the_creator_of_any_kind_owns_what_kubernetes_says(api: Api, name: str) -> None:
    _, made = await create_recorded(api, name)
    wanted, found = dict(OWNED_ON_CREATE[name]), owners(made)[("tester", "Update", "")]
    if name == "DaemonSet":  # Kubernetes also notes the template's generation in an annotation
        wanted.pop("f:metadata")
        found.pop("f:metadata", None)
    assert found == wanted and len(owners(made)) == 1


async def create_recorded(api: Api, name: str) -> tuple[str, Obj]:
    """The collection's path and the object made of the recorded base."""
    (row,) = [row for row in api.core.registry.rows if row.gvr.kind == RECORDED[name]["kind"]]
    base = copy_json(RECORDED[name]["base"])
    base["metadata"] = {"name": "web", **base.get("metadata", {})}
    base["metadata"].pop("namespace", None)
    for account in ("default", "sa"):
        await ask(api, "POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": account}})
    high = {"metadata": {"name": "high"}, "value": 7, "preemptionPolicy": "Never"}
    await ask(api, "POST", "/apis/scheduling.k8s.io/v1/priorityclasses", high)
    where = row.gvr.path(namespace="default" if row.gvr.namespaced else "")
    return where, parsed(await ask(api, "POST", where, base), 201)


@pytest.mark.parametrize("name", RECORDED)
async def test_what_get_returns_changes_nothing_in_any_kind(api: Api, name: str) -> None:
    where, made = await create_recorded(api, name)
    config = as_config(made)
    config.pop("status", None)
    where = f"{where}/{made['metadata']['name']}"
    applied = parsed(await apply(api, where, config, "two"))
    assert as_config(applied) == as_config(made)
    assert applied["metadata"].get("generation") == made["metadata"].get("generation")
    assert parsed(await apply(api, where, config, "two")) == applied
    assert parsed(await ask(api, "PATCH", where, applied, kind="application/merge-patch+json")) == applied
    assert parsed(await ask(api, "PUT", where, applied)) == applied
