"""The roles and bindings that every cluster has: Kubernetes' own (``defaults.json``), and a few for Seamark's parts.

Pure. ``plan_default`` says what a start has to write: what is missing is made, what an upgrade adds is added, what an
administrator added is kept, and whatever carries ``autoupdate: "false"`` is left alone.
Facts: k8s.io/component-helpers auth/rbac/reconciliation.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from seamark.machinery.authorize import parse_rules, uncovered
from seamark.machinery.jsonvalue import copy_json
from seamark.resources.access import entries, section
from seamark.resources.rbac.rules import GROUP
from seamark.resources.registry import Obj

LABELS = {"kubernetes.io/bootstrapping": "rbac-defaults"}
AUTOUPDATE = "rbac.authorization.kubernetes.io/autoupdate"
MANAGER_USER = "system:kube-controller-manager"
MANAGER_ROLE = "seamark:controller-manager"

_CONTROLLER = "system:controller:"
_READ = ["list", "watch"]


def default_objects() -> list[Obj]:
    """All of them, whole, in an order in which none refers to a later one. Rules and subjects are shared: read only."""
    found = [*_read_table(), *_own()]
    return [_whole(one) for one in sorted(found, key=lambda one: str(one["kind"]).endswith("Binding"))]


@cache
def _read_table() -> tuple[Obj, ...]:
    table = json.loads(files("seamark.api.authz").joinpath("defaults.json").read_text())
    return tuple(table["objects"])


def _whole(compact: Obj) -> Obj:
    metadata: Obj = {"name": compact["name"], "labels": {**LABELS, **compact.get("labels", {})}}
    if "namespace" in compact:
        metadata["namespace"] = compact["namespace"]
    metadata["annotations"] = {AUTOUPDATE: "true"}
    rest = {k: v for k, v in compact.items() if k not in ("kind", "name", "namespace", "labels")}
    if compact["kind"] in ("Role", "ClusterRole"):
        rest.setdefault("rules", None)
    return {"kind": compact["kind"], "apiVersion": f"{GROUP}/v1", "metadata": metadata, **rest}


def _own() -> list[Obj]:
    """What kubeadm or its like would add: the DNS, the way of a node from its token to its own certificates, and one
    identity for all controllers, which run in one task.
    """
    account = {"kind": "ServiceAccount", "name": "coredns", "namespace": "kube-system"}
    manager = {"kind": "User", "apiGroup": GROUP, "name": MANAGER_USER}
    return [
        {"kind": "ClusterRole", "name": "system:coredns", "rules": _DNS_RULES},
        _binding("ClusterRoleBinding", "system:coredns", ("ClusterRole", "system:coredns"), account),
        {"kind": "Role", "name": "seamark:coredns-events", "namespace": "kube-system", "rules": _DNS_EVENT_RULES},
        {
            **_binding("RoleBinding", "seamark:coredns-events", ("Role", "seamark:coredns-events"), account),
            "namespace": "kube-system",
        },
        *(
            _binding("ClusterRoleBinding", f"seamark:{name}", ("ClusterRole", role), _group(group))
            for name, role, group in _NODE_BINDINGS
        ),
        {"kind": "ClusterRole", "name": MANAGER_ROLE, "rules": _manager_rules()},
        _binding("ClusterRoleBinding", MANAGER_ROLE, ("ClusterRole", MANAGER_ROLE), manager),
    ]


_CSR_ROLE = "system:certificates.k8s.io:certificatesigningrequests:"
_NODE_BINDINGS = (
    ("kubelet-bootstrap", "system:node-bootstrapper", "system:bootstrappers"),
    ("node-autoapprove-bootstrap", f"{_CSR_ROLE}nodeclient", "system:bootstrappers"),
    ("node-autoapprove-certificate-rotation", f"{_CSR_ROLE}selfnodeclient", "system:nodes"),
)


def _group(name: str) -> Obj:
    return {"kind": "Group", "apiGroup": GROUP, "name": name}


def _binding(kind: str, name: str, role: tuple[str, str], subject: Obj) -> Obj:
    return {
        "kind": kind,
        "name": name,
        "roleRef": {"apiGroup": GROUP, "kind": role[0], "name": role[1]},
        "subjects": [subject],
    }


_DNS_RULES = [
    {"apiGroups": [""], "resources": ["endpoints", "services", "pods", "namespaces"], "verbs": _READ},
    {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": _READ},
]
_DNS_EVENT_RULES = [  # a broken Corefile is told as an Event of the pod
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]},
]
_ADDON_RULES = [  # what the bootstrap controller makes once
    {"apiGroups": [""], "resources": ["namespaces", "services"], "verbs": ["create"]},
    {"apiGroups": ["apps"], "resources": ["deployments", "daemonsets"], "verbs": ["create"]},
    {"apiGroups": ["networking.k8s.io"], "resources": ["ingressclasses", "servicecidrs"], "verbs": ["create"]},
    {"apiGroups": ["scheduling.k8s.io"], "resources": ["priorityclasses"], "verbs": ["create"]},
    {"apiGroups": ["storage.k8s.io"], "resources": ["storageclasses"], "verbs": ["create"]},
]


_REPAIR_RULES = [  # what is the API server's own in Kubernetes: it mends the addresses of Services
    {"apiGroups": ["networking.k8s.io"], "resources": ["ipaddresses"], "verbs": ["create", "delete", *_READ]},
]


def _manager_rules() -> list[Obj]:
    """What Kubernetes gives to each of its controllers, taken together."""
    found = [*_ADDON_RULES, *_REPAIR_RULES]
    for one in _read_table():
        if one["kind"] == "ClusterRole" and one["name"].startswith(_CONTROLLER):
            found += [rule for rule in one["rules"] if rule not in found]
    return found


def plan_default(existing: Obj, wanted: Obj) -> Obj | None:
    """What ``existing`` has to become, or None where nothing is to do. A changed roleRef cannot be updated."""
    meta = existing["metadata"]
    if (meta.get("annotations") or {}).get(AUTOUPDATE) == "false":
        return None
    new: Obj = copy_json(existing)
    for field in ("labels", "annotations"):
        new["metadata"][field] = {**wanted["metadata"][field], **(meta.get(field) or {})}
    if "roleRef" in wanted:
        there = [_subject_key(s) for s in entries(existing, "subjects")]
        missing = [s for s in entries(wanted, "subjects") if _subject_key(s) not in there]
        if missing:
            new["subjects"] = [*entries(existing, "subjects"), *missing]
    else:
        _add_rules(new, existing, wanted)
    return None if new == existing else new


def _subject_key(subject: Obj) -> tuple[Any, ...]:
    return subject.get("kind"), subject.get("name"), subject.get("namespace") or ""


def _add_rules(new: Obj, existing: Obj, wanted: Obj) -> None:
    rules, due = entries(existing, "rules"), entries(wanted, "rules")
    missing = uncovered(parse_rules(rules), parse_rules(due)) if rules != due else ()
    if missing:
        new["rules"] = [*rules, *(rule.as_dict() for rule in missing)]
    selectors = entries(existing, "aggregationRule", "clusterRoleSelectors")
    added = [s for s in entries(wanted, "aggregationRule", "clusterRoleSelectors") if s not in selectors]
    if added:
        new["aggregationRule"] = {**section(existing, "aggregationRule"), "clusterRoleSelectors": [*selectors, *added]}


def must_remake(existing: Obj, wanted: Obj) -> bool:
    """A binding of the wanted name to another role, which is not protected, is made anew."""
    protected = (existing["metadata"].get("annotations") or {}).get(AUTOUPDATE) == "false"
    fields = ("kind", "name")
    return not protected and any(
        section(existing, "roleRef").get(field) != section(wanted, "roleRef").get(field) for field in fields
    )
