"""OpenAPI documents: their shape, their agreement with the schema table, and what real kubectl makes of them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from seamark.api.config import ApiConfig
from seamark.api.discovery import Discovery
from seamark.api.documents import V2_PROTOBUF
from seamark.api.openapi import (
    render_openapi_v2,
    render_openapi_v2_protobuf,
    render_openapi_v3,
    render_openapi_v3_index,
)
from seamark.machinery.status import StatusError
from seamark.machinery.wire import Request
from seamark.resources.registry import Registry
from seamark.resources.table import build_registry

Doc = dict[str, Any]
TOOLS = Path(__file__).parent.parent.parent / ".tools"
KUBECTLS = [path for path in sorted(TOOLS.glob("kubectl-*/kubectl")) if os.access(path, os.X_OK)]
if not KUBECTLS and (found := shutil.which("kubectl")):
    KUBECTLS = [Path(found)]


@pytest.fixture(scope="module")
def registry() -> Registry:
    return build_registry()


def documents(registry: Registry) -> Iterator[Doc]:
    for group, version in registry.group_versions():
        yield json.loads(render_openapi_v3(registry, group, version))
    yield json.loads(render_openapi_v2(registry))


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for inner in node.values():
            yield from references(inner)
    elif isinstance(node, list):
        for inner in node:
            yield from references(inner)


def operations(document: Doc) -> Iterator[tuple[str, str, Doc]]:
    for path, node in document["paths"].items():
        for method, operation in node.items():
            if method != "parameters":
                yield path, method, operation


def schemas(document: Doc) -> Doc:
    found: Doc = document["components"]["schemas"] if "components" in document else document["definitions"]
    return found


def test_the_index_names_every_group_version_with_a_hash_of_its_content(registry: Registry) -> None:
    paths = json.loads(render_openapi_v3_index(registry))["paths"]
    assert {"api/v1", "apis/apps/v1", "apis/discovery.k8s.io/v1"} <= set(paths)
    assert len(paths) == len(registry.group_versions())
    for place, entry in paths.items():
        path, _, digest = entry["serverRelativeURL"].partition("?hash=")
        assert path == f"/openapi/v3/{place}"
        assert len(digest) == 128


def test_what_is_not_served_is_not_found(registry: Registry) -> None:
    with pytest.raises(StatusError) as caught:
        render_openapi_v3(registry, "example.com", "v1")
    assert caught.value.code == 404


def test_every_reference_leads_to_a_schema_and_no_schema_is_unused(registry: Registry) -> None:
    for document in documents(registry):
        prefix = "#/components/schemas/" if "components" in document else "#/definitions/"
        used = {ref.removeprefix(prefix) for ref in references(document)}
        assert used <= set(schemas(document))
        unused = {name.rsplit(".", 1)[-1] for name in set(schemas(document)) - used}
        assert unused <= {"WatchEvent", "Status", "Patch", "DeleteOptions"} | {n for n in unused if n.endswith("List")}


def test_operation_ids_are_unique(registry: Registry) -> None:
    for document in documents(registry):
        ids = [operation["operationId"] for _, _, operation in operations(document)]
        assert len(ids) == len(set(ids))


def test_every_patch_lists_field_validation_and_its_kind(registry: Registry) -> None:
    """kubectl's ``--validate`` looks for exactly this."""
    kinds = set()
    for document in documents(registry):
        for path, method, operation in operations(document):
            if method == "patch":
                names = {p["name"] for p in operation["parameters"]}
                assert {"fieldValidation", "fieldManager", "dryRun"} <= names, path
                kinds.add(operation["x-kubernetes-group-version-kind"]["kind"])
    assert {"Service", "Deployment", "EndpointSlice", "Pod", "Lease"} <= kinds


def test_every_verb_of_every_row_has_an_operation(registry: Registry) -> None:
    methods = {"get": "get", "list": "get", "create": "post", "update": "put", "patch": "patch", "delete": "delete"}
    v2 = json.loads(render_openapi_v2(registry))
    for row in registry.rows:
        for verb, method in methods.items():
            if verb in row.verbs:
                name = "" if verb in ("list", "create") else "/{name}"
                assert method in v2["paths"][row.gvr.path(namespace="{namespace}") + name], (row.gvr.kind, verb)


def test_lists_merge_keys_unions_and_required(registry: Registry) -> None:
    found = schemas(json.loads(render_openapi_v3(registry, "", "v1")))
    ports = found["io.k8s.api.core.v1.ServiceSpec"]["properties"]["ports"]
    assert ports["x-kubernetes-list-type"] == "map"
    assert ports["x-kubernetes-list-map-keys"] == ["port", "protocol"]
    assert (ports["x-kubernetes-patch-merge-key"], ports["x-kubernetes-patch-strategy"]) == ("port", "merge")
    assert found["io.k8s.api.core.v1.ServicePort"]["required"] == ["port"]
    assert found["io.k8s.api.core.v1.ServicePort"]["properties"]["port"]["format"] == "int32"
    assert found["io.k8s.api.core.v1.Secret"]["properties"]["data"]["additionalProperties"]["format"] == "byte"
    assert found["io.k8s.api.core.v1.ObjectReference"]["x-kubernetes-map-type"] == "atomic"
    int_or_string = found["io.k8s.apimachinery.pkg.util.intstr.IntOrString"]
    assert int_or_string["oneOf"] == [{"type": "integer"}, {"type": "string"}]
    assert found["io.k8s.api.core.v1.Service"]["x-kubernetes-group-version-kind"] == [
        {"group": "", "kind": "Service", "version": "v1"}
    ]


