"""NodeRestriction: what a node's own rights leave open, decided where the object is seen.

A node changes its own Node and Lease, reports on its own pods, makes none but mirror pods, takes tokens only for pods
that run on it, and steers nothing to itself by taints or restricted labels.
Facts: k8s.io/kubernetes plugin/pkg/admission/noderestriction.
"""

from __future__ import annotations

from seamark.api.authz.graph import MIRROR, related_to
from seamark.api.authz.node import LEASE_NAMESPACE, node_name
from seamark.api.core import Call
from seamark.api.objects import Obj, same
from seamark.machinery.authorize import quoted
from seamark.machinery.status import StatusError, forbidden
from seamark.resources.access import entries, section, text

_RESTRICTED = "node-restriction.kubernetes.io"


def asking_node(call: Call) -> str | None:
    """The node that asks, None where it is no node. Raises 403 for a node that does not say which."""
    node = node_name(call.identity.user, call.identity.groups)
    if node == "":
        raise _refusal(call, f"could not determine node from user {quoted(call.identity.user)}")
    return node


def check_node_create(call: Call, obj: Obj) -> None:
    node = asking_node(call)
    if node is None:
        return
    kind, name = call.target.row.gvr.kind, text(obj, "metadata", "name")
    if kind == "Node":
        _check_own(call, node, name)
        _check_labels(call, node, section(obj, "metadata", "labels"), {})
    elif kind == "Pod":
        _check_mirror_pod(call, node, obj)
    elif kind == "Lease" and call.target.namespace == LEASE_NAMESPACE and name != node:
        raise _refusal(call, "can only access node lease with the same name as the requesting node")
    elif kind == "CSINode" and name != node:
        raise _refusal(call, "can only access CSINode with the same name as the requesting node")


def check_node_update(call: Call, new: Obj, old: Obj) -> None:
    node = asking_node(call)
    if node is None:
        return
    kind, subresource = call.target.row.gvr.kind, call.target.subresource
    if kind == "Node":
        _check_own(call, node, call.target.name)
        if not same(entries(new, "spec", "taints"), entries(old, "spec", "taints")):
            raise _refusal(call, f"node {quoted(node)} is not allowed to modify taints")
        if not same(entries(new, "metadata", "ownerReferences"), entries(old, "metadata", "ownerReferences")):
            raise _refusal(call, f"node {quoted(node)} is not allowed to modify ownerReferences")
        _check_labels(call, node, section(new, "metadata", "labels"), section(old, "metadata", "labels"))
    elif kind == "Pod" and subresource == "status":
        if text(old, "spec", "nodeName") != node:
            why = f"node {quoted(node)} can only update pod status for pods with spec.nodeName set to itself"
            raise _refusal(call, why)
    elif kind == "Pod":
        raise _refusal(
            call, f'unexpected operation "UPDATE", node {quoted(node)} can only create and delete mirror pods'
        )


def check_node_removal(call: Call, pod: Obj) -> None:
    """DELETE and eviction of a pod."""
    node = asking_node(call)
    if node is None or call.target.row.gvr.kind != "Pod" or text(pod, "spec", "nodeName") == node:
        return
    if call.target.subresource == "eviction":
        raise _refusal(call, f"node {node} can only evict pods with spec.nodeName set to itself")
    raise _refusal(call, f"node {quoted(node)} can only delete pods with spec.nodeName set to itself")


def check_node_token(call: Call, bound: str, pod_node: str) -> None:
    """A TokenRequest by a node: ``bound`` is the pod it is for, ``pod_node`` where that runs."""
    if asking_node(call) is None:
        return
    if not bound:
        raise _refusal(call, "node requested token not bound to a pod")
    if pod_node != asking_node(call):
        raise _refusal(call, "node requested token bound to a pod scheduled on a different node")


def _check_own(call: Call, node: str, name: str) -> None:
    if name != node:
        raise _refusal(call, f"node {quoted(node)} is not allowed to modify node {quoted(name)}")


def _check_labels(call: Call, node: str, new: Obj, old: Obj) -> None:
    """Only the prefix that exists for this purpose; role labels are set by the node itself here, as it joins."""
    changed = {key for key in new.keys() | old.keys() if new.get(key) != old.get(key)}
    refused = sorted(k for k in changed if (p := k.partition("/")[0]) == _RESTRICTED or p.endswith(f".{_RESTRICTED}"))
    if refused and old:
        raise _refusal(call, f"is not allowed to modify labels: {', '.join(refused)}")
    if refused:
        raise _refusal(call, f"node {quoted(node)} is not allowed to set the following labels: {', '.join(refused)}")


def _check_mirror_pod(call: Call, node: str, pod: Obj) -> None:
    if MIRROR not in section(pod, "metadata", "annotations"):
        why = f"pod does not have {quoted(MIRROR)} annotation, node {quoted(node)} can only create mirror pods"
        raise _refusal(call, why)
    if text(pod, "spec", "nodeName") != node:
        raise _refusal(call, f"node {quoted(node)} can only create pods with spec.nodeName set to itself")
    owners = entries(pod, "metadata", "ownerReferences")
    own = [o for o in owners if (o.get("apiVersion"), o.get("kind"), o.get("name")) == ("v1", "Node", node)]
    if len(owners) != 1 or not own or not own[0].get("controller"):
        raise _refusal(call, f"node {quoted(node)} can only create pods with an owner reference set to itself")
    metadata = {k: v for k, v in pod["metadata"].items() if k != "annotations"}
    metadata.setdefault("namespace", call.target.namespace)
    others = {one.resource for one in related_to({**pod, "metadata": metadata})} - {"pods"}
    if not text(pod, "spec", "serviceAccountName"):
        others.discard("serviceaccounts")
    if others:
        raise _refusal(call, f"node {quoted(node)} can not create pods that reference {', '.join(sorted(others))}")


def _refusal(call: Call, why: str) -> StatusError:
    gvr = call.target.gvr
    return forbidden(gvr.resource, call.target.name, why, group=gvr.group)
