"""Every kind × verb × format, out of the rows of the registry alone: what a row says is served, and nothing else.

A new kind needs a recorded manifest (``tests/resources/recorded``), or a line in ``MANIFESTS`` here; without one, or
with a verb or a representation that does not work, its cases fail.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from seamark.api.app import Api
from seamark.api.discovery import SUBRESOURCE_VERBS
from seamark.api.negotiation import JSON, PROTOBUF, YAML
from seamark.api.respond import close_stream
from seamark.api.yamltext import render_yaml
from seamark.machinery import protobuf, schema
from seamark.machinery.gvr import GVR
from seamark.machinery.jsonvalue import copy_json
from seamark.machinery.wire import Identity, Request, Response
from seamark.resources.registry import ALL_VERBS, Resource
from seamark.resources.table import build_registry

Obj = dict[str, Any]
ADMIN = Identity("jane", ("system:masters",))
RECORDED = [json.loads(p.read_text()) for p in sorted(Path(__file__).parents[1].glob("resources/recorded/*.json"))]
ACCESS = {"spec": {"user": "bob", "resourceAttributes": {"verb": "get", "resource": "pods", "namespace": "default"}}}
MANIFESTS: dict[str, Obj] = {
    "Binding": {"metadata": {"name": "bound"}, "target": {"kind": "Node", "name": "n"}},
    "ControllerRevision": {"metadata": {"name": "web"}, "revision": 1, "data": {"spec": {"a": 1}}},
    "CustomResourceDefinition": {
        "metadata": {"name": "things.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"},
            "versions": [
                {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
            ],
        },
    },
    "LocalSubjectAccessReview": ACCESS,
    "SelfSubjectAccessReview": {"spec": {"nonResourceAttributes": {"path": "/api", "verb": "get"}}},
    "SelfSubjectReview": {},
    "SelfSubjectRulesReview": {"spec": {"namespace": "default"}},
    "ServiceAccount": {"metadata": {"name": "made"}},
    "SubjectAccessReview": ACCESS,
    "TokenReview": {"spec": {"token": "x"}},
}


class Format(NamedTuple):
    media_type: str
    transform: str = ""  # Table or PartialObjectMetadata, on a list its List

    def accept(self, *, many: bool = False) -> str:
        if not self.transform:
            return self.media_type
        kind = f"{self.transform}List" if many and self.transform != "Table" else self.transform
        return f"{self.media_type};as={kind};v=v1;g=meta.k8s.io"

    def __str__(self) -> str:
        return f"{self.media_type.rpartition('.')[2].rpartition('/')[2]}{self.transform and '-' + self.transform}"


PARTIAL = "PartialObjectMetadata"
FORMATS = (
    Format(JSON),
    Format(YAML),
    Format(PROTOBUF),
    Format(JSON, "Table"),
    Format(YAML, "Table"),
    Format(JSON, PARTIAL),
    Format(YAML, PARTIAL),
    Format(PROTOBUF, PARTIAL),
)
STREAMS = tuple(one for one in FORMATS if one.media_type != YAML)
PLAIN = FORMATS[:3]
REFUSED = Format(PROTOBUF, "Table")
PATCHES = ("json-patch+json", "merge-patch+json", "strategic-merge-patch+json", "apply-patch+yaml")


class Kind(NamedTuple):
    row: Resource
    gvr: GVR

    def __str__(self) -> str:
        return f"{self.gvr.resource}.{self.gvr.version}.{self.gvr.group}".rstrip(".")

    @property
    def collection(self) -> str:
        return self.gvr.path(namespace="default" if self.gvr.namespaced else "")


KINDS = [Kind(row, gvr) for row in build_registry().rows for gvr in (row.gvr, *row.served_as)]
STORED = [kind for kind in KINDS if kind.row.stored]
each_kind = pytest.mark.parametrize("kind", STORED, ids=str)


def manifest(kind: Kind) -> Obj:
    """What creates one, under the group and version that it is stored in."""
    name = kind.row.gvr.kind
    found = MANIFESTS.get(name, next((r["base"] for r in RECORDED if r["kind"] == name), None))
    assert found is not None, f"no manifest of a {name}: record one, or add it to MANIFESTS"
    body: Obj = copy_json(found)
    body["metadata"] = {"name": "web", **body.get("metadata", {})}
    body["metadata"].pop("namespace", None)
    return body


def encoded(obj: Obj, media_type: str) -> bytes:
    if media_type == PROTOBUF:
        return protobuf.encode_body(obj)
    return render_yaml(obj) if media_type == YAML else json.dumps(obj).encode()


def decoded(response: Response, wanted: Format) -> Obj:
    """The answer as a dict, which must come in the format asked for."""
    assert response.headers["content-type"] == wanted.media_type, response.body
    if wanted.media_type == PROTOBUF:
        return protobuf.decode_body(response.body)
    found: Obj = yaml.safe_load(response.body) if wanted.media_type == YAML else json.loads(response.body)
    return found


class Asker:
    def __init__(self, api: Api) -> None:
        self.api = api

    async def ask(
        self, method: str, path: str, body: bytes = b"", *, wanted: Format = FORMATS[0], many: bool = False, **more: str
    ) -> Response:
        content_type = more.pop("content_type", JSON)
        headers = {"accept": wanted.accept(many=many), "content-type": content_type, "user-agent": "tester/v1"}
        return await self.api.handle(Request(method, path, tuple(more.items()), headers, body, ADMIN))

    async def make(self, kind: Kind) -> tuple[str, Obj]:
        """The path of a new object under the kind's group and version, and the object."""
        stored = Kind(kind.row, kind.row.gvr)
        response = await self.ask("POST", stored.collection, json.dumps(manifest(kind)).encode())
        assert response.status == 201, response.body
        path = f"{kind.collection}/{json.loads(response.body)['metadata']['name']}"
        return path, json.loads((await self.ask("GET", path)).body)


