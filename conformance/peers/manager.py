"""kube-controller-manager in place of Seamark's controllers: every part of it that Seamark has kinds for does its work.

It runs as ``system:kube-controller-manager``, each of its controllers with a service account of its own
(``--use-service-account-credentials``), which Seamark's token and role machinery has to bear.
"""

from __future__ import annotations

import subprocess
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from conformance.cluster import Cluster, free_port
from conformance.peers.checks import Checks, running
from seamark.client.client import Client
from seamark.machinery import gvr as g
from seamark.machinery.status import StatusError

Obj = dict[str, Any]
NAMESPACE = "work"


def start_manager(
    cluster: Cluster, binary: Path, log: Path, *, elect: bool
) -> AbstractContextManager[subprocess.Popen[bytes]]:
    pki = cluster.data / "pki"
    return running(
        [
            str(binary),
            f"--kubeconfig={cluster.kubeconfig_of('system:kube-controller-manager')}",
            "--authentication-skip-lookup",
            "--bind-address=127.0.0.1",
            f"--secure-port={free_port()}",
            f"--leader-elect={str(elect).lower()}",
            "--use-service-account-credentials",
            f"--service-account-private-key-file={pki / 'service-account.key'}",
            f"--root-ca-file={pki / 'ca.crt'}",
            f"--cluster-signing-cert-file={pki / 'ca.crt'}",
            f"--cluster-signing-key-file={pki / 'ca.key'}",
            "--v=2",
        ],
        log,
    )


def template(name: str, *command: str, restart: str = "Always") -> Obj:
    container = {"name": "main", "image": "seamark.local/host", "command": list(command)}
    spec = {"terminationGracePeriodSeconds": 0, "restartPolicy": restart, "containers": [container]}
    return {"metadata": {"labels": {"app": "web", "set": name}}, "spec": spec}


