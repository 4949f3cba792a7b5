"""The node authoriser: a node may read what its pods need and write what is its own, and nothing of other nodes.

Pure. What cannot be told from a request's path is left to ``noderestriction.py``, which sees the objects.
Facts: k8s.io/kubernetes plugin/pkg/auth/authorizer/node/node_authorizer.go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from seamark.api.authz.graph import NodeGraph
from seamark.machinery.authorize import Attributes, Rule, allows, demanded, quoted

NODES_GROUP = "system:nodes"
USER_PREFIX = "system:node:"
LEASE_NAMESPACE = "kube-node-lease"

Verdict = tuple[bool, str]
"""Whether it is allowed, and if not why."""

_ALLOWED: Verdict = (True, "")
_OWN = ("get", "create", "update", "patch", "delete")


def node_name(user: str, groups: Sequence[str]) -> str | None:
    """The node that asks; None for one that is no node, "" for a node that does not say which."""
    if NODES_GROUP not in groups or not user.startswith(USER_PREFIX):
        return None
    return user.removeprefix(USER_PREFIX)


def judge_node(node: str, asked: Attributes, graph: NodeGraph, rules: Sequence[Rule]) -> Verdict:
    """``rules`` are those of the ClusterRole system:node, for what is not divided up among the nodes."""
    if not node:
        return False, "unknown node for user " + quoted(USER_PREFIX)
    special = _DIVIDED.get((asked.group, asked.resource))
    if special is not None:
        return special(node, asked, graph)
    return any(allows(rule, asked) for rule in rules), ""


def _related(node: str, asked: Attributes, graph: NodeGraph) -> Verdict:
    if not asked.name:
        return False, "No Object name found"
    if graph.reaches(node, asked.resource, asked.namespace, asked.name):
        return _ALLOWED
    return False, f"no relationship found between node '{node}' and this object"


def _read(node: str, asked: Attributes, graph: NodeGraph) -> Verdict:
    if asked.verb not in ("get", "list", "watch"):
        return False, "can only read resources of this type"
    if asked.subresource:
        return False, "cannot read subresource"
    if not asked.namespace:
        return False, "can only read namespaced object of this type"
    return _related(node, asked, graph)


def _get(node: str, asked: Attributes, graph: NodeGraph) -> Verdict:
    if asked.verb != "get":
        return False, "can only get individual resources of this type"
    if asked.subresource:
        return False, "cannot get subresource"
    return _related(node, asked, graph)


def _claim(node: str, asked: Attributes, graph: NodeGraph) -> Verdict:
    if asked.subresource != "status":
        return _get(node, asked, graph)
    if asked.verb not in ("update", "patch"):
        return False, "can only get/update/patch this type"
    return _related(node, asked, graph)


def _account(node: str, asked: Attributes, graph: NodeGraph) -> Verdict:
    if asked.verb == "get" and not asked.subresource:
        return _read(node, asked, graph)
    if asked.verb != "create" or not asked.name:
        return False, "can only create tokens for individual service accounts"
    if asked.subresource != "token":
        return False, "can only create token subresource of serviceaccount"
    return _related(node, asked, graph)


def _lease(node: str, asked: Attributes, graph: NodeGraph) -> Verdict:
    if asked.verb not in _OWN:
        return False, "can only get, create, update, patch, or delete a node lease"
    if asked.namespace != LEASE_NAMESPACE:
        return False, f"can only access leases in the {quoted(LEASE_NAMESPACE)} system namespace"
    if asked.verb != "create" and asked.name != node:
        return False, "can only access node lease with the same name as the requesting node"
    return _ALLOWED


def _csi_node(node: str, asked: Attributes, graph: NodeGraph) -> Verdict:
    if asked.verb not in _OWN:
        return False, "can only get, create, update, patch, or delete a CSINode"
    if asked.subresource:
        return False, "cannot authorize CSINode subresources"
    if asked.verb != "create" and asked.name != node:
        return False, "can only access CSINode with the same name as the requesting node"
    return _ALLOWED


def _node(node: str, asked: Attributes, graph: NodeGraph) -> Verdict:
    if asked.subresource == "status":
        return asked.verb in ("update", "patch"), ""
    if asked.subresource:
        return False, ""
    if asked.verb in ("get", "list", "watch"):
        if asked.name == node:
            return _ALLOWED
        if not asked.name:
            return False, f"node '{node}' cannot read all nodes, only its own Node object"
        return False, f"node '{node}' cannot read '{asked.name}', only its own Node object"
    return asked.verb in ("create", "update", "patch"), ""


def _pod(node: str, asked: Attributes, graph: NodeGraph) -> Verdict:
    if asked.subresource:
        allowed = {"status": ("update", "patch"), "eviction": ("create",)}.get(asked.subresource, ())
        return asked.verb in allowed, ""
    if asked.verb == "get":
        return _get(node, asked, graph)
    if asked.verb in ("list", "watch"):
        if demanded(asked.field_selector, "spec.nodeName") == node:
            return _ALLOWED
        if asked.name:
            return _related(node, asked, graph)
        return False, "can only list/watch pods with spec.nodeName field selector"
    return asked.verb in ("create", "delete"), ""


_DIVIDED: dict[tuple[str, str], Callable[[str, Attributes, NodeGraph], Verdict]] = {
    ("", "secrets"): _read,
    ("", "configmaps"): _read,
    ("", "persistentvolumeclaims"): _claim,
    ("", "persistentvolumes"): _get,
    ("", "serviceaccounts"): _account,
    ("coordination.k8s.io", "leases"): _lease,
    ("storage.k8s.io", "csinodes"): _csi_node,
    ("storage.k8s.io", "volumeattachments"): _get,
    ("", "nodes"): _node,
    ("", "pods"): _pod,
}
