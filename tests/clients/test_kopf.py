"""``kopf``: an operator of a kind of its own, with its finalizer, its status, its children and its Events."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from conformance.cluster import Cluster, running_cluster

from seamark.client.client import Client
from seamark.machinery.definitions import is_true
from seamark.machinery.gvr import CONFIGMAPS, CUSTOMRESOURCEDEFINITIONS, EVENTS, GVR
from seamark.machinery.status import StatusError

pytestmark = pytest.mark.net

Obj = dict[str, Any]
GREETINGS = GVR("kopf.example.com", "v1", "greetings", "Greeting")
SCHEMA = {
    "type": "object",
    "properties": {
        "spec": {
            "type": "object",
            "required": ["to"],
            "properties": {"to": {"type": "string"}, "word": {"type": "string", "default": "hello"}},
        },
        "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
}
DEFINITION = {
    "metadata": {"name": "greetings.kopf.example.com"},
    "spec": {
        "group": GREETINGS.group,
        "scope": "Namespaced",
        "names": {"plural": "greetings", "kind": "Greeting"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": SCHEMA},
            }
        ],
    },
}
OPERATOR = """
import kopf


def text(spec):
    return {"apiVersion": "v1", "kind": "ConfigMap", "data": {"text": f"{spec['word']} {spec['to']}"}}


@kopf.on.create("kopf.example.com", "v1", "greetings")
def create(spec, name, namespace, body, **_):
    child = text(spec)
    kopf.adopt(child, owner=body)
    child["metadata"]["name"] = name
    call("POST", f"/api/v1/namespaces/{namespace}/configmaps", child)
    kopf.info(body, reason="Greeted", message="somebody was greeted")
    return {"said": child["data"]["text"]}


@kopf.on.update("kopf.example.com", "v1", "greetings", field="spec.to")
def update(spec, name, namespace, old, new, patch, **_):
    call("PATCH", f"/api/v1/namespaces/{namespace}/configmaps/{name}", {"data": text(spec)["data"]})
    patch.status["turned"] = f"from {old} to {new}"


@kopf.on.delete("kopf.example.com", "v1", "greetings")
def delete(name, namespace, **_):
    call("POST", f"/api/v1/namespaces/{namespace}/configmaps", {"metadata": {"name": f"goodbye-{name}"}})


def call(method, path, body):
    from seamark.client.kubeconfig import load_kubeconfig
    from seamark.client.client import Client
    from seamark.machinery.wire import Identity, Request
    import asyncio, json, os

    async def ask():
        transport = load_kubeconfig(os.environ["KUBECONFIG"]).transport()
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        headers = {"content-type": kind}
        response = await transport(Request(method, path, (), headers, json.dumps(body).encode(), Identity("", ())))
        await transport.close()
        assert response.status < 300, response.body

    asyncio.run(ask())
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """The API server and the controllers: an operator needs no nodes."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    with running_cluster("--nodes", "0") as made:
        yield made


@pytest_asyncio.fixture
async def client(cluster: Cluster) -> AsyncIterator[Client]:
    made = cluster.client()
    yield made
    await made.close()


@pytest.fixture
def operator(cluster: Cluster, tmp_path: Path) -> Iterator[Path]:
    """Runs from before the definition exists, which it waits for; its log is told when the test fails."""
    (tmp_path / "operator.py").write_text(OPERATOR)
    log = tmp_path / "log"
    command = [sys.executable, "-m", "kopf", "run", "--all-namespaces", "--standalone", str(tmp_path / "operator.py")]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, env={**os.environ, "KUBECONFIG": str(cluster.kubeconfig)}, stdout=out, stderr=subprocess.STDOUT
        )
    yield log
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    finally:
        process.kill()
        print(log.read_text())


async def until(client: Client, gvr: GVR, name: str, is_so: Any) -> Obj:
    """The object once it is so; ``is_so`` is asked None when there is no object."""
    async with asyncio.timeout(30):
        while True:
            found: Obj | None = None
            try:
                found = await client.get(gvr, name, namespace="" if gvr == CUSTOMRESOURCEDEFINITIONS else "default")
            except StatusError as error:
                if error.code != 404:
                    raise
            if is_so(found):
                return found or {}
            await asyncio.sleep(0.05)


async def test_an_operator_greets(operator: Path, client: Client) -> None:
    await client.create(CUSTOMRESOURCEDEFINITIONS, DEFINITION)
    await until(
        client, CUSTOMRESOURCEDEFINITIONS, "greetings.kopf.example.com", lambda crd: is_true(crd, "Established")
    )
    obj = {"apiVersion": GREETINGS.api_version, "kind": "Greeting", "metadata": {"name": "one", "namespace": "default"}}
    await client.create(GREETINGS, {**obj, "spec": {"to": "world"}})

    done = await until(client, GREETINGS, "one", lambda it: it.get("status", {}).get("create"))
    assert done["status"]["create"] == {"said": "hello world"}, "a default of the schema reached the operator"
    assert done["metadata"]["finalizers"] == ["kopf.zalando.org/KopfFinalizerMarker"]
    child = await client.get(CONFIGMAPS, "one", namespace="default")
    assert child["data"] == {"text": "hello world"}
    assert child["metadata"]["ownerReferences"][0]["uid"] == done["metadata"]["uid"]

    await client.patch(GREETINGS, "one", {"spec": {"to": "moon"}}, namespace="default")
    turned = await until(client, GREETINGS, "one", lambda it: "turned" in it["status"])
    assert turned["status"]["turned"] == "from world to moon"
    assert (await client.get(CONFIGMAPS, "one", namespace="default"))["data"] == {"text": "hello moon"}
    assert turned["metadata"]["generation"] == 2, "neither status nor metadata count"

    await client.delete(GREETINGS, "one", namespace="default")
    await until(client, GREETINGS, "one", lambda it: it is None)
    await client.get(CONFIGMAPS, "goodbye-one", namespace="default")
    await until(client, CONFIGMAPS, "one", lambda it: it is None)
    events = await client.list(EVENTS, namespace="default")
    assert "Greeted" in {event["reason"] for event in events if event["regarding"]["kind"] == "Greeting"}
