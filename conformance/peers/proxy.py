"""kube-proxy on a node without Seamark's proxy: it programs nft, and connections arrive."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from conformance.cluster import Cluster
from conformance.peers.checks import Checks, output, running
from seamark.linux import netns
from seamark.machinery import gvr as g

NODE = "master1"
SERVE = "mkdir -p /tmp/w; cd /tmp/w; hostname > name; exec python3 -m http.server 8080"


def objects() -> list[tuple[g.GVR, dict[str, Any]]]:
    container: dict[str, Any] = {"name": "main", "image": "seamark.local/host", "command": ["sh", "-c", SERVE]}
    container["readinessProbe"] = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
    }
    selector = {"matchLabels": {"app": "web"}}
    meta = {"namespace": "default"}
    deployment = {"replicas": 2, "selector": selector, "template": template}
    service: dict[str, Any] = {
        "selector": {"app": "web"},
        "type": "NodePort",
        "ports": [{"port": 80, "targetPort": 8080, "nodePort": 30080}],
    }
    return [
        (g.DEPLOYMENTS, {"metadata": {"name": "web", **meta}, "spec": deployment}),
        (g.SERVICES, {"metadata": {"name": "web", **meta}, "spec": service}),
    ]


async def check_proxy(cluster: Cluster, binary: Path, log: Path) -> Checks:
    checks, client = Checks("kube-proxy"), cluster.client()
    enter = netns.command(cluster.data / "run" / "netns" / NODE)
    address = (await client.get(g.NODES, NODE))["status"]["addresses"][0]["address"]
    for gvr, obj in objects():
        await client.create(gvr, obj)
    virtual = (await client.get(g.SERVICES, "web", namespace="default"))["spec"]["clusterIP"]

    async def ask(url: str) -> str:
        return await output(*enter, "curl", "-s", "--max-time", "3", url)

    async def reaches_both(url: str) -> bool:
        return len({await ask(url) for _ in range(20)}) == 2

    async def is_refused() -> bool:
        try:
            await ask(f"http://{virtual}/name")
        except RuntimeError:
            return True
        return False

    command = [
        *enter,
        str(binary),
        f"--kubeconfig={cluster.kubeconfig_of('system:kube-proxy', url=f'https://{address}:6443')}",
        f"--hostname-override={NODE}",
        "--proxy-mode=nftables",
        "--cluster-cidr=10.244.0.0/16",
        "--conntrack-max-per-core=0",
    ]
    with running(command, log):

        async def has_table() -> bool:
            return "default/web" in await output(*enter, "nft", "list", "table", "ip", "kube-proxy")

        async def dns_is_ready() -> bool:
            found = await client.get(g.DEPLOYMENTS, "coredns", namespace="kube-system")
            return bool(found["status"].get("readyReplicas") == 2)

        async def is_resolved() -> bool:
            answer = await output(*enter, "dig", "+short", "@10.96.0.10", "web.default.svc.cluster.local")
            return answer.strip() == str(virtual)

        await checks.until("programs nft with the Service", has_table)
        await checks.until("a ClusterIP leads to every pod", lambda: reaches_both(f"http://{virtual}/name"))
        await checks.until("a node port leads to every pod", lambda: reaches_both(f"http://{address}:30080/name"))
        await checks.until("the API's own Service leads to it: DNS pods come up", dns_is_ready)
        await checks.until("the DNS's Service answers", is_resolved)
        await client.patch(g.DEPLOYMENTS, "web", {"spec": {"replicas": 0}}, namespace="default")
        await checks.until("a Service without pods refuses", is_refused)
        await client.patch(g.DEPLOYMENTS, "web", {"spec": {"replicas": 2}}, namespace="default")
        await checks.until("and leads to those that come", lambda: reaches_both(f"http://{virtual}/name"))
    return checks
