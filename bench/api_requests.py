"""What one request costs the API server: CPU per request, in process, over the SQLite store with real fsyncs.

    .venv/bin/python bench/api_requests.py [--requests 300] [--memory] [--profile NAME]

Prints milliseconds of CPU (all threads) and of wall time per request, without HTTP and TLS (add 0.02–0.04 ms).
Figures to reach are those of the design: get 0.06, create ConfigMap 0.2, create Service 0.3, list of 500 Services 0.6.
Requests are those that kubectl sends: strict field validation, Tables for what it prints.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import json
import pstats
import resource
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from seamark.api.app import Api
from seamark.api.server import tune_malloc
from seamark.linux.clock import SystemClock
from seamark.machinery.clock import Clock
from seamark.machinery.wire import ADMIN_GROUP, Identity, Request, Response
from seamark.resources.table import build_registry
from seamark.store.memory import MemoryStore
from seamark.store.sqlite import SqliteStore

ADMIN = Identity("kubernetes-admin", (ADMIN_GROUP,))
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
CORE = "/api/v1/namespaces/bench"
TOGETHER = 64
STRICT = (("fieldManager", "kubectl-create"), ("fieldValidation", "Strict"))
Obj = dict[str, Any]


def service(name: str) -> Obj:
    ports = [{"name": "http", "port": 80, "targetPort": "http"}, {"name": "metrics", "port": 9090}]
    metadata = {"name": name, "labels": {"app": name, "tier": "web"}}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"selector": {"app": name}, "ports": ports},
    }


def config_map(name: str) -> Obj:
    data = {f"key-{i}": "value " * 5 for i in range(5)}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": {"app": name}}, "data": data}


def deployment(name: str) -> Obj:
    container = {
        "name": "web",
        "image": "web:1",
        "ports": [{"containerPort": 8080}],
        "env": [{"name": f"V{i}", "value": str(i)} for i in range(5)],
        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}},
    }
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
    spec = {"replicas": 2, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


class Bench:
    def __init__(self, api: Api, requests: int, profiled: str) -> None:
        self._api = api
        self._requests = requests
        self._profiled = profiled

    async def ask(
        self, method: str, path: str, body: Obj | None = None, *, query: Any = (), accept: str = "application/json"
    ) -> Response:
        headers = {"accept": accept, "content-type": "application/json", "user-agent": "kubectl/v1.36 (linux/amd64)"}
        if method == "PATCH":
            headers["content-type"] = "application/merge-patch+json"
        raw = json.dumps(body).encode() if body is not None else b""
        response = await self._api.handle(Request(method, path, tuple(query), headers, raw, ADMIN))
        if not response.ok:
            raise SystemExit(f"{method} {path}: {response.status} {response.body[:300]!r}")
        return response

    async def measure(self, name: str, once: Callable[[int], Awaitable[Response]], *, share: int = 1) -> None:
        times = max(1, self._requests // share)
        await once(1_000_000)  # what is done but once
        profile = cProfile.Profile() if self._profiled == name else None
        cpu, wall = _cpu(), time.perf_counter()
        if profile:
            profile.enable()
        for number in range(times):
            await once(number)
        if profile:
            profile.disable()
        cpu, wall = (_cpu() - cpu) * 1000 / times, (time.perf_counter() - wall) * 1000 / times
        print(f"{name:<28}{cpu:8.3f} ms CPU {wall:8.3f} ms wall   ({times} requests)")
        if profile:
            pstats.Stats(profile).sort_stats("tottime").print_stats(25)

    async def run(self) -> None:
        await self.ask("POST", "/api/v1/namespaces", {"metadata": {"name": "bench"}})
        deployments = "/apis/apps/v1/namespaces/bench/deployments"
        for path, make in ((f"{CORE}/services", service), (deployments, deployment)):
            for number in range(500):
                await self.ask("POST", path, make(f"s{number}"))
        create, table = self._create, self._table
        await self.measure("create ConfigMap", create(f"{CORE}/configmaps", config_map))
        await self.measure("create Service", create(f"{CORE}/services", service))
        await self.measure("create Deployment", create(deployments, deployment))
        for path, make, name in (
            (f"{CORE}/configmaps", config_map, "ConfigMap"),
            (f"{CORE}/services", service, "Service"),
        ):
            await self._measure_together(f"create {name}, {TOGETHER} at once", create(path, make))
        await self.measure("get ConfigMap", lambda _: self.ask("GET", f"{CORE}/configmaps/n1"))
        await self.measure("get Service", lambda _: self.ask("GET", f"{CORE}/services/s7"))
        await self.measure(
            "patch Service", lambda n: self.ask("PATCH", f"{CORE}/services/s7", {"metadata": {"labels": {"n": str(n)}}})
        )
        await self.measure("get Deployment as Table", lambda _: self.ask("GET", f"{deployments}/s7", accept=TABLE))
        few = (("limit", "500"),)
        await self.measure("list 500 Services", lambda _: self.ask("GET", f"{CORE}/services", query=few), share=10)
        await self.measure("Table of 500 Services", table(f"{CORE}/services"), share=10)
        await self.measure("Table of 500 Deployments", table(deployments), share=10)
        labelled = (*few, ("labelSelector", "app=s7"))
        await self.measure(
            "one of 800 by label", lambda _: self.ask("GET", f"{CORE}/services", query=labelled), share=10
        )

    async def _measure_together(self, name: str, once: Callable[[int], Awaitable[Response]]) -> None:
        """Many clients: their writes share commits, which is where a durable store earns its speed."""
        cpu, wall, rounds = _cpu(), time.perf_counter(), max(1, self._requests // TOGETHER)
        for turn in range(rounds):
            await asyncio.gather(*(once(2_000_000 + turn * TOGETHER + number) for number in range(TOGETHER)))
        times = rounds * TOGETHER
        cpu, wall = (_cpu() - cpu) * 1000 / times, (time.perf_counter() - wall) * 1000 / times
        print(f"{name:<28}{cpu:8.3f} ms CPU {wall:8.3f} ms wall   ({times} requests, {1000 / wall:.0f} a second)")

    def _create(self, path: str, make: Callable[[str], Obj]) -> Callable[[int], Awaitable[Response]]:
        return lambda number: self.ask("POST", path, make(f"n{number}"), query=STRICT)

    def _table(self, path: str) -> Callable[[int], Awaitable[Response]]:
        return lambda _: self.ask("GET", path, query=(("limit", "500"),), accept=TABLE)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=300)
    parser.add_argument("--memory", action="store_true", help="over the store in memory")
    parser.add_argument("--profile", default="", metavar="NAME", help="a line of the table, such as 'create Service'")
    given = parser.parse_args()
    tune_malloc()  # as the server does
    clock: Clock = SystemClock()
    with tempfile.TemporaryDirectory() as directory:
        store = MemoryStore(now=clock.time) if given.memory else SqliteStore(Path(directory) / "registry.db")
        api = Api(store=store, registry=build_registry(), clock=clock)
        await api.start()
        await Bench(api, given.requests, given.profile).run()
        await store.close()


if __name__ == "__main__":
    asyncio.run(main())
