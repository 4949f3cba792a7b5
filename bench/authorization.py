"""What deciding adds to a request: the same get as an administrator (who is let through) and as an ordinary user.

    .venv/bin/python bench/authorization.py [--requests 20000] [--bindings 1000]

In process, over the store in memory, among many bindings of other users. To reach: under 5 µs more a request.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import Any

from seamark.api.app import Api
from seamark.api.authz.attributes import is_resource_path, target_attributes
from seamark.api.authz.impersonation import is_impersonation
from seamark.api.routing import parse_target
from seamark.client.client import Client
from seamark.client.inprocess import InProcessTransport
from seamark.linux.clock import SystemClock
from seamark.machinery.gvr import CLUSTERROLES, CONFIGMAPS, NAMESPACES, ROLEBINDINGS
from seamark.machinery.wire import ADMIN_GROUP, AUTHENTICATED, Identity, Request
from seamark.resources.table import build_registry
from seamark.store.memory import MemoryStore

ADMIN = Identity("root", (ADMIN_GROUP, AUTHENTICATED))
USER = Identity("user-1", ("developers", AUTHENTICATED))
PATH = "/api/v1/namespaces/default/configmaps/a"
HEADERS = {
    "host": "127.0.0.1",
    "user-agent": "kubectl",
    "accept": "application/json",
    "accept-encoding": "gzip",
    "authorization": "Bearer x",
}


async def build(bindings: int) -> Api:
    api = Api(store=MemoryStore(), registry=build_registry(), clock=SystemClock())
    await api.start()
    client = Client(InProcessTransport(api.handle), identity=ADMIN)
    await client.create(NAMESPACES, {"metadata": {"name": "default"}})
    await client.create(CONFIGMAPS, {"metadata": {"name": "a", "namespace": "default"}})
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}]
    await client.create(CLUSTERROLES, {"metadata": {"name": "reader"}, "rules": rules})
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "reader"}
    for i in range(bindings):
        made: dict[str, Any] = {"metadata": {"name": f"b{i}", "namespace": "default"}, "roleRef": ref}
        await client.create(ROLEBINDINGS, {**made, "subjects": [{"kind": "User", "name": f"user-{i}"}]})
    return api


async def gets(api: Api, who: Identity, count: int) -> float:
    request = Request("GET", PATH, (), HEADERS, b"", who)
    assert (await api.handle(request)).status == 200
    began = time.perf_counter()
    for _ in range(count):
        await api.handle(request)
    return (time.perf_counter() - began) / count * 1e6


async def decisions(api: Api, count: int) -> float:
    request = Request("GET", PATH, (), HEADERS, b"", USER)
    target = parse_target(api.core.registry, PATH)
    began = time.perf_counter()
    for _ in range(count):
        is_impersonation(request.headers)
        is_resource_path(request.path)
        await api.core.authorizer.check(USER, target_attributes(target, request))
    return (time.perf_counter() - began) / count * 1e6


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--bindings", type=int, default=1_000)
    options = parser.parse_args()
    api = await build(options.bindings)
    rounds = [(await gets(api, ADMIN, options.requests), await gets(api, USER, options.requests)) for _ in range(3)]
    print(f"get as an administrator   {min(a for a, _ in rounds):6.2f} µs")
    print(f"get as an ordinary user   {min(u for _, u in rounds):6.2f} µs")
    print(f"all of authorisation      {min([await decisions(api, options.requests) for _ in range(3)]):6.2f} µs")


if __name__ == "__main__":
    asyncio.run(main())
