"""A node whose proxy is a process of its own, ``seamark proxy``, and the objects it is asked to serve."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from seamark.client.client import Client
from seamark.linux import netns
from seamark.machinery.gvr import ENDPOINTSLICES, NODES, SERVICES
from seamark.testing.builders import make_node, to_create
from seamark.testing.networld import World

NODE, VIP = "172.30.0.11", "10.96.7.9"
A, B = "10.244.1.2", "10.244.1.3"
RUN = "from seamark.__main__ import main; main()"


@dataclass
class Attached:
    """A node whose proxy is a process, and the client that fills the API."""

    world: World
    client: Client
    argv: list[str]
    process: asyncio.subprocess.Process
    errors: int | None = None

    async def restart(self) -> None:
        """The same command again."""
        self.process = await asyncio.create_subprocess_exec(*self.argv, stderr=self.errors)

    async def get(self, path: str, port: int, address: str = "127.0.0.1") -> tuple[int, str]:
        with netns.open_socket(self.world.node_pin, socket.AF_INET, socket.SOCK_STREAM) as asking:
            asking.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(asking, (address, port))
            await loop.sock_sendall(asking, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            data = b""
            while piece := await loop.sock_recv(asking, 65536):
                data += piece
        head, _, body = data.decode().partition("\r\n\r\n")
        return int(head.split(" ")[1]), body

    async def until(self, path: str, status: int, port: int = 10256) -> str:
        async with asyncio.timeout(15):
            while True:
                try:
                    found, body = await self.get(path, port)
                    if found == status:
                        return body
                except ConnectionRefusedError:
                    pass
                await asyncio.sleep(0.05)

    async def answers(self, source: str, destination: str, port: int, client: str) -> None:
        async with asyncio.timeout(5):
            while (await self.world.ask(source, destination, port)).client != client:  # noqa: ASYNC110 - the kernel
                await asyncio.sleep(0.02)


Attach = Callable[..., AbstractAsyncContextManager[Attached]]
"""``attach(*flags, wrapper=(), errors=None)``: the proxy runs in the block; KUBECONFIG in a flag is a path."""


async def fill(client: Client) -> None:
    node = to_create(make_node("node1", podCIDR="10.244.1.0/24", podCIDRs=["10.244.1.0/24"]))
    created = await client.create(NODES, node)
    created["status"]["addresses"] = [{"type": "InternalIP", "address": NODE}]
    await client.update_status(NODES, created)
    ports = [{"name": "http", "port": 80, "nodePort": 30080}]
    meta = {"name": "web", "namespace": "default"}
    await client.create(SERVICES, {"metadata": meta, "spec": {"type": "NodePort", "clusterIP": VIP, "ports": ports}})
    piece = {
        "metadata": {"name": "web-x", "namespace": "default", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [{"addresses": [B], "nodeName": "node1"}],
    }
    await client.create(ENDPOINTSLICES, piece)
