"""What a PersistentVolumeClaim is to be filled from: ``dataSource``, and ``dataSourceRef`` which took its place.

The two say the same and follow each other. A ``dataSource`` of an unknown kind was never honoured and is dropped; a
``dataSourceRef`` is not. Nothing here fills volumes.
"""

from __future__ import annotations

from seamark.machinery import names
from seamark.resources import field
from seamark.resources.access import text
from seamark.resources.registry import Causes, Obj

_KNOWN = (("", "PersistentVolumeClaim"), ("snapshot.storage.k8s.io", "VolumeSnapshot"))
_OLD, _NEW = "dataSource", "dataSourceRef"
_SHARED = ("apiGroup", "kind", "name")


def prepare_source(spec: Obj, before: Obj) -> None:
    """``before`` is empty on create."""
    reference = spec.get(_NEW)
    if reference is not None and text(reference, "namespace") and not before.get(_NEW):
        reference = None  # sources of other namespaces are behind a feature gate
        del spec[_NEW]
    given = spec.get(_OLD)
    was_filled = before.get(_OLD) or before.get(_NEW)
    if given is not None and reference is None and not was_filled and not _is_known(given):
        given = None
        del spec[_OLD]
    if given is not None and reference is None:
        spec[_NEW] = _shared(given)
    elif reference is not None and given is None and not text(reference, "namespace"):
        spec[_OLD] = _shared(reference)


def _is_known(reference: Obj) -> bool:
    return (text(reference, "apiGroup"), text(reference, "kind")) in _KNOWN


def _shared(reference: Obj) -> Obj:
    return {name: reference[name] for name in _SHARED if reference.get(name) is not None}


def validate_source(spec: Obj) -> Causes:
    given, reference = spec.get(_OLD), spec.get(_NEW)
    causes = [c for name in (_OLD, _NEW) if spec.get(name) is not None for c in _validate_one(name, spec[name])]
    if given is None or reference is None:
        return causes
    if text(reference, "namespace"):
        detail = "may not be specified when dataSourceRef.namespace is specified"
        causes.append(field.invalid("spec", f"spec.{_OLD}", detail))
    elif _shared(given) != _shared(reference):
        causes.append(field.invalid("spec", f"spec.{_OLD}", f"must match {_NEW}"))
    return causes


def _validate_one(name: str, reference: Obj) -> Causes:
    path, group, kind = f"spec.{name}", text(reference, "apiGroup"), text(reference, "kind")
    causes: Causes = [field.required(f"{path}.{key}") for key in ("name", "kind") if not text(reference, key)]
    if not group and kind != "PersistentVolumeClaim":
        detail = "must be 'PersistentVolumeClaim' when referencing the default apiGroup"
        causes.append(field.invalid(path, kind, detail))
    if group:
        causes += field.invalids(f"{path}.apiGroup", group, names.validate_dns1123_subdomain(group))
    namespace = text(reference, "namespace")
    if namespace:
        causes += field.invalids(f"{path}.namespace", namespace, names.validate_dns1123_label(namespace))
    return causes
