"""A cluster as a user has one: the ``seamark`` command as a process, on a data directory of the test's; and a
node with ``seamark proxy`` on it.
"""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
import yaml

from seamark.api.app import Api
from seamark.api.authn import Authenticator
from seamark.api.server import serve_api
from seamark.client.client import Client
from seamark.linux import netns
from seamark.testing.attachednode import NODE, RUN, A, Attach, Attached, B
from seamark.testing.networld import make_world

Seamark = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "cluster"


@pytest.fixture
def seamark(data_dir: Path) -> Iterator[Seamark]:
    """``seamark("up", "--nodes", "0")`` with --data-dir filled in; whatever it started is taken down at the end."""

    def run(*argv: str, env: dict[str, str] | None = None, seconds: float = 60) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "seamark", argv[0], "--data-dir", str(data_dir), *argv[1:]]
        return subprocess.run(
            command, capture_output=True, text=True, timeout=seconds, check=False, env={**os.environ, **(env or {})}
        )

    yield run
    if data_dir.exists() and os.access(data_dir, os.W_OK):
        done = run("down", "--purge")
        assert done.returncode == 0, done.stderr


def kubeconfig(port: int, authority: trustme.CA) -> str:
    issued = authority.issue_cert(common_name="system:kube-proxy", organization_name="system:masters")

    def inline(pem: bytes) -> str:
        return base64.b64encode(pem).decode()

    cluster = {"server": f"https://127.0.0.1:{port}", "certificate-authority-data": inline(authority.cert_pem.bytes())}
    user = {
        "client-certificate-data": inline(issued.cert_chain_pems[0].bytes()),
        "client-key-data": inline(issued.private_key_pem.bytes()),
    }
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "x",
            "clusters": [{"name": "x", "cluster": cluster}],
            "users": [{"name": "x", "user": user}],
            "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        }
    )


@pytest.fixture
async def attach(api: Api, client: Client, tmp_path: Path) -> AsyncIterator[Attach]:
    """The API server listens inside the node's namespace, where the proxy's process is."""
    authority = trustme.CA()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.configure_trust(tls)
    tls.verify_mode = ssl.CERT_OPTIONAL
    with make_world(tmp_path / "netns", node=NODE, pods=(A, B, "10.244.1.4")) as world:
        listener = netns.open_socket(world.node_pin, socket.AF_INET, socket.SOCK_STREAM)
        listener.bind(("127.0.0.1", 0))
        listener.setblocking(False)
        server = await serve_api(api, sockets=[listener], tls=tls, authenticate=Authenticator(api.core))
        access = tmp_path / "kubeconfig"
        access.write_text(kubeconfig(listener.getsockname()[1], authority))

        @asynccontextmanager
        async def start(
            *flags: str, wrapper: tuple[str, ...] = (), errors: int | None = None
        ) -> AsyncIterator[Attached]:
            told = [flag.replace("KUBECONFIG", str(access)) for flag in flags]
            argv = [*netns.command(world.node_pin), *wrapper, sys.executable, "-c", RUN, "proxy", *told]
            node = Attached(world, client, argv, await asyncio.create_subprocess_exec(*argv, stderr=errors), errors)
            try:
                yield node
            finally:
                if node.process.returncode is None:
                    node.process.kill()
                await node.process.wait()

        try:
            yield start
        finally:
            await server.close()
            listener.close()