def test_v2_has_no_unions_and_refers_in_its_own_way(registry: Registry) -> None:
    found = schemas(json.loads(render_openapi_v2(registry)))
    assert found["io.k8s.apimachinery.pkg.util.intstr.IntOrString"]["type"] == "string"
    target = found["io.k8s.api.core.v1.ServicePort"]["properties"]["targetPort"]
    assert target["$ref"] == "#/definitions/io.k8s.apimachinery.pkg.util.intstr.IntOrString"
    found.pop("io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps")  # it has fields of that name
    assert "oneOf" not in json.dumps(found) and "allOf" not in json.dumps(found)


def test_nearly_every_field_is_described(registry: Registry) -> None:
    found = schemas(json.loads(render_openapi_v3(registry, "", "v1")))
    fields = [field for node in found.values() for field in node.get("properties", {}).values()]
    assert sum(not field.get("description") for field in fields) < len(fields) / 50


class _Server(ThreadingHTTPServer):
    """Discovery, the documents under test, and a registry that forgets what it is given."""

    daemon_threads = True
    registry: Registry
    discovery: Discovery

    def answer(self, path: str, accept: str) -> tuple[int, str, bytes]:
        found = self.discovery.respond(Request("GET", path, headers={"accept": accept}))
        if found is not None:
            return found.status, found.headers["content-type"], found.body
        parts = path.strip("/").split("/")
        if parts[:2] == ["openapi", "v3"]:
            if len(parts) == 2:
                return 200, "application/json", render_openapi_v3_index(self.registry)
            group, version = ("", parts[3]) if parts[2] == "api" else (parts[3], parts[4])
            return 200, "application/json", render_openapi_v3(self.registry, group, version)
        if parts == ["openapi", "v2"] and "protobuf" in accept:
            return 200, V2_PROTOBUF, render_openapi_v2_protobuf(self.registry)
        if parts == ["openapi", "v2"]:
            return 200, "application/json", render_openapi_v2(self.registry)
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}
        return 404, "application/json", json.dumps(status).encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _send(self, code: int, media_type: str, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self._send(*self.server.answer(urlsplit(self.path).path, self.headers.get("Accept", "")))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert "fieldValidation=Strict" in self.path
        self._send(201, "application/json", body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def server(registry: Registry) -> Iterator[str]:
    httpd = _Server(("127.0.0.1", 0), _Handler)
    httpd.registry, httpd.discovery = registry, Discovery(registry, ApiConfig())
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()
    thread.join()
    httpd.server_close()


@pytest.fixture(params=KUBECTLS, ids=lambda path: path.parent.name)
def kubectl(request: pytest.FixtureRequest, server: str, tmp_path: Path) -> Any:
    def run(*arguments: str, text: str = "", fails: bool = False) -> str:
        command = [str(request.param), "--server", server, "--cache-dir", str(tmp_path / "cache"), *arguments]
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "KUBECONFIG": os.devnull}
        result = subprocess.run(command, input=text, capture_output=True, text=True, env=environment, timeout=50)
        assert (result.returncode != 0) == fails, result.stderr
        return result.stderr if fails else result.stdout

    return run


@pytest.mark.kubectl
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (
            "svc.spec",
            ["KIND:       Service", "FIELD: spec <ServiceSpec>", "sessionAffinity\t<string>", "ports\t<[]ServicePort>"],
        ),
        (
            "deployment.spec.strategy.rollingUpdate.maxSurge",
            ["GROUP:      apps", "FIELD: maxSurge <IntOrString>", "maximum number of pods that can be scheduled above"],
        ),
        ("pod.spec.containers", ["FIELD: containers <[]Container>", "image\t<string>", "name\t<string> -required-"]),
        ("pod.spec.containers.resources.limits", ["FIELD: limits <map[string]Quantity>"]),
        ("pod.metadata.creationTimestamp", ["FIELD: creationTimestamp <string>", "RFC 3339"]),
        ("pod.spec.restartPolicy", ["FIELD: restartPolicy <string>", "ENUM:", "    OnFailure"]),
        ("endpointslices.endpoints.conditions.ready", ["GROUP:      discovery.k8s.io", "FIELD: ready <boolean>"]),
    ],
)
def test_kubectl_explains(kubectl: Any, path: str, expected: list[str]) -> None:
    shown = kubectl("explain", path)
    for text in expected:
        assert text in shown


@pytest.mark.kubectl
@pytest.mark.parametrize("manifest", ["apiVersion: v1\nkind: Service", "apiVersion: apps/v1\nkind: Deployment"])
def test_kubectl_finds_that_the_server_validates(kubectl: Any, manifest: str) -> None:
    """With a document that it cannot use, apply stops at *failed to download openapi* or asks without Strict."""
    shown = kubectl("apply", "-f", "-", text=f"{manifest}\nmetadata: {{name: web}}\n")
    assert shown.strip().endswith("/web created")


@pytest.mark.kubectl
def test_kubectl_explains_by_the_protobuf_of_v2(kubectl: Any) -> None:
    shown = kubectl("explain", "pod.spec.containers.image", "--output", "plaintext-openapiv2")
    assert "FIELD:    image <string>" in shown and "Container image name" in shown


@pytest.mark.kubectl
def test_kubectl_names_the_kind_that_is_not_served(kubectl: Any) -> None:
    """It looks for it in v2, and stops at *failed to download openapi* when it cannot read that."""
    thing = "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: web}\n"
    shown = kubectl("apply", "-f", "-", text=thing, fails=True)
    assert 'no matches for kind "Thing" in version "example.com/v1"' in shown