@pytest.fixture
async def asker(api: Api) -> Asker:
    made = Asker(api)
    for account in ("default", "sa"):
        body = json.dumps({"metadata": {"name": account}}).encode()
        await made.ask("POST", "/api/v1/namespaces/default/serviceaccounts", body)
    high = json.dumps({"metadata": {"name": "high"}, "value": 7, "preemptionPolicy": "Never"}).encode()
    await made.ask("POST", "/apis/scheduling.k8s.io/v1/priorityclasses", high)
    return made


def check_one(kind: Kind, found: Obj, wanted: Format, name: str) -> None:
    if wanted.transform == "Table":
        (row,) = found["rows"]
        assert (found["kind"], found["apiVersion"]) == ("Table", "meta.k8s.io/v1")
        assert [c["name"] for c in found["columnDefinitions"]] == [c.name for c in kind.row.columns]
        assert len(row["cells"]) == len(kind.row.columns) and row["object"]["metadata"]["name"] == name
    elif wanted.transform:
        assert (found["kind"], found["apiVersion"]) == (PARTIAL, "meta.k8s.io/v1")
        assert found.keys() == {"kind", "apiVersion", "metadata"} and found["metadata"]["name"] == name
    else:
        assert (found["kind"], found["apiVersion"]) == (kind.gvr.kind, kind.gvr.api_version)
        assert found["metadata"]["name"] == name


def check_list(kind: Kind, found: Obj, wanted: Format, name: str) -> None:
    if wanted.transform == "Table":
        assert found["kind"] == "Table"
        names = [row["object"]["metadata"]["name"] for row in found["rows"]]
    else:
        listed = f"{PARTIAL}List" if wanted.transform else f"{kind.gvr.kind}List"
        assert (found["kind"], "resourceVersion" in found["metadata"]) == (listed, True)
        names = [item["metadata"]["name"] for item in found["items"]]
    assert name in names


@each_kind
async def test_get_and_list(asker: Asker, kind: Kind) -> None:
    path, made = await asker.make(kind)
    for wanted in FORMATS:
        found = decoded(await asker.ask("GET", path, wanted=wanted), wanted)
        check_one(kind, found, wanted, made["metadata"]["name"])
        listed = decoded(await asker.ask("GET", kind.collection, wanted=wanted, many=True), wanted)
        check_list(kind, listed, wanted, made["metadata"]["name"])
    for where in (path, kind.collection):
        assert (await asker.ask("GET", where, wanted=REFUSED)).status == 406


