"""pods/NAME/binding and bindings: gives a pod its node, once. The scheduler posts them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from seamark.api.body import decode_as
from seamark.api.core import Call, Core
from seamark.api.metadata import check_place
from seamark.api.objects import Obj
from seamark.api.options import check_write_options
from seamark.api.respond import respond_success
from seamark.api.routing import unknown_resource
from seamark.api.writes import update_object
from seamark.machinery.clock import format_time
from seamark.machinery.fielderrors import not_supported, required
from seamark.machinery.status import Cause, bad_request, conflict, invalid
from seamark.machinery.wire import Response


async def binding(core: Core, call: Call) -> Response:
    check_write_options(call.request)
    body = decode_as(call, "v1", "Binding")
    check_place(call, body)
    call = _of_pod(core, call, body)
    node = _node(body)

    def change(pod: Obj) -> Obj:
        uid = body["metadata"].get("uid")
        if uid and uid != pod["metadata"].get("uid"):
            why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {pod['metadata'].get('uid')}"
            raise conflict("pods/binding", call.target.name, why=why)
        bind(pod, node, body["metadata"], format_time(core.clock.time()))
        return pod

    await update_object(core, call, change, retry=True)
    return respond_success(call, status=201)


def _of_pod(core: Core, call: Call, body: Obj) -> Call:
    """``/bindings`` names the pod in the body, ``/pods/NAME/binding`` in the path."""
    if call.target.row.gvr.kind == "Pod":
        return call
    row = core.registry.by_kind("", "Pod")
    name = body["metadata"].get("name")
    if row is None:
        raise unknown_resource()
    if not name:
        raise bad_request("metadata.name: the pod to bind is not named")
    return replace(call, target=replace(call.target, row=row, gvr=row.gvr, name=name, subresource="binding"))


def _node(body: Obj) -> str:
    target = body.get("target") or {}
    causes: list[Cause] = []
    if target.get("kind", "Node") not in ("", "Node"):
        causes.append(not_supported("target.kind", target["kind"], ["Node", "<empty>"]))
    if not target.get("name"):
        causes.append(required("target.name"))
    if causes:
        raise invalid("Binding", body["metadata"].get("name", ""), causes)
    return str(target["name"])


def bind(pod: Obj, node: str, meta: dict[str, Any], now: str) -> None:
    """Raises Conflict where the pod has a node already or is being deleted."""
    name = pod["metadata"]["name"]
    spec = pod.setdefault("spec", {})
    if pod["metadata"].get("deletionTimestamp"):
        raise conflict("pods/binding", name, why=f"pod {name} is being deleted, cannot be assigned to a host")
    if spec.get("nodeName"):
        why = f'pod {name} is already assigned to node "{spec["nodeName"]}"'
        raise conflict("pods/binding", name, why=why)
    spec["nodeName"] = node
    for field in ("annotations", "labels"):
        if meta.get(field):
            pod["metadata"][field] = {**(pod["metadata"].get(field) or {}), **meta[field]}
    status = pod.setdefault("status", {})
    kept = [c for c in status.get("conditions") or [] if c.get("type") != "PodScheduled"]
    scheduled = {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": now}
    status["conditions"] = [*kept, scheduled]