def workload(name: str, **spec: Any) -> Obj:
    selector = {"matchLabels": {"set": name}}
    spec = {"selector": selector, "template": template(name, "sleep", "infinity"), **spec}
    return {"metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}


class Watched:
    """Questions about the namespace that the checks are made in."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def status(self, gvr: g.GVR, name: str, **wanted: Any) -> bool:
        found = (await self.client.get(gvr, name, namespace=NAMESPACE)).get("status") or {}
        return all(found.get(key) == value for key, value in wanted.items())

    async def count(self, gvr: g.GVR, number: int, *, selector: str = "") -> bool:
        query = {"labelSelector": selector} if selector else {}
        return len(await self.client.list(gvr, namespace=NAMESPACE, query=query)) == number

    async def is_gone(self, gvr: g.GVR, name: str, namespace: str = NAMESPACE) -> bool:
        try:
            await self.client.get(gvr, name, namespace=namespace)
        except StatusError as error:
            return error.code == 404
        return False


async def check_manager(cluster: Cluster, binary: Path, log: Path) -> Checks:
    checks, client = Checks("kube-controller-manager"), cluster.client()
    watched = Watched(client)
    with start_manager(cluster, binary, log, elect=True):
        await _check_namespace(checks, watched)
        await _check_workloads(checks, watched)
        await _check_services(checks, watched)
        await _check_policies(checks, watched)
        await _check_ends(checks, watched)
    with start_manager(cluster, binary, log, elect=False):
        await client.create(g.NAMESPACES, {"metadata": {"name": "again"}})
        await checks.until(
            "without leader election it goes on",
            lambda: client.get(g.SERVICEACCOUNTS, "default", namespace="again"),
        )
    return checks


async def _check_namespace(checks: Checks, watched: Watched) -> None:
    client = watched.client

    async def leads() -> bool:
        lease = await client.get(g.LEASES, "kube-controller-manager", namespace="kube-system")
        return bool(lease["spec"]["holderIdentity"])

    await checks.until("leads by a Lease", leads)
    await client.create(g.NAMESPACES, {"metadata": {"name": NAMESPACE}})
    await checks.until(
        "a namespace gets its service account", lambda: client.get(g.SERVICEACCOUNTS, "default", namespace=NAMESPACE)
    )
    await checks.until(
        "a namespace gets the root certificate",
        lambda: client.get(g.CONFIGMAPS, "kube-root-ca.crt", namespace=NAMESPACE),
    )

    async def dns_runs() -> bool:
        deployment = await client.get(g.DEPLOYMENTS, "coredns", namespace="kube-system")
        return bool(deployment["status"].get("readyReplicas") == 2)

    await checks.until("the cluster's DNS runs", dns_runs)


async def _check_workloads(checks: Checks, watched: Watched) -> None:
    client = watched.client
    await client.create(g.DEPLOYMENTS, workload("web", replicas=2))
    await checks.until(
        "Deployment: pods run and are available",
        lambda: watched.status(g.DEPLOYMENTS, "web", replicas=2, availableReplicas=2),
    )
    patch = {"spec": {"template": {"metadata": {"annotations": {"version": "2"}}}}}
    await client.patch(g.DEPLOYMENTS, "web", patch, namespace=NAMESPACE)
    await checks.until(
        "Deployment: rolls over to a new ReplicaSet",
        lambda: watched.status(g.DEPLOYMENTS, "web", observedGeneration=2, updatedReplicas=2, replicas=2),
    )
    await checks.until("Deployment: keeps the old ReplicaSet", lambda: watched.count(g.REPLICASETS, 2))
    await client.create(g.STATEFULSETS, workload("db", replicas=2, serviceName="db"))
    await checks.until(
        "StatefulSet: pods one after the other", lambda: watched.status(g.STATEFULSETS, "db", readyReplicas=2)
    )
    await client.create(g.DAEMONSETS, workload("each"))
    await checks.until("DaemonSet: a pod on the node", lambda: watched.status(g.DAEMONSETS, "each", numberReady=1))
    job = {"template": template("once", "true", restart="Never"), "completions": 2}
    await client.create(g.JOBS, {"metadata": {"name": "once", "namespace": NAMESPACE}, "spec": job})
    await checks.until("Job: completes", lambda: watched.status(g.JOBS, "once", succeeded=2))
    rc = {"replicas": 1, "selector": {"set": "old"}, "template": template("old", "sleep", "infinity")}
    await client.create(g.REPLICATIONCONTROLLERS, {"metadata": {"name": "old", "namespace": NAMESPACE}, "spec": rc})
    await checks.until(
        "ReplicationController: a pod", lambda: watched.status(g.REPLICATIONCONTROLLERS, "old", readyReplicas=1)
    )


async def _check_services(checks: Checks, watched: Watched) -> None:
    client = watched.client
    spec: Obj = {"selector": {"app": "web"}, "ports": [{"port": 80}]}
    await client.create(g.SERVICES, {"metadata": {"name": "web", "namespace": NAMESPACE}, "spec": spec})

    async def sliced() -> bool:
        query = {"labelSelector": "kubernetes.io/service-name=web"}
        slices = await client.list(g.ENDPOINTSLICES, namespace=NAMESPACE, query=query)
        ready = [e for s in slices for e in s.get("endpoints") or () if e["conditions"].get("ready")]
        by = {s["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] for s in slices}
        return len(ready) >= 6 and by == {"endpointslice-controller.k8s.io"}

    await checks.until("EndpointSlices follow the pods", sliced)

    async def has_endpoints() -> bool:
        found = await client.get(g.ENDPOINTS, "web", namespace=NAMESPACE)
        return len(found["subsets"][0]["addresses"]) >= 6

    await checks.until("Endpoints follow the pods", has_endpoints)
    await client.create(
        g.SERVICES, {"metadata": {"name": "hand", "namespace": NAMESPACE}, "spec": {"ports": [{"port": 80}]}}
    )
    subsets = [{"addresses": [{"ip": "192.0.2.9"}], "ports": [{"port": 80}]}]
    await client.create(g.ENDPOINTS, {"metadata": {"name": "hand", "namespace": NAMESPACE}, "subsets": subsets})
    await checks.until(
        "hand-made Endpoints are mirrored",
        lambda: watched.count(g.ENDPOINTSLICES, 1, selector="kubernetes.io/service-name=hand"),
    )


async def _check_policies(checks: Checks, watched: Watched) -> None:
    client = watched.client
    quota = {"metadata": {"name": "few", "namespace": NAMESPACE}, "spec": {"hard": {"services": "5"}}}
    await client.create(g.RESOURCEQUOTAS, quota)
    await checks.until(
        "ResourceQuota: counted",
        lambda: watched.status(g.RESOURCEQUOTAS, "few", hard={"services": "5"}, used={"services": "2"}),
    )
    budget = {"selector": {"matchLabels": {"set": "web"}}, "maxUnavailable": 1}
    await client.create(g.PODDISRUPTIONBUDGETS, {"metadata": {"name": "up", "namespace": NAMESPACE}, "spec": budget})
    await checks.until(
        "PodDisruptionBudget: one may go", lambda: watched.status(g.PODDISRUPTIONBUDGETS, "up", disruptionsAllowed=1)
    )


async def _check_ends(checks: Checks, watched: Watched) -> None:
    client = watched.client
    await client.delete(g.DEPLOYMENTS, "web", namespace=NAMESPACE, options={"propagationPolicy": "Foreground"})
    await checks.until("garbage collection: foreground", lambda: watched.is_gone(g.DEPLOYMENTS, "web"))
    await client.delete(g.DAEMONSETS, "each", namespace=NAMESPACE, options={"propagationPolicy": "Background"})
    await checks.until(
        "garbage collection: background",
        lambda: watched.count(g.PODS, 0, selector="set=each"),
    )
    await client.delete(g.NAMESPACES, NAMESPACE)
    await checks.until("a deleted namespace is emptied and goes", lambda: watched.is_gone(g.NAMESPACES, NAMESPACE, ""))
