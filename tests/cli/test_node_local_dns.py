"""``seamark up --node-local-dns``: a node answers its DNS itself."""

from __future__ import annotations

import asyncio
import os
import socket
import time

import dns.message
import pytest
from conformance.cluster import Cluster, running_cluster

from seamark.linux import netns
from seamark.machinery.gvr import DAEMONSETS

pytestmark = [
    pytest.mark.net,
    pytest.mark.skipif(os.geteuid() != 0, reason="nodes need root"),
    pytest.mark.timeout(120),
]
LOCAL, CLUSTER = "169.254.20.10", "10.96.0.10"


def ask(cluster: Cluster, server: str) -> str:
    with netns.open_socket(cluster.data / "run" / "netns" / "master1", socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(3)
        asking.sendto(dns.message.make_query("kubernetes.default.svc.cluster.local.", "A").to_wire(), (server, 53))
        wire, (source, _) = asking.recvfrom(4096)
    assert source == server
    return str(dns.message.from_wire(wire).answer[0][0].to_text())


def questions(cluster: Cluster) -> int:
    """How many questions for addresses the node's own server says it was asked."""
    with netns.open_socket(cluster.data / "run" / "netns" / "master1", socket.AF_INET, socket.SOCK_STREAM) as asking:
        asking.settimeout(3)
        asking.connect((LOCAL, 9253))
        asking.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        text = b"".join(iter(lambda: asking.recv(65536), b"")).decode()
    lines = (line for line in text.splitlines() if line.startswith("coredns_dns_requests_total{"))
    return sum(int(float(line.rsplit(" ", 1)[1])) for line in lines if 'type="A"' in line)


def is_ready(cluster: Cluster) -> bool:
    async def look() -> bool:
        client = cluster.client()
        try:
            found = await client.get(DAEMONSETS, "node-local-dns", namespace="kube-system")
            return bool((found.get("status") or {}).get("numberReady"))
        finally:
            await client.close()

    return asyncio.run(look())


def test_a_node_answers_its_dns_itself() -> None:
    with running_cluster("--nodes", "1", "--node-local-dns") as cluster:
        end = time.monotonic() + 60
        while not is_ready(cluster):
            assert time.monotonic() < end
            time.sleep(0.1)
        before = questions(cluster)
        assert [ask(cluster, server) for server in (LOCAL, CLUSTER)] == ["10.96.0.1"] * 2
        assert questions(cluster) == before + 2, "none went to the cluster's DNS"