async def first_events(response: Response, wanted: Format) -> AsyncIterator[tuple[str, Obj]]:
    """Type and object of each event of a watch."""
    assert response.status == 200 and response.stream is not None, response.body
    stream = f"{PROTOBUF};stream=watch" if wanted.media_type == PROTOBUF else JSON
    assert response.headers["content-type"] == stream
    async for chunk in response.stream:
        if wanted.media_type == JSON:
            for line in chunk.splitlines():
                event = json.loads(line)
                yield event["type"], event["object"]
            continue
        for frame in protobuf.split_events(chunk):
            kind, _, rest = frame.partition(protobuf.MAGIC)
            yield kind[2 : 2 + kind[1]].decode(), protobuf.decode_body(protobuf.MAGIC + rest)


@each_kind
async def test_watch(asker: Asker, kind: Kind) -> None:
    path, made = await asker.make(kind)
    for wanted in STREAMS:
        response = await asker.ask("GET", kind.collection, wanted=wanted, watch="true", allowWatchBookmarks="true")
        async for type_of, obj in first_events(response, wanted):
            if type_of == "ADDED" and wanted.transform == "Table" and obj["columnDefinitions"] is None:
                continue
            if type_of == "BOOKMARK":
                break
            name = (obj["rows"][0]["object"] if wanted.transform == "Table" else obj)["metadata"]["name"]
            check_one(kind, obj, wanted, name)
        assert response.stream is not None
        await close_stream(response.stream)
    for wanted in (REFUSED, Format(YAML)):
        assert (await asker.ask("GET", kind.collection, wanted=wanted, watch="true")).status == 406
    assert made["metadata"]["name"] in path


def as_config(obj: Obj) -> Obj:
    dropped = ("managedFields", "uid", "resourceVersion", "creationTimestamp", "generation", "deletionTimestamp")
    meta = {key: value for key, value in obj["metadata"].items() if key not in dropped}
    return {**obj, "metadata": meta}


@each_kind
async def test_create_and_update(asker: Asker, kind: Kind) -> None:
    path, made = await asker.make(kind)
    name = made["metadata"]["name"]
    config = as_config(made)
    for sent in PLAIN:
        body = encoded({**made, "metadata": {**made["metadata"], "labels": {"a": "b"}}}, sent.media_type)
        for wanted in FORMATS:
            response = await asker.ask("PUT", path, body, wanted=wanted, content_type=sent.media_type, dryRun="All")
            assert response.status == 200, response.body
            check_one(kind, decoded(response, wanted), wanted, name)
    other = {**config, "metadata": {**config["metadata"], "name": "other"}}
    for sent in PLAIN:
        body = encoded(other, sent.media_type)
        for wanted in FORMATS:
            response = await asker.ask(
                "POST", kind.collection, body, wanted=wanted, content_type=sent.media_type, dryRun="All"
            )
            if response.status == 201:
                check_one(kind, decoded(response, wanted), wanted, "other")
            else:  # a name that is part of the meaning, an address that is taken: a Status that says so
                assert response.status in (403, 422), response.body
                refusal = Format(wanted.media_type if not wanted.transform else JSON)
                assert decoded(response, refusal)["kind"] == "Status"


