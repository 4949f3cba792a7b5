"""What Kubernetes' built-in admission adds to a new pod: identity, token volume, tolerations, priority, QoS class.

Mirrors the plugins ServiceAccount, DefaultTolerationSeconds and Priority. What depends on the ServiceAccount itself,
whether it exists and wants its token mounted, comes last, when the API has looked it up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from seamark.machinery.gvr import PRIORITYCLASSES, RUNTIMECLASSES, SERVICEACCOUNTS
from seamark.machinery.names import NAME_SUFFIX_ALPHABET, NAME_SUFFIX_LENGTH
from seamark.machinery.status import forbidden
from seamark.machinery.usage import qos_class_of
from seamark.resources.access import default, default_pointer, drop_empty, entries, number, section, text
from seamark.resources.core.podspec_defaults import CONTAINER_LISTS, FILE_MODE
from seamark.resources.node.runtimeclass import apply_runtimeclass
from seamark.resources.registry import Obj, Reference

TOKEN_MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
TOKEN_SECONDS = 3607  # an hour, and recognisably the admission's own
TOLERATION_SECONDS = 300
MIRROR_ANNOTATION = "kubernetes.io/config.mirror"
_TAINTS = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
_GATED = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "SchedulingGated",
    "message": "Scheduling is blocked due to non-empty scheduling gates",
}
_PRIORITIES = {"system-cluster-critical": 2000000000, "system-node-critical": 2000001000}


def admit(pod: Obj) -> None:
    """On create, behind the defaults."""
    spec = section(pod, "spec")
    if MIRROR_ANNOTATION not in section(pod, "metadata", "annotations"):
        default(spec, "serviceAccountName", "default")
        spec["serviceAccount"] = spec["serviceAccountName"]
        if spec.get("automountServiceAccountToken") is not False:
            _mount_token(spec, _token_volume_name(pod))
    tolerate_lost_nodes(spec)
    spec["priority"] = _PRIORITIES.get(text(spec, "priorityClassName"), 0)
    default_pointer(spec, "preemptionPolicy", "PreemptLowerPriority")
    pod["status"] = {"phase": "Pending", "qosClass": qos_class_of(spec)}
    if entries(spec, "schedulingGates"):
        pod["status"]["conditions"] = [dict(_GATED)]


def references_of(pod: Obj) -> list[Reference]:
    """The ServiceAccount, but for static pods, the PriorityClass, where it is not one of the system's, and the
    RuntimeClass.
    """
    found: list[Reference] = []
    if MIRROR_ANNOTATION not in section(pod, "metadata", "annotations"):
        name = text(pod, "spec", "serviceAccountName")
        found.append(Reference(SERVICEACCOUNTS, text(pod, "metadata", "namespace"), name))
    priority = text(pod, "spec", "priorityClassName")
    if priority and priority not in _PRIORITIES:
        found.append(Reference(PRIORITYCLASSES, "", priority))
    runtime = text(pod, "spec", "runtimeClassName")
    if runtime:
        found.append(Reference(RUNTIMECLASSES, "", runtime))
    return found


def admit_with_references(pod: Obj, found: Sequence[Obj | None]) -> None:
    """``found`` are the objects of ``references_of``. Raises Forbidden for one that does not exist."""
    references = references_of(pod)
    for reference, obj in zip(references, found, strict=True):
        if reference.gvr == PRIORITYCLASSES:
            _give_priority(pod, obj)
    runtimes = [obj for reference, obj in zip(references, found, strict=True) if reference.gvr == RUNTIMECLASSES]
    apply_runtimeclass(pod, runtimes[0] if runtimes else None)
    accounts = [obj for reference, obj in zip(references, found, strict=True) if reference.gvr == SERVICEACCOUNTS]
    _admit_with_account(pod, accounts)


def _give_priority(pod: Obj, priority: Obj | None) -> None:
    spec = section(pod, "spec")
    if priority is None:
        why = f"no PriorityClass with name {spec['priorityClassName']} was found"
        raise forbidden("pods", text(pod, "metadata", "name"), why)
    spec["priority"] = number(priority, "value")
    spec["preemptionPolicy"] = text(priority, "preemptionPolicy") or "PreemptLowerPriority"


def _admit_with_account(pod: Obj, found: Sequence[Obj | None]) -> None:
    """``default`` may be missing: it appears a moment after its namespace, and Kubernetes' refusal of pods in between
    only makes scripts wait.
    """
    spec, (account,) = section(pod, "spec"), tuple(found) or (None,)
    name, namespace = text(spec, "serviceAccountName"), text(pod, "metadata", "namespace")
    if account is None:
        if found and name != "default":
            why = f'error looking up service account {namespace}/{name}: serviceaccount "{name}" not found'
            raise forbidden("pods", text(pod, "metadata", "name"), why)
        return
    if account.get("automountServiceAccountToken") is False and spec.get("automountServiceAccountToken") is None:
        _withhold_token(pod)
    if not spec.get("imagePullSecrets") and entries(account, "imagePullSecrets"):
        spec["imagePullSecrets"] = list(account["imagePullSecrets"])


def _withhold_token(pod: Obj) -> None:
    """Takes the token volume out again: the account does not want it and the pod did not ask for it."""
    spec = section(pod, "spec")
    name = _token_volume_name(pod)
    spec["volumes"] = [v for v in entries(spec, "volumes") if v.get("name") != name]
    drop_empty(spec, "volumes")
    for kind in CONTAINER_LISTS:
        for container in entries(spec, kind):
            container["volumeMounts"] = [m for m in entries(container, "volumeMounts") if m.get("name") != name]
            drop_empty(container, "volumeMounts")


def _token_volume_name(pod: Obj) -> str:
    """``kube-api-access-xxxxx``: as random as the pod's uid, and the same again for the same pod."""
    meta = section(pod, "metadata")
    seed = "/".join((text(meta, "namespace"), text(meta, "name"), text(meta, "uid")))
    digest = hashlib.sha256(seed.encode()).digest()
    suffix = "".join(NAME_SUFFIX_ALPHABET[byte % len(NAME_SUFFIX_ALPHABET)] for byte in digest[:NAME_SUFFIX_LENGTH])
    return f"kube-api-access-{suffix}"


