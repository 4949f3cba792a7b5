"""Claims that ask for more: only where the class of the volume says that it can grow (PersistentVolumeClaimResize)."""

from __future__ import annotations

import msgspec

from seamark.api.core import Call, Core
from seamark.api.objects import Obj
from seamark.machinery.gvr import PERSISTENTVOLUMECLAIMS
from seamark.machinery.status import forbidden
from seamark.machinery.usage import nanos
from seamark.resources.access import text
from seamark.resources.core.persistentvolumeclaim import class_of, size_of
from seamark.resources.storage.storageclass import STORAGECLASS


async def check_expansion(core: Core, call: Call, new: Obj, old: Obj) -> None:
    """Raises Forbidden. What is not bound yet may not ask for more either: validation says so."""
    if call.target.row.gvr != PERSISTENTVOLUMECLAIMS or call.target.subresource:
        return
    if nanos(size_of(new)) <= nanos(size_of(old)) or text(old, "status", "phase") != "Bound":
        return
    if class_of(new) != class_of(old) or not await _can_grow(core, class_of(new)):
        why = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must "
        name = text(new, "metadata", "name")
        raise forbidden(PERSISTENTVOLUMECLAIMS.resource, name, f"{why}support resize")


async def _can_grow(core: Core, name: str) -> bool:
    entry = await core.store.get(key=STORAGECLASS.key_prefix + name) if name else None
    return entry is not None and msgspec.json.decode(entry.value).get("allowVolumeExpansion") is True
