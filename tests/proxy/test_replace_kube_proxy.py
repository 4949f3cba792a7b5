"""docs/replace-kube-proxy.md, followed on one node: its configuration, its commands, what it says one sees.

Against Seamark's API always; from the real kube-proxy and back, with its rights, on a real kube-apiserver of today and
the oldest that the page names, where SEAMARK_PEERS=1 asks for it (``make test-proxy-attached``).
"""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from conformance.cluster import running_cluster
from conformance.kubeapi import running_kube_apiserver
from conformance.proxy.peer import build_kube_proxy

from seamark.client.client import Client
from seamark.client.kubeconfig import load_kubeconfig
from seamark.linux import netns
from seamark.machinery import gvr as g
from seamark.testing.networld import OUTSIDE, World, make_world
from seamark.testing.relay import Relay

PAGE = (Path(__file__).parents[2] / "docs" / "replace-kube-proxy.md").read_text()
(CONFIG,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
SWITCH, FLAGS, LOOK, EXPLAIN, BACK = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
PEERS = pytest.mark.skipif(not os.environ.get("SEAMARK_PEERS"), reason="make test-proxy-attached")
NODE, CLIENT, PODS = "172.30.0.11", "10.244.1.9", ("10.244.1.2", "10.244.1.3")
VIP, API_PORT = "10.96.7.9", 6443
PATIENCE = 30.0
pytestmark = [
    pytest.mark.net,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.timeout(180),
]


class Node:
    """The page's node: its words are run in the namespace, with its files in ``root``."""

    def __init__(self, world: World, relay: Relay, client: Client, root: Path, kube_proxy: Path | None) -> None:
        self.world, self.relay, self.client, self.root, self.kube_proxy = world, relay, client, root, kube_proxy
        self.running: subprocess.Popen[bytes] | None = None
        self.log = root / "log"

    def command(self, line: str) -> tuple[str, ...]:
        line = line.replace("/var/lib/kube-proxy", str(self.root))
        program, *words = shlex.split(line)
        found = {"seamark": [sys.executable, "-m", "seamark"], "kube-proxy": [str(self.kube_proxy)]}
        return netns.command(self.world.node_pin, *found.get(program, [program]), *words)

    def run(self, line: str) -> str:
        done = subprocess.run(self.command(line), capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
        return done.stdout

    def succeeds(self, line: str) -> bool:
        return subprocess.run(self.command(line), capture_output=True, check=False).returncode == 0

    def start(self, line: str) -> None:
        with self.log.open("ab") as out:
            self.running = subprocess.Popen(self.command(line), stdout=out, stderr=out)

    def end(self) -> None:
        if self.running is not None:
            self.running.send_signal(signal.SIGTERM)
            self.running.wait(30)
            self.running = None

    async def until(self, holds: Callable[[], Awaitable[bool]]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not await holds():
            assert self.running is None or self.running.poll() is None, self.log.read_text()[-3000:]
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            await asyncio.sleep(0.05)

    async def is_healthy(self) -> bool:
        return self.succeeds("curl -sf http://127.0.0.1:10256/healthz")

    async def reaches(self, *pods: str, ip: str = VIP, port: int = 80, source: str = CLIENT) -> bool:
        answers = [await self.world.ask(source, ip, port, patience=1) for _ in range(20)]
        return {answer.server for answer in answers} == {f"{pod}:8080" for pod in pods}


APIS = {
    "seamark": lambda: running_cluster("--nodes", "0"),
    "kube-apiserver": running_kube_apiserver,
    "kube-apiserver-oldest": lambda: running_kube_apiserver(oldest=True),
}


@pytest.fixture(params=[pytest.param(name, marks=PEERS if name != "seamark" else ()) for name in APIS])
def api(request: pytest.FixtureRequest) -> Iterator[Any]:
    with APIS[request.param]() as found:
        yield found


@pytest.fixture
async def node(api: Any, tmp_path: Path) -> Any:
    """With one Service, and a client on it; the API server is on the node's loopback."""
    is_peer = os.environ.get("SEAMARK_PEERS") and not getattr(api, "oldest", False)  # too old for that kube-proxy
    kube_proxy = build_kube_proxy() if is_peer else None
    with (
        make_world(tmp_path / "netns", node=NODE, pods=(CLIENT, *PODS)) as world,
        relayed(api, world, tmp_path) as relay,
    ):
        client = Client(load_kubeconfig(api.kubeconfig).transport())
        made = Node(world, relay, client, tmp_path, kube_proxy)
        servers = [await serve(world, pod) for pod in PODS]
        try:
            await fill(client)
            yield made
        finally:
            made.end()
            for server in servers:
                server.close()
            await client.close()


@contextmanager
def relayed(api: Any, world: World, root: Path) -> Iterator[Relay]:
    """With kube-proxy's own rights where the API server has somebody who can prove to be it."""
    relay = Relay(int(api.url.rsplit(":", 1)[1]), API_PORT, pin=world.node_pin)
    is_peer = hasattr(api, "kubeconfig_of_certificate")
    kubeconfig = api.kubeconfig_of_certificate("system:kube-proxy") if is_peer else api.kubeconfig
    text = kubeconfig.read_text().replace(api.url, f"https://127.0.0.1:{API_PORT}")
    (root / "kubeconfig.conf").write_text(text)
    (root / "config.conf").write_text(CONFIG.replace("/var/lib/kube-proxy", str(root)))
    relay.restore()
    try:
        yield relay
    finally:
        relay.cut()


async def fill(client: Client) -> None:
    status = {"addresses": [{"type": "InternalIP", "address": NODE}]}
    await client.create(g.NODES, {"metadata": {"name": "node1"}})
    await client.patch(g.NODES, "node1", {"status": status}, subresource="status")
    spec = {"type": "NodePort", "clusterIP": VIP, "ports": [{"name": "http", "port": 80, "nodePort": 30080}]}
    await client.create(g.SERVICES, {"metadata": {"name": "web", "namespace": "default"}, "spec": spec})
    await client.create(g.ENDPOINTSLICES, endpoints(PODS[0]))
    container = {"name": "main", "image": "none.test/none"}
    body = {"nodeName": "node1", "containers": [container], "automountServiceAccountToken": False}
    await client.create(g.PODS, {"metadata": {"name": "client", "namespace": "default"}, "spec": body})
    pods = {"metadata": {"name": "pods"}, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]}
    await client.create(g.CLUSTERROLES, pods)  # what the page says of explain
    group = "rbac.authorization.k8s.io"
    role = {"apiGroup": group, "kind": "ClusterRole", "name": "pods"}
    subjects = [{"apiGroup": group, "kind": "User", "name": "system:kube-proxy"}]
    binding = {"metadata": {"name": "pods"}, "roleRef": role, "subjects": subjects}
    await client.create(g.CLUSTERROLEBINDINGS, binding)
    told = {"phase": "Running", "podIP": CLIENT, "podIPs": [{"ip": CLIENT}]}
    await client.patch(g.PODS, "client", {"status": told}, namespace="default", subresource="status")


def endpoints(*pods: str) -> dict[str, Any]:
    return {
        "metadata": {"name": "web-x", "namespace": "default", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [{"addresses": [pod], "nodeName": "node1", "conditions": {"ready": True}} for pod in pods],
    }


async def test_the_page_is_followed(node: Node, api: Any) -> None:
    cleanup, start = SWITCH.splitlines()
    if node.kube_proxy is not None:
        await run_kube_proxy(node, PODS[0])
        async with connected(node.world) as lives:
            node.end()
            node.run(cleanup)
            assert "kube-proxy" not in node.run("nft list tables")
            node.start(start)
            await node.until(lambda: node.reaches(PODS[0]))
            assert await lives()
    else:
        node.start(start)
        await node.until(lambda: node.reaches(PODS[0]))
    async with connected(node.world) as lives:
        await node.until(node.is_healthy)
        await look(node)
        await follow(node)
        if hasattr(api, "stop"):
            await follow_a_restart(node, api)
        await start_by_flags(node)
        assert await lives()
        node.run(BACK.strip())
        assert not re.search("seamark|KUBE-", node.run("nft list ruleset"))
        assert await is_gone(node.world, VIP)
        if node.kube_proxy is not None:
            await run_kube_proxy(node, *PODS)
            assert await lives(), "translated again: the kernel translates nothing where nobody has a nat chain"


async def start_by_flags(node: Node) -> None:
    """Each over the rules of the one before, which stay when it ends."""
    for line in FLAGS.splitlines():
        node.end()
        assert await node.reaches(*PODS)
        node.start(line if "--hostname-override" in line else f"{line} --hostname-override node1")
        await node.until(node.is_healthy)
        assert await node.reaches(*PODS)
    await node.until(lambda: has_no_nft_table(node))
    node.end()


async def has_no_nft_table(node: Node) -> bool:
    return "seamark" not in node.run("nft list tables")


async def run_kube_proxy(node: Node, *pods: str) -> None:
    """With the page's file, but for what a namespace does not let it set."""
    file = node.root / "theirs.conf"
    file.write_text((node.root / "config.conf").read_text() + "mode: nftables\nconntrack: {maxPerCore: 0}\n")
    node.start(f"kube-proxy --config {file} --hostname-override node1")
    await node.until(lambda: node.reaches(*pods))


async def look(node: Node) -> None:
    health, mode, metrics, table = (node.run(line) for line in LOOK.splitlines())
    assert "lastUpdated" in health
    assert mode == "nftables"
    assert "kubeproxy_sync_proxy_rules_last_timestamp_seconds" in metrics
    assert VIP in table
    by_pod, by_address = (node.run(line) for line in EXPLAIN.splitlines())
    for told in (by_pod, by_address):
        assert VIP in told
        assert f"{PODS[0]}:8080" in told


async def follow(node: Node) -> None:
    """What is created, changed and deleted at the API server is in force."""
    await node.until(lambda: node.reaches(PODS[0], ip=NODE, port=30080, source=OUTSIDE))
    piece = await node.client.get(g.ENDPOINTSLICES, "web-x", namespace="default")
    await node.client.update(g.ENDPOINTSLICES, {**piece, "endpoints": endpoints(*PODS)["endpoints"]})
    await node.until(lambda: node.reaches(*PODS))
    spec = {"clusterIP": "10.96.7.10", "ports": [{"name": "http", "port": 80}]}
    meta = {"name": "late", "namespace": "default"}
    await node.client.create(g.SERVICES, {"metadata": meta, "spec": spec})
    late = endpoints(PODS[1])
    late["metadata"] = {**meta, "labels": {"kubernetes.io/service-name": "late"}}
    await node.client.create(g.ENDPOINTSLICES, late)
    await node.until(lambda: node.reaches(PODS[1], ip="10.96.7.10"))
    await node.client.delete(g.SERVICES, "late", namespace="default")
    await node.until(lambda: is_gone(node.world, "10.96.7.10"))


async def follow_a_restart(node: Node, api: Any) -> None:
    """The API server is away, and has begun anew when it is back: it cannot tell what came in between."""
    node.relay.cut()
    spec = {"clusterIP": "10.96.7.11", "ports": [{"name": "http", "port": 80}]}
    meta = {"name": "missed", "namespace": "default"}
    await node.client.create(g.SERVICES, {"metadata": meta, "spec": spec})
    missed = endpoints(PODS[1])
    missed["metadata"] = {**meta, "labels": {"kubernetes.io/service-name": "missed"}}
    await node.client.create(g.ENDPOINTSLICES, missed)
    await asyncio.to_thread(api.stop)
    assert await node.reaches(*PODS), "what is in force stays"
    await asyncio.to_thread(api.start)
    node.relay.restore()
    await node.until(lambda: node.reaches(PODS[1], ip="10.96.7.11"))
    assert await node.reaches(*PODS)


async def is_gone(world: World, ip: str) -> bool:
    return (await world.ask(CLIENT, ip, 80, patience=0.5)).result != "answer"


async def serve(world: World, pod: str) -> asyncio.Server:
    """Says who it is and who asks, as the world's own do, then repeats whatever it hears."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"{pod}:8080 {writer.get_extra_info('peername')[0]}".encode())
        try:
            while heard := await reader.read(100):
                writer.write(heard)
        except (ConnectionError, asyncio.CancelledError):  # the test is over
            pass
        finally:
            writer.close()

    listener = netns.open_socket(world.pin_of(pod), socket.AF_INET, socket.SOCK_STREAM)
    listener.bind((pod, 8080))
    return await asyncio.start_server(greet, sock=listener)


@asynccontextmanager
async def connected(world: World) -> AsyncIterator[Callable[[], Awaitable[bool]]]:
    """A connection to the Service that stays, and a way to see that it is alive."""
    loop = asyncio.get_running_loop()
    with world.open_client(CLIENT) as client:
        assert (await world.exchange(client, VIP, 80)).result == "answer"

        async def lives() -> bool:
            async with asyncio.timeout(5):
                await loop.sock_sendall(client, b"still here")
                return await loop.sock_recv(client, 100) == b"still here"

        yield lives
