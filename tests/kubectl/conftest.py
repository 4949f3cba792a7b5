"""A real kubectl against a real API server: HTTPS on a loopback socket, own CA, own kubeconfig.

The binary is $KUBECTL, else the one on PATH, else .tools/bin/kubectl; further minors under .tools/kubectl-* are tried
as well, each as a parameter of its own.
"""

from __future__ import annotations

import asyncio
import filecmp
import os
import shutil
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme
import uvloop
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from seamark.api.app import Api
from seamark.api.authn import Authenticator
from seamark.api.config import ApiConfig
from seamark.api.server import serve_api, server_tls
from seamark.client.client import Client
from seamark.client.inprocess import InProcessTransport
from seamark.linux.clock import SystemClock
from seamark.machinery.gvr import NAMESPACES, SERVICEACCOUNTS
from seamark.machinery.streams import NodeStreams
from seamark.machinery.wire import Identity
from seamark.resources.table import build_registry
from seamark.store.memory import MemoryStore

ROOT = Path(__file__).parent.parent.parent
Nodes = dict[str, NodeStreams]
TOKEN = "static-token-of-the-tests"


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that ``seamark up`` runs on."""
    return {"uvloop": uvloop.new_event_loop}


def binaries() -> list[str]:
    found = [os.environ.get("KUBECTL", ""), shutil.which("kubectl") or "", str(ROOT / ".tools/bin/kubectl")]
    first = next((f for f in found if f and Path(f).exists()), None)
    more = [str(p) for p in sorted(ROOT.glob(".tools/kubectl-*/kubectl"))]
    known = first is None or any(filecmp.cmp(first, one, shallow=False) for one in more)
    return more if known else [str(first), *more]


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    def __str__(self) -> str:
        return f"exit {self.code}\n--- out\n{self.out}\n--- err\n{self.err}"


class Kubectl:
    """``await kubectl("get", "pods")``; fails on a non-zero exit unless ``fails=True``."""

    def __init__(self, binary: str, home: Path, kubeconfig: Path, client: Client, nodes: Nodes) -> None:
        self.binary = binary
        self.home = home
        self.kubeconfig = kubeconfig
        self.client = client
        self.nodes = nodes

    @property
    def environment(self) -> dict[str, str]:
        return {"HOME": str(self.home), "KUBECONFIG": str(self.kubeconfig), "PATH": os.environ["PATH"]}

    async def start(self, *args: str, **env: str) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            self.binary, *args, stdin=pipe, stdout=pipe, stderr=pipe, env={**self.environment, **env}
        )

    async def __call__(self, *args: str, stdin: str = "", fails: bool = False, **env: str) -> Result:
        process = await self.start(*args, **env)
        try:
            async with asyncio.timeout(30):
                out, err = await process.communicate(stdin.encode())
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        result = Result(process.returncode or 0, out.decode(), err.decode())
        assert (result.code != 0) == fails, f"kubectl {' '.join(args)}: {result}"
        return result


@pytest.fixture(params=binaries() or [None], ids=lambda p: Path(p).parent.name if p else "missing")
async def kubectl(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Kubectl]:
    if request.param is None:
        pytest.skip("no kubectl: set KUBECTL, or run tools/fetch-kubectl")
    authority = trustme.CA()
    server, admin = (
        authority.issue_cert("127.0.0.1"),
        authority.issue_cert(common_name="admin", organization_name="system:masters"),
    )
    paths = {name: tmp_path / f"{name}.pem" for name in ("ca", "server", "admin")}
    authority.cert_pem.write_to_path(paths["ca"])
    server.private_key_and_cert_chain_pem.write_to_path(paths["server"])
    admin.private_key_and_cert_chain_pem.write_to_path(paths["admin"])
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    config = ApiConfig(service_account_key=key, tokens={TOKEN: Identity("token-user", ("testers", "system:masters"))})
    store, clock = MemoryStore(), SystemClock()
    nodes: Nodes = {}
    api = Api(store=store, registry=build_registry(), clock=clock, config=config, nodes=nodes.get)
    await api.start()
    client = Client(InProcessTransport(api.handle), identity=Identity("setup", ("system:masters",)))
    for name in ("default", "kube-system"):
        await client.create(NAMESPACES, {"metadata": {"name": name}})
    await client.create(SERVICEACCOUNTS, {"metadata": {"name": "default", "namespace": "default"}})
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    tls = server_tls(certificate=paths["server"], key=paths["server"], client_ca=paths["ca"])
    serving = await serve_api(api, sockets=[listener], tls=tls, authenticate=Authenticator(api.core))
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(render_kubeconfig(listener.getsockname()[1], paths))
    yield Kubectl(request.param, tmp_path, kubeconfig, client, nodes)
    await serving.close()
    await store.close()


def render_kubeconfig(port: int, paths: dict[str, Path]) -> str:
    certificate = {"client-certificate": str(paths["admin"]), "client-key": str(paths["admin"])}
    users = {"admin": certificate, "token": {"token": TOKEN}, "wrong": {"token": "wrong"}, "nobody": {}}
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "test",
                    "cluster": {
                        "server": f"https://127.0.0.1:{port}",
                        "certificate-authority": str(paths["ca"]),
                    },
                }
            ],
            "users": [{"name": name, "user": user} for name, user in users.items()],
            "contexts": [{"name": name, "context": {"cluster": "test", "user": name}} for name in users],
            "current-context": "admin",
        }
    )
