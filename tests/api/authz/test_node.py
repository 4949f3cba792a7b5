"""What a node may do: by its pods, by its name, and by what the object says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from seamark.api.authz.defaults import default_objects
from seamark.api.authz.graph import NodeGraph, Related, related_to
from seamark.api.authz.node import judge_node, node_name
from seamark.client.client import Client
from seamark.machinery.authorize import Attributes, parse_rules
from seamark.machinery.gvr import (
    CONFIGMAPS,
    EVENTS_V1,
    LEASES,
    NAMESPACES,
    NODES,
    PODS,
    SECRETS,
    SERVICEACCOUNTS,
    SERVICES,
)
from seamark.machinery.status import StatusError
from seamark.machinery.wire import Identity

Obj = dict[str, Any]
RULES = parse_rules(next(o["rules"] for o in default_objects() if o["metadata"]["name"] == "system:node"))

POD: Obj = {
    "metadata": {"name": "p", "namespace": "ns"},
    "spec": {
        "nodeName": "n1",
        "serviceAccountName": "sa",
        "imagePullSecrets": [{"name": "pull"}],
        "initContainers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "init"}}}, {"value": "x"}]}],
        "containers": [
            {
                "env": [{"valueFrom": {"configMapKeyRef": {"name": "key"}}}],
                "envFrom": [{"secretRef": {"name": "all"}}, {"configMapRef": {"name": "whole"}}],
            }
        ],
        "volumes": [
            {"name": "a", "secret": {"secretName": "volume"}},
            {"name": "b", "configMap": {"name": "cmv"}},
            {"name": "c", "persistentVolumeClaim": {"claimName": "claim"}},
            {"name": "d", "ephemeral": {}},
            {"name": "e", "projected": {"sources": [{"secret": {"name": "ps"}}, {"configMap": {"name": "pc"}}]}},
            {"name": "f", "csi": {"nodePublishSecretRef": {"name": "csi"}}},
            {"name": "g", "emptyDir": {}},
        ],
    },
}


def test_all_that_a_pod_refers_to() -> None:
    found: dict[str, set[str]] = {}
    for one in related_to(POD):
        assert one.namespace == "ns"
        found.setdefault(one.resource, set()).add(one.name)
    assert found == {
        "pods": {"p"},
        "serviceaccounts": {"sa"},
        "secrets": {"pull", "init", "all", "volume", "ps", "csi"},
        "configmaps": {"key", "whole", "cmv", "pc"},
        "persistentvolumeclaims": {"claim", "p-d"},
    }
    mirror = {**POD, "metadata": {**POD["metadata"], "annotations": {"kubernetes.io/config.mirror": "x"}}}
    assert related_to(mirror) == {Related("pods", "ns", "p")}


def test_the_graph_follows_pods() -> None:
    graph = NodeGraph()
    unbound = {**POD, "spec": {**POD["spec"], "nodeName": ""}}
    graph.put("/p", unbound)
    assert not graph.reaches("n1", "secrets", "ns", "pull")
    graph.put("/p", POD)
    graph.put("/p", {**POD, "status": {"phase": "Running"}})
    graph.put("/q", {**POD, "metadata": {**POD["metadata"], "name": "q"}})
    assert graph.reaches("n1", "secrets", "ns", "pull") and not graph.reaches("n2", "secrets", "ns", "pull")
    assert not graph.reaches("n1", "secrets", "other", "pull")
    graph.drop("/p")
    assert graph.reaches("n1", "secrets", "ns", "pull") and not graph.reaches("n1", "pods", "ns", "p")
    graph.drop("/q")
    graph.drop("/q")
    assert graph._counts == {} and graph._pods == {}


def ns(
    verb: str, resource: str, name: str = "", sub: str = "", *, group: str = "", namespace: str = "ns"
) -> Attributes:
    return Attributes(verb, group, resource, sub, namespace, name)


LEASE = {"group": "coordination.k8s.io", "namespace": "kube-node-lease"}
NOT_RELATED = "no relationship found between node 'n1' and this object"
VERDICTS = [
    (ns("get", "secrets", "pull"), True, ""),
    (ns("watch", "secrets", "pull"), True, ""),
    (ns("get", "secrets", "other"), False, NOT_RELATED),
    (ns("list", "secrets"), False, "No Object name found"),
    (ns("update", "secrets", "pull"), False, "can only read resources of this type"),
    (ns("get", "secrets", "pull", namespace=""), False, "can only read namespaced object of this type"),
    (ns("get", "configmaps", "whole"), True, ""),
    (ns("get", "configmaps", "whole", "status"), False, "cannot read subresource"),
    (ns("get", "persistentvolumeclaims", "claim"), True, ""),
    (ns("list", "persistentvolumeclaims", "claim"), False, "can only get individual resources of this type"),
    (ns("patch", "persistentvolumeclaims", "claim", "status"), True, ""),
    (ns("get", "persistentvolumeclaims", "claim", "status"), False, "can only get/update/patch this type"),
    (ns("create", "serviceaccounts", "sa", "token"), True, ""),
    (ns("create", "serviceaccounts", "other", "token"), False, NOT_RELATED),
    (ns("create", "serviceaccounts"), False, "can only create tokens for individual service accounts"),
    (ns("create", "serviceaccounts", "sa"), False, "can only create token subresource of serviceaccount"),
    (ns("get", "serviceaccounts", "sa"), True, ""),
    (ns("update", "leases", "n1", **LEASE), True, ""),
    (ns("create", "leases", **LEASE), True, ""),
    (
        ns("update", "leases", "n2", **LEASE),
        False,
        "can only access node lease with the same name as the requesting node",
    ),
    (ns("list", "leases", **LEASE), False, "can only get, create, update, patch, or delete a node lease"),
    (
        ns("get", "leases", "n1", group="coordination.k8s.io"),
        False,
        'can only access leases in the "kube-node-lease" system namespace',
    ),
    (ns("get", "nodes", "n1", namespace=""), True, ""),
    (ns("watch", "nodes", "n1", namespace=""), True, ""),
    (ns("get", "nodes", "n2", namespace=""), False, "node 'n1' cannot read 'n2', only its own Node object"),
    (ns("list", "nodes", namespace=""), False, "node 'n1' cannot read all nodes, only its own Node object"),
    (ns("patch", "nodes", "n1", "status", namespace=""), True, ""),
    (ns("delete", "nodes", "n1", namespace=""), False, ""),
    (ns("get", "pods", "p"), True, ""),
    (ns("get", "pods", "x"), False, NOT_RELATED),
    (ns("list", "pods")._replace(field_selector="spec.nodeName=n1"), True, ""),
    (
        ns("list", "pods")._replace(field_selector="spec.nodeName=n2"),
        False,
        "can only list/watch pods with spec.nodeName field selector",
    ),
    (ns("patch", "pods", "x", "status"), True, ""),
    (ns("create", "pods", "p", "exec"), False, ""),
    (ns("create", "pods", "p", "eviction"), True, ""),
    (ns("list", "services"), True, ""),
    (ns("create", "services"), False, ""),
    (ns("create", "events", group="events.k8s.io"), True, ""),
    (ns("list", "deployments", group="apps"), False, ""),
    (ns("get", "persistentvolumes", "v", namespace=""), False, NOT_RELATED),
]


@pytest.mark.parametrize(("asked", "allowed", "reason"), VERDICTS, ids=[" ".join(a).strip() for a, _, _ in VERDICTS])
def test_verdicts(asked: Attributes, allowed: bool, reason: str) -> None:
    graph = NodeGraph()
    graph.put("/p", POD)
    assert judge_node("n1", asked, graph, RULES) == (allowed, reason)


def test_which_node() -> None:
    assert node_name("system:node:n1", ("system:nodes",)) == "n1"
    assert node_name("system:node:n1", ("devs",)) is None
    assert node_name("jane", ("system:nodes",)) is None
    assert judge_node("", ns("list", "services"), NodeGraph(), RULES)[0] is False


@pytest.fixture
def node(client_for: Callable[[Identity], Client]) -> Callable[[str], Client]:
    return lambda name: client_for(Identity(f"system:node:{name}", ("system:nodes", "system:authenticated")))


def pod(name: str, node: str, **spec: Any) -> Obj:
    containers = [{"name": "c", "image": "i"}]
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"nodeName": node, "containers": containers, **spec},
    }


async def test_a_pod_opens_its_secret_to_its_node_at_once(client: Client, node: Any) -> None:
    await client.create(SERVICEACCOUNTS, {"metadata": {"name": "default", "namespace": "default"}})
    await client.create(SECRETS, {"metadata": {"name": "s", "namespace": "default"}})
    n1, n2 = node("n1"), node("n2")
    with pytest.raises(StatusError, match=NOT_RELATED):
        await n1.get(SECRETS, "s", namespace="default")
    volumes = [{"name": "s", "secret": {"secretName": "s"}}]
    await client.create(PODS, pod("p", "n1", volumes=volumes))
    assert (await n1.get(SECRETS, "s", namespace="default"))["metadata"]["name"] == "s"
    with pytest.raises(StatusError, match=r"no relationship found between node 'n2' and this object"):
        await n2.get(SECRETS, "s", namespace="default")
    asked = {"spec": {"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "p"}}}
    token = {"namespace": "default", "name": "default", "subresource": "token"}
    assert (await n1.create(SERVICEACCOUNTS, asked, **token))["status"]["token"]
    with pytest.raises(StatusError, match="node requested token not bound to a pod"):
        await n1.create(SERVICEACCOUNTS, {"spec": {}}, **token)
    await client.create(PODS, pod("q", "n2"))
    asked["spec"]["boundObjectRef"]["name"] = "q"
    with pytest.raises(StatusError, match="node requested token bound to a pod scheduled on a different node"):
        await n1.create(SERVICEACCOUNTS, asked, **token)
    await client.delete(PODS, "p", namespace="default", options={"gracePeriodSeconds": 0})
    with pytest.raises(StatusError, match=NOT_RELATED):
        await n1.get(SECRETS, "s", namespace="default")


async def test_a_node_reports_on_its_own(client: Client, node: Any) -> None:
    await client.create(SERVICEACCOUNTS, {"metadata": {"name": "default", "namespace": "default"}})
    await client.create(PODS, pod("mine", "n1"))
    await client.create(PODS, pod("theirs", "n2"))
    n1 = node("n1")
    status = {"status": {"phase": "Running"}}
    await n1.patch(PODS, "mine", status, namespace="default", subresource="status")
    with pytest.raises(
        StatusError, match=r'node "n1" can only update pod status for pods with spec.nodeName set to itself'
    ):
        await n1.patch(PODS, "theirs", status, namespace="default", subresource="status")
    with pytest.raises(StatusError, match=r'node "n1" can only delete pods with spec.nodeName set to itself'):
        await n1.delete(PODS, "theirs", namespace="default")
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "theirs", "namespace": "default"}}
    with pytest.raises(StatusError, match=r"node n1 can only evict pods with spec.nodeName set to itself"):
        await n1.create(PODS, eviction, namespace="default", name="theirs", subresource="eviction")
    await n1.delete(PODS, "mine", namespace="default", options={"gracePeriodSeconds": 0})
    with pytest.raises(StatusError, match="can only create mirror pods"):
        await n1.create(PODS, pod("new", "n1"))
    with pytest.raises(StatusError, match='cannot patch resource "pods"'):
        await n1.patch(PODS, "theirs", {"metadata": {"labels": {"a": "b"}}}, namespace="default")


async def test_a_node_writes_itself(client: Client, node: Any) -> None:
    await client.create(NAMESPACES, {"metadata": {"name": "kube-node-lease"}})
    n1 = node("n1")
    await n1.create(NODES, {"metadata": {"name": "n1", "labels": {"node-role.kubernetes.io/control-plane": ""}}})
    with pytest.raises(StatusError, match='node "n1" is not allowed to modify node "n2"'):
        await n1.create(NODES, {"metadata": {"name": "n2"}})
    await n1.patch(NODES, "n1", {"status": {"phase": "Running"}}, subresource="status")
    with pytest.raises(StatusError, match=r'node "n1" is not allowed to modify taints'):
        await n1.patch(NODES, "n1", {"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}})
    with pytest.raises(StatusError, match=r"is not allowed to modify labels: node-restriction.kubernetes.io/x"):
        await n1.patch(NODES, "n1", {"metadata": {"labels": {"node-restriction.kubernetes.io/x": "1"}}})
    lease = {"metadata": {"name": "n1", "namespace": "kube-node-lease"}, "spec": {"holderIdentity": "n1"}}
    await n1.create(LEASES, lease)
    with pytest.raises(StatusError, match="can only access node lease with the same name"):
        await n1.create(LEASES, {**lease, "metadata": {**lease["metadata"], "name": "n2"}})
    await n1.create(
        EVENTS_V1, {"metadata": {"name": "e", "namespace": "default"}, "involvedObject": {"namespace": "default"}}
    )
    assert await n1.list(SERVICES) == []
    with pytest.raises(StatusError, match="cannot list resource"):
        await n1.list(CONFIGMAPS, namespace="default")
    with pytest.raises(StatusError, match=r"could not determine node|unknown node"):
        await node("").create(NODES, {"metadata": {"name": "x"}})


async def test_a_mirror_pod_refers_to_nothing(client: Client, node: Any) -> None:
    n1 = node("n1")
    made = await n1.create(NODES, {"metadata": {"name": "n1"}})
    owner = {"apiVersion": "v1", "kind": "Node", "name": "n1", "uid": made["metadata"]["uid"], "controller": True}
    mirror = pod("static", "n1")
    mirror["metadata"] |= {"annotations": {"kubernetes.io/config.mirror": "x"}, "ownerReferences": [owner]}
    for wrong, why in (
        ({**mirror, "spec": {**mirror["spec"], "nodeName": "n2"}}, "spec.nodeName set to itself"),
        ({**mirror, "metadata": {**mirror["metadata"], "ownerReferences": []}}, "owner reference set to itself"),
        (
            {**mirror, "spec": {**mirror["spec"], "volumes": [{"name": "s", "secret": {"secretName": "s"}}]}},
            "can not create pods that reference secrets",
        ),
    ):
        with pytest.raises(StatusError, match=why):
            await n1.create(PODS, wrong)
    await n1.create(PODS, mirror)
