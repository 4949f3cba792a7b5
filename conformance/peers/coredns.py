"""CoreDNS with Seamark's API as its registry, as the service account that it has in a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dns.asyncquery
import dns.message
import dns.reversename

from conformance.cluster import Cluster
from conformance.dns.servers import free_port
from conformance.peers.checks import Checks, running
from seamark.machinery import gvr as g

COREFILE = """
cluster.local in-addr.arpa {
    bind 127.0.0.1
    kubernetes cluster.local in-addr.arpa {
        kubeconfig FILE
        pods verified
    }
}
"""


def endpoint(ip: str, name: str) -> dict[str, Any]:
    return {"addresses": [ip], "hostname": name, "conditions": {"ready": True}}


async def check_coredns(cluster: Cluster, binary: Path, log: Path) -> Checks:
    checks, client, port = Checks("CoreDNS"), cluster.client(), free_port()
    file = log.with_name("Corefile")
    file.write_text(COREFILE.replace("FILE", str(cluster.kubeconfig_of("system:serviceaccount:kube-system:coredns"))))
    spec = {"ports": [{"name": "http", "port": 80}], "selector": {"app": "none"}}
    await client.create(g.SERVICES, {"metadata": {"name": "web", "namespace": "default"}, "spec": spec})
    await client.create(
        g.SERVICES,
        {"metadata": {"name": "each", "namespace": "default"}, "spec": {"clusterIP": "None", "ports": spec["ports"]}},
    )
    sliced: dict[str, Any] = {
        "metadata": {
            "name": "each-1",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": "each"},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 80, "protocol": "TCP"}],
        "endpoints": [endpoint("10.244.0.1", "a"), endpoint("10.244.0.2", "b")],
    }
    await client.create(g.ENDPOINTSLICES, sliced)
    virtual = (await client.get(g.SERVICES, "web", namespace="default"))["spec"]["clusterIP"]

    async def answers(name: str, kind: str, *wanted: str) -> bool:
        answer = await dns.asyncquery.udp(dns.message.make_query(name, kind), "127.0.0.1", port=port, timeout=2)
        found = {str(record) for rrset in answer.answer for record in rrset}
        return found == set(wanted)

    with running([str(binary), "-conf", str(file), "-dns.port", str(port)], log):
        each = "each.default.svc.cluster.local."
        web = "web.default.svc.cluster.local."
        await checks.until("A of a Service", lambda: answers(web, "A", virtual))
        await checks.until("SRV of its port", lambda: answers(f"_http._tcp.{web}", "SRV", f"0 100 80 {web}"))
        await checks.until("A of a headless Service", lambda: answers(each, "A", "10.244.0.1", "10.244.0.2"))
        await checks.until("A of one endpoint", lambda: answers(f"b.{each}", "A", "10.244.0.2"))
        reverse = str(dns.reversename.from_address(virtual))
        await checks.until("PTR of a ClusterIP", lambda: answers(reverse, "PTR", web))
        await checks.until("no such name", lambda: answers("nosuch.default.svc.cluster.local.", "A"))
        fewer = {"endpoints": sliced["endpoints"][:1]}
        await client.patch(g.ENDPOINTSLICES, "each-1", fewer, namespace="default")
        await checks.until("a change is followed", lambda: answers(each, "A", "10.244.0.1"))
        cluster.crash()
        cluster.seamark("up", "--detach")
        fewer = {"endpoints": sliced["endpoints"][1:]}
        await cluster.client().patch(g.ENDPOINTSLICES, "each-1", fewer, namespace="default")
        await checks.until("a change after a crash of the API server, too", lambda: answers(each, "A", "10.244.0.2"))
    return checks
