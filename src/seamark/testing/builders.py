"""Small objects for tests, as plain dicts and as projections: only what a test says differs from the ordinary.

``make_…`` gives the dict that a client would send, ``as_kind`` turns it into the projection that a plan reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from seamark.machinery.clock import format_time
from seamark.model import codec

T = TypeVar("T")
Obj = dict[str, Any]

START = 1_700_000_000.0
IMAGE = "seamark.local/host"


def as_kind(kind: type[T], obj: Mapping[str, Any]) -> T:
    return codec.convert(dict(obj), kind)


def make_meta(name: str, namespace: str = "default", **fields: Any) -> Obj:
    """uid, resourceVersion and creationTimestamp are filled in, as on an object read from the API."""
    meta: Obj = {
        "name": name,
        "uid": f"uid-{name}",
        "resourceVersion": "1",
        "creationTimestamp": format_time(START),
        **fields,
    }
    return {**meta, "namespace": namespace} if namespace else meta


def owner(kind: str, name: str, *, uid: str = "", controller: bool = True) -> Obj:
    version = {"Deployment": "apps/v1", "ReplicaSet": "apps/v1", "StatefulSet": "apps/v1", "DaemonSet": "apps/v1"}
    return {
        "apiVersion": version.get(kind, "v1"),
        "kind": kind,
        "name": name,
        "uid": uid or f"uid-{name}",
        "controller": controller,
        "blockOwnerDeletion": True,
    }


def make_pod(
    name: str,
    *,
    ip: str = "",
    node: str = "",
    ready: bool | None = None,
    labels: Mapping[str, str] | None = None,
    spec: Mapping[str, Any] | None = None,
    **meta: Any,
) -> Obj:
    """``ready`` None = Pending without a condition; True and False = Running. Further keywords go into metadata."""
    status: Obj = {"phase": "Pending" if ready is None else "Running"}
    if ip:
        status |= {"podIP": ip, "podIPs": [{"ip": ip}]}
    if ready is not None:
        condition = {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": format_time(START)}
        status["conditions"] = [condition]
    whole: Obj = {"containers": [{"name": "main", "image": IMAGE}], **(spec or {})}
    if node:
        whole["nodeName"] = node
    metadata = make_meta(name, labels=dict(labels or {"app": "web"}), **meta)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": whole, "status": status}


def sent_pod(*containers: Obj, **spec: Any) -> Obj:
    """As a client writes one, named web, of one container unless told otherwise."""
    given = list(containers) or [{"name": "c", "image": "nginx:1"}]
    return {"metadata": {"name": "web", "namespace": "default", "uid": "u-1"}, "spec": {"containers": given, **spec}}


def make_node(name: str, *, ready: bool | None = True, **spec: Any) -> Obj:
    """``ready`` None = the condition is Unknown."""
    state = "Unknown" if ready is None else str(ready)
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": make_meta(name, "", labels=labels),
        "spec": spec,
        "status": {"conditions": [{"type": "Ready", "status": state}]},
    }


def make_service(
    name: str, *, ports: Sequence[Mapping[str, Any]] | None = None, labels: Mapping[str, str] | None = None, **spec: Any
) -> Obj:
    """Selects app=web and has one port http 80 unless told otherwise."""
    given = [{"name": "http", "port": 80}] if ports is None else list(ports)
    shown = [{"protocol": "TCP", "targetPort": p["port"], **p} for p in given]
    whole = {"selector": {"app": "web"}, "type": "ClusterIP", **spec}
    if shown:
        whole["ports"] = shown
    metadata = make_meta(name, labels=dict(labels or {}))
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": whole}


def sent_service(**spec: Any) -> Obj:
    """As a client writes one of a single port; ``ports=None`` leaves them out."""
    given = {"ports": [{"port": 80}], **spec}
    return {
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {name: value for name, value in given.items() if name != "ports" or value is not None},
    }


def make_template(image: str = IMAGE, *, labels: Mapping[str, str] | None = None, **spec: Any) -> Obj:
    return {
        "metadata": {"labels": dict(labels or {"app": "web"})},
        "spec": {"containers": [{"name": "main", "image": image}], **spec},
    }


def make_workload(kind: str, name: str, *, replicas: int | None = 1, template: Obj | None = None, **spec: Any) -> Obj:
    """A Deployment, ReplicaSet, StatefulSet or DaemonSet that selects app=web."""
    whole: Obj = {"selector": {"matchLabels": {"app": "web"}}, "template": template or make_template(), **spec}
    if replicas is not None:
        whole["replicas"] = replicas
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": make_meta(name, generation=1), "spec": whole}


def to_create(obj: Obj) -> Obj:
    """The object as a client sends it: without what the API server fills in."""
    meta = {
        k: v
        for k, v in obj["metadata"].items()
        if k not in ("uid", "resourceVersion", "creationTimestamp", "generation")
    }
    return {**obj, "metadata": meta}
