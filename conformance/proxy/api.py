"""The API a service proxy watches in these runs: Seamark's own, in this process, plain HTTP on a namespace's loopback.

Objects are put into the store as they are, past validation: scenarios hold what an API server would not take, and a
benchmark loads tens of thousands at once. ``put`` of one that is there is an update, which watchers hear of.
"""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml

from seamark.api.app import Api
from seamark.api.authn import Credentials
from seamark.api.config import ApiConfig
from seamark.api.objects import pack
from seamark.api.server import serve_api
from seamark.linux import netns
from seamark.linux.clock import SystemClock
from seamark.machinery.wire import ADMIN_GROUP, AUTHENTICATED, Identity
from seamark.resources.table import build_registry
from seamark.store.memory import MemoryStore
from seamark.testing.scenario import SERVICE_CIDRS

KINDS = ("Service", "EndpointSlice", "Node")
ADMIN = Identity("proxy", (ADMIN_GROUP, AUTHENTICATED))

Obj = dict[str, Any]


async def _anybody(_credentials: Credentials) -> Identity:
    return ADMIN


class ProxyApi:
    """``url`` is for processes in the namespace that it listens in."""

    def __init__(self, store: MemoryStore, port: int) -> None:
        self._store = store
        self._registry = build_registry()
        self._made: dict[str, int] = {}
        self.url = f"http://127.0.0.1:{port}"

    async def put(self, obj: Obj) -> None:
        group = str(obj["apiVersion"]).rpartition("/")[0]
        row = self._registry.by_kind(group, obj["kind"])
        assert row is not None, obj["kind"]
        meta = {"uid": f"uid-{obj['metadata']['name']}", "creationTimestamp": "2026-01-01T00:00:00Z", **obj["metadata"]}
        if row.gvr.namespaced:
            meta.setdefault("namespace", "default")
        key = row.key(meta.get("namespace", ""), meta["name"])
        value = pack({**obj, "metadata": meta})
        if key in self._made:
            entry = await self._store.update(key=key, value=value, expected=self._made[key])
        else:
            entry = await self._store.create(key=key, value=value)
        self._made[key] = entry.revision

    async def put_all(self, objects: Iterable[Obj]) -> None:
        for obj in objects:
            await self.put(obj)

    def write_kubeconfig(self, path: Path) -> Path:
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "it",
            "clusters": [{"name": "it", "cluster": {"server": self.url}}],
            "users": [{"name": "it", "user": {}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        }
        path.write_text(json.dumps(config))
        return path


@asynccontextmanager
async def running_api(pin: Path, port: int) -> AsyncIterator[ProxyApi]:
    """Listens on the loopback of the namespace at ``pin`` until the block ends."""
    store = MemoryStore()
    config = ApiConfig(service_cidrs=SERVICE_CIDRS)
    api = Api(store=store, registry=build_registry(), clock=SystemClock(), config=config)
    await api.start()
    listener = netns.open_socket(pin, socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    serving = await serve_api(api, sockets=[listener], tls=None, authenticate=_anybody)
    made = ProxyApi(store, port)
    try:
        await made.put({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "default"}})
        yield made
    finally:
        await serving.close()
        await store.close()


def read_objects(folder: Path) -> list[Obj]:
    """What a scenario's objects.yaml says, with the API version and defaults that clients rely on."""
    return [
        _defaulted(obj) for obj in yaml.safe_load_all((folder / "objects.yaml").read_text()) if obj["kind"] in KINDS
    ]


def _defaulted(obj: Obj) -> Obj:
    """A Service as an API server would have stored it; others are whole."""
    if obj["kind"] != "Service":
        return obj
    spec = {"type": "ClusterIP", "sessionAffinity": "None", **obj["spec"]}
    if spec.get("clusterIP"):
        spec.setdefault("clusterIPs", [spec["clusterIP"]])
        spec.setdefault("ipFamilies", ["IPv6" if ":" in ip else "IPv4" for ip in spec["clusterIPs"]])
        spec.setdefault("internalTrafficPolicy", "Cluster")
    if spec["type"] in ("NodePort", "LoadBalancer") or spec.get("externalIPs"):
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if spec["sessionAffinity"] == "ClientIP":
        spec.setdefault("sessionAffinityConfig", {"clientIP": {"timeoutSeconds": 10800}})
    spec["ports"] = [{"protocol": "TCP", "targetPort": port["port"], **port} for port in spec.get("ports", [])]
    ingress = obj.get("status", {}).get("loadBalancer", {}).get("ingress", [])
    shown = [{"ipMode": "VIP", **one} if one.get("ip") else one for one in ingress]
    return {**obj, "spec": spec, "status": {"loadBalancer": {"ingress": shown} if shown else {}}}