@each_kind
@pytest.mark.parametrize("patch", PATCHES)
async def test_patch(asker: Asker, kind: Kind, patch: str) -> None:
    path, made = await asker.make(kind)
    label: Any = {"metadata": {"labels": {"a": "b"}}}
    if patch == "json-patch+json":
        label = [{"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}]
    elif patch == "apply-patch+yaml":
        label |= {"apiVersion": kind.gvr.api_version, "kind": kind.gvr.kind}
        label["metadata"]["name"] = made["metadata"]["name"]
    options = {"content_type": f"application/{patch}", "fieldManager": "matrix", "dryRun": "All"}
    for wanted in FORMATS:
        response = await asker.ask("PATCH", path, json.dumps(label).encode(), wanted=wanted, **options)
        assert response.status == 200, response.body
        check_one(kind, decoded(response, wanted), wanted, made["metadata"]["name"])


@each_kind
@pytest.mark.parametrize("verb", ["delete", "deletecollection"])
async def test_delete(asker: Asker, kind: Kind, verb: str) -> None:
    path, made = await asker.make(kind)
    where = path if verb == "delete" else kind.collection
    if verb not in kind.row.verbs:
        assert (await asker.ask("DELETE", where)).status == 405
        return
    for wanted in PLAIN:
        response = await asker.ask("DELETE", where, wanted=wanted, dryRun="All")
        found = decoded(response, wanted)
        assert (response.status, found["kind"]) == (200, f"{kind.gvr.kind}List") or verb == "delete", found
        assert verb != "delete" or found["kind"] in ("Status", kind.gvr.kind)
        assert (await asker.ask("GET", path)).status == 200
    assert (await asker.ask("DELETE", where)).status == 200
    left = await asker.ask("GET", path)
    assert left.status == 404 or "deletionTimestamp" in json.loads(left.body)["metadata"]
    assert made["kind"] == kind.gvr.kind


@pytest.mark.parametrize("kind", KINDS, ids=str)
async def test_verbs_that_the_row_does_not_have(asker: Asker, kind: Kind) -> None:
    methods = {"get": "GET", "update": "PUT", "patch": "PATCH", "delete": "DELETE"}
    of_all = {"list": "GET", "create": "POST", "deletecollection": "DELETE"}
    for verb in set(ALL_VERBS) - set(kind.row.verbs) - {"watch"}:
        method = methods.get(verb) or of_all[verb]
        path = f"{kind.collection}/x" if verb in methods else kind.collection
        response = await asker.ask(method, path, b"{}")
        assert response.status == 405, (verb, response.body)
    for method in ("TRACE", "OPTIONS", "HEAD"):
        assert (await asker.ask(method, kind.collection)).status == 405


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.row.stored], ids=str)
async def test_questions(asker: Asker, kind: Kind) -> None:
    """Kinds that are posted and answered, in every format there is for an object."""
    pod = json.dumps({"metadata": {"name": "bound"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}).encode()
    await asker.ask("POST", "/api/v1/namespaces/default/pods", pod)
    node = json.dumps({"metadata": {"name": "n"}}).encode()
    await asker.ask("POST", "/api/v1/nodes", node)
    body = manifest(kind)
    if kind.gvr.kind != "Binding":
        body["metadata"] = {}
    for sent in PLAIN:
        for wanted in PLAIN:
            raw = encoded({"apiVersion": kind.gvr.api_version, "kind": kind.gvr.kind, **body}, sent.media_type)
            options = {"dryRun": "All"} if kind.gvr.kind == "Binding" else {}
            response = await asker.ask(
                "POST", kind.collection, raw, wanted=wanted, content_type=sent.media_type, **options
            )
            assert response.status == 201, response.body
            assert decoded(response, wanted)["kind"] in (kind.gvr.kind, "Status")


SUBRESOURCES = [(kind, name) for kind in STORED for name in kind.row.subresources]


@pytest.mark.parametrize(("kind", "name"), SUBRESOURCES, ids=lambda one: str(one))
async def test_subresources(asker: Asker, kind: Kind, name: str) -> None:
    """Each verb of a subresource leads somewhere, no other does; status and scale come in every plain format."""
    path, _ = await asker.make(kind)
    methods = {"get": "GET", "update": "PUT", "patch": "PATCH", "create": "POST", "delete": "DELETE"}
    served = {methods[verb] for verb in SUBRESOURCE_VERBS[name]}
    for method in methods.values():
        response = await asker.ask(method, f"{path}/{name}", b"{}", dryRun="All")
        assert (response.status == 405) == (method not in served), (method, response.body)
        assert b"could not find the requested resource" not in response.body
    for wanted in PLAIN if name in ("status", "scale") else ():
        found = decoded(await asker.ask("GET", f"{path}/{name}", wanted=wanted), wanted)
        assert found["kind"] == (kind.gvr.kind if name == "status" else "Scale")


def test_every_kind_has_a_protobuf_message_and_a_list() -> None:
    for kind in KINDS:
        assert schema.message(kind.gvr.api_version, kind.gvr.kind) is not None, kind
        assert not kind.row.stored or schema.message(kind.gvr.api_version, f"{kind.gvr.kind}List") is not None, kind
