"""Fixtures every room may use: a clock that moves when told, and an API server in this process with its client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from seamark.api.app import Api
from seamark.client.client import Client
from seamark.client.inprocess import InProcessTransport
from seamark.machinery.gvr import NAMESPACES
from seamark.machinery.wire import ADMIN_GROUP, Identity
from seamark.resources.table import build_registry
from seamark.store.memory import MemoryStore
from seamark.testing.clock import FakeClock

ADMIN = Identity("kubernetes-admin", (ADMIN_GROUP, "system:authenticated"))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def api(clock: FakeClock) -> AsyncIterator[Api]:
    """The API application over a store in memory, with the real kinds and the namespaces default and kube-system."""
    store = MemoryStore(now=clock.time)
    made = Api(store=store, registry=build_registry(), clock=clock)
    await made.start()
    admin = Client(InProcessTransport(made.handle), identity=ADMIN)
    for name in ("default", "kube-system"):
        await admin.create(NAMESPACES, {"metadata": {"name": name}})
    yield made
    await store.close()


@pytest.fixture
def client_for(api: Api) -> Callable[[Identity], Client]:
    """A client of ``api`` that asks as somebody else."""
    return lambda identity: Client(InProcessTransport(api.handle), identity=identity)


@pytest.fixture
def client(client_for: Callable[[Identity], Client]) -> Client:
    """A client of ``api`` with the administrator's identity."""
    return client_for(ADMIN)
