"""Names of what is counted: cpu, memory, storage, objects; which of them limits and quotas may hold."""

from __future__ import annotations

from seamark.machinery import names
from seamark.machinery.usage import OBJECTS
from seamark.resources import field
from seamark.resources.registry import Causes

_COMPUTE = ("cpu", "memory", "ephemeral-storage")
_SIDED = tuple(f"{side}.{name}" for side in ("requests", "limits") for name in _COMPUTE)
QUOTA = frozenset((*OBJECTS, *_COMPUTE, *_SIDED, "requests.storage"))
STANDARD = QUOTA | {"storage"}
CONTAINER = frozenset(_COMPUTE)
_HUGE = "hugepages-"


def validate_resource_name(path: str, name: str) -> Causes:
    causes = field.invalids(path, name, names.validate_qualified_name(name))
    if not causes and "/" not in name and name not in STANDARD and not name.startswith((_HUGE, f"requests.{_HUGE}")):
        causes.append(field.invalid(path, name, "must be a standard resource type or fully qualified"))
    return causes


def validate_container_resource_name(path: str, name: str) -> Causes:
    causes = validate_resource_name(path, name)
    if "/" not in name and name not in CONTAINER and not name.startswith(_HUGE):
        causes.append(field.invalid(path, name, "must be a standard resource for containers"))
    elif "/" in name and "kubernetes.io/" not in name and not _is_extended(name):
        causes.append(field.invalid(path, name, "doesn't follow extended resource name standard"))
    return causes


def _is_extended(name: str) -> bool:
    """With room for ``requests.`` before it, as a quota names it."""
    return not name.startswith("requests.") and not names.validate_qualified_name(f"requests.{name}")


def validate_quota_resource_name(path: str, name: str) -> Causes:
    causes = validate_resource_name(path, name)
    if "/" not in name and name not in QUOTA and not name.startswith((_HUGE, f"requests.{_HUGE}")):
        causes.append(field.invalid(path, name, "must be a standard resource for quota"))
    return causes


def is_counted_in_whole(name: str) -> bool:
    return name in OBJECTS or ("/" in name and "kubernetes.io/" not in name and not name.startswith("requests."))
