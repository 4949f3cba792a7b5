"""Fixtures every room may use: a clock that moves when told, and an API server in this process with its client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import settings

from seamark.api.app import Api
from seamark.api.config import ApiConfig
from seamark.client.client import Client
from seamark.client.inprocess import InProcessTransport
from seamark.machinery.gvr import NAMESPACES
from seamark.machinery.wire import ADMIN_GROUP, Identity
from seamark.resources.table import build_registry
from seamark.store.memory import MemoryStore
from seamark.testing.clock import FakeClock

settings.register_profile("house", deadline=None)  # a busy machine says nothing about a property
settings.load_profile("house")

ADMIN = Identity("kubernetes-admin", (ADMIN_GROUP, "system:authenticated"))
ADMIN_TOKEN = "the-administrators-token"


@pytest.fixture(scope="session")
def signing_key() -> bytes:
    """A service-account key: PEM, ECDSA P-256."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def api(clock: FakeClock, signing_key: bytes) -> AsyncIterator[Api]:
    """The API application over a store in memory, with the real kinds and the namespaces default and kube-system."""
    store = MemoryStore(now=clock.time)
    config = ApiConfig(service_account_key=signing_key, tokens={ADMIN_TOKEN: ADMIN})
    made = Api(store=store, registry=build_registry(), clock=clock, config=config)
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


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write *.golden anew instead of comparing")


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))