def _mount_token(spec: Obj, name: str) -> None:
    """Into every container that has nothing mounted there; a volume only when one needs it."""
    mounted = False
    for kind in CONTAINER_LISTS:
        for container in entries(spec, kind):
            mounts = entries(container, "volumeMounts")
            if any(mount.get("mountPath") == TOKEN_MOUNT_PATH for mount in mounts):
                continue
            mount = {"name": name, "readOnly": True, "mountPath": TOKEN_MOUNT_PATH}
            container["volumeMounts"] = [*mounts, mount]
            mounted = True
    if mounted:
        spec["volumes"] = [*entries(spec, "volumes"), {"name": name, "projected": _token_sources()}]


def _token_sources() -> Obj:
    namespace = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    return {
        "sources": [
            {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [namespace]}},
        ],
        "defaultMode": FILE_MODE,
    }


def tolerate_lost_nodes(spec: Obj) -> None:
    """Five minutes on a node that is not ready or not reachable, unless the pod says otherwise."""
    given = entries(spec, "tolerations")
    for taint in _TAINTS:
        if not any(_tolerates(toleration, taint) for toleration in given):
            toleration: dict[str, Any] = {"key": taint, "operator": "Exists", "effect": "NoExecute"}
            given = [*given, {**toleration, "tolerationSeconds": TOLERATION_SECONDS}]
    spec["tolerations"] = given


def _tolerates(toleration: Obj, taint: str) -> bool:
    return (toleration.get("key") or taint) == taint and (toleration.get("effect") or "NoExecute") == "NoExecute"
