"""The default class for what names none: claims (StorageClass), Ingresses (IngressClass), pods (PriorityClass).

Kubernetes' admission plugins DefaultStorageClass, DefaultIngressClass and the default of Priority. Of several classes
that say they are the default one the youngest counts, for pods the one of the lowest priority.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from seamark.api.core import Call, Core
from seamark.api.objects import Obj
from seamark.machinery.gvr import GVR, INGRESSCLASSES, PRIORITYCLASSES, STORAGECLASSES
from seamark.resources.access import number, section, text
from seamark.resources.core.persistentvolumeclaim import CLASS_ANNOTATION
from seamark.resources.networking.ingressclass import IS_DEFAULT as DEFAULT_INGRESS
from seamark.resources.storage.storageclass import IS_DEFAULT as DEFAULT_STORAGE

_INGRESS_ANNOTATION = "kubernetes.io/ingress.class"


async def give_default_class(core: Core, call: Call, obj: Obj) -> None:
    """On create, behind the defaults."""
    gvr = call.target.row.gvr
    give = _GIVERS.get((gvr.group, gvr.kind))
    if give is not None and not call.target.subresource:
        await give(core, obj)


async def _give_storage_class(core: Core, claim: Obj) -> None:
    spec = section(claim, "spec")
    if spec.get("storageClassName") is None and CLASS_ANNOTATION not in section(claim, "metadata", "annotations"):
        found = _youngest(await _classes(core, STORAGECLASSES, _marked(DEFAULT_STORAGE)))
        if found is not None:
            spec["storageClassName"] = found["metadata"]["name"]


async def _give_ingress_class(core: Core, ingress: Obj) -> None:
    spec = section(ingress, "spec")
    if spec.get("ingressClassName") is None and _INGRESS_ANNOTATION not in section(ingress, "metadata", "annotations"):
        found = _youngest(await _classes(core, INGRESSCLASSES, _marked(DEFAULT_INGRESS)))
        if found is not None:
            spec["ingressClassName"] = found["metadata"]["name"]


async def _give_priority(core: Core, pod: Obj) -> None:
    spec = section(pod, "spec")
    if text(spec, "priorityClassName"):
        return
    defaults = await _classes(core, PRIORITYCLASSES, lambda one: one.get("globalDefault") is True)
    if defaults:
        found = min(defaults, key=lambda one: number(one, "value"))
        spec["priorityClassName"] = found["metadata"]["name"]
        spec["priority"] = number(found, "value")
        spec["preemptionPolicy"] = text(found, "preemptionPolicy") or "PreemptLowerPriority"


_GIVERS: dict[tuple[str, str], Any] = {
    ("", "PersistentVolumeClaim"): _give_storage_class,
    ("", "Pod"): _give_priority,
    ("networking.k8s.io", "Ingress"): _give_ingress_class,
}


async def _classes(core: Core, gvr: GVR, is_default: Callable[[Obj], bool]) -> list[Obj]:
    row = core.registry.by_kind(gvr.group, gvr.kind)
    if row is None:
        return []
    page = await core.store.list(prefix=row.key_prefix)
    found = [msgspec.json.decode(entry.value) for entry in page.entries]
    return [one for one in found if is_default(one)]


def _marked(annotation: str) -> Callable[[Obj], bool]:
    return lambda one: section(one, "metadata", "annotations").get(annotation) == "true"


def _youngest(classes: list[Obj]) -> Obj | None:
    """Of one age: the first by name."""
    by_name = sorted(classes, key=lambda one: str(one["metadata"]["name"]))
    return max(by_name, key=lambda one: text(one, "metadata", "creationTimestamp"), default=None)
