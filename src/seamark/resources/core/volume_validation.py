"""Validation of a pod's volumes: one source each, and paths inside them that cannot lead out.

Sources that Seamark does not mount (cloud disks, CSI) are accepted here; the node agent refuses them by name.
"""

from __future__ import annotations

from typing import Any

from seamark.machinery import names
from seamark.resources import field
from seamark.resources.access import entries, section, text
from seamark.resources.core.container_validation import (
    validate_descending_path,
    validate_field_ref,
    validate_no_backsteps,
    validate_resource_ref,
)
from seamark.resources.registry import Causes, Obj

DOWNWARD_FIELDS = ("metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid")
HOST_PATH_TYPES = (
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
)
MIN_TOKEN_SECONDS = 600


def validate_volumes(path: str, volumes: list[Obj]) -> tuple[dict[str, Obj], Causes]:
    """The good volumes by name, for the mounts to refer to, and what is wrong with the others."""
    found: dict[str, Obj] = {}
    causes: Causes = []
    for i, volume in enumerate(volumes):
        at = field.index(path, i)
        name = text(volume, "name")
        wrong = _validate_source(at, volume)
        if not name:
            wrong.append(field.required(f"{at}.name"))
        else:
            wrong += field.invalids(f"{at}.name", name, names.validate_dns1123_label(name))
        if name in found:
            wrong.append(field.duplicate(f"{at}.name", name))
        if not wrong:
            found[name] = volume
        causes += wrong
    return found, causes


def _validate_source(path: str, volume: Obj) -> Causes:
    given = [name for name, value in volume.items() if name != "name" and value is not None]
    if not given:
        return [field.required(path, "must specify a volume type")]
    first, *more = given
    causes: Causes = [field.forbidden(f"{path}.{name}", "may not specify more than 1 volume type") for name in more]
    source, at = section(volume, first), f"{path}.{first}"
    match first:
        case "secret":
            causes += [] if text(source, "secretName") else [field.required(f"{at}.secretName")]
            causes += _validate_items(at, entries(source, "items"))
        case "configMap":
            causes += [] if text(source, "name") else [field.required(f"{at}.name")]
            causes += _validate_items(at, entries(source, "items"))
        case "hostPath":
            causes += validate_host_path(at, source)
        case "persistentVolumeClaim":
            causes += [] if text(source, "claimName") else [field.required(f"{at}.claimName")]
        case "projected":
            causes += _validate_projected(at, entries(source, "sources"))
        case "downwardAPI":
            causes += _validate_downward(at, entries(source, "items"))
    if first in ("secret", "configMap", "projected", "downwardAPI"):
        causes += _validate_mode(f"{at}.defaultMode", source.get("defaultMode"))
    return causes


def _validate_mode(path: str, mode: Any) -> Causes:
    if mode is None or 0 <= mode <= 0o777:
        return []
    return [field.invalid(path, mode, "must be a number between 0 and 0777 (octal), both inclusive")]


def validate_host_path(path: str, source: Obj) -> Causes:
    if not text(source, "path"):
        return [field.required(f"{path}.path")]
    causes = validate_no_backsteps(f"{path}.path", text(source, "path"))
    return causes + field.one_of(f"{path}.type", source.get("type") or "", HOST_PATH_TYPES)


def _validate_file_path(path: str, value: str) -> Causes:
    """Below the volume's directory, and not one of the names the kubelet's atomic writer takes (``..data``)."""
    causes = validate_descending_path(path, value)
    if value.startswith("..") and not value.startswith("../"):
        causes.append(field.invalid(path, value, "must not start with '..'"))
    return causes


def _validate_items(path: str, items: list[Obj]) -> Causes:
    causes: Causes = []
    for i, item in enumerate(items):
        at = f"{path}.items[{i}]"
        if not text(item, "key"):
            causes.append(field.required(f"{at}.key"))
        if not text(item, "path"):
            causes.append(field.required(f"{at}.path"))
        causes += _validate_file_path(f"{at}.path", text(item, "path"))
        causes += _validate_mode(f"{at}.mode", item.get("mode"))
    return causes


def _validate_downward(path: str, items: list[Obj]) -> Causes:
    """The paths of the causes lack the item's number, as Kubernetes' do."""
    causes: Causes = []
    for item in items:
        if not text(item, "path"):
            causes.append(field.required(f"{path}.path"))
        causes += _validate_file_path(f"{path}.path", text(item, "path"))
        if item.get("fieldRef") is not None:
            causes += validate_field_ref(f"{path}.fieldRef", item["fieldRef"], DOWNWARD_FIELDS)
            if item.get("resourceFieldRef") is not None:
                detail = "fieldRef and resourceFieldRef can not be specified simultaneously"
                causes.append(field.invalid(path, "resource", detail))
        elif item.get("resourceFieldRef") is None:
            causes.append(field.required(path, "one of fieldRef and resourceFieldRef is required"))
        elif not text(item, "resourceFieldRef", "containerName"):
            causes.append(field.required(f"{path}.resourceFieldRef.containerName"))
        else:
            causes += validate_resource_ref(f"{path}.resourceFieldRef", item["resourceFieldRef"])
        causes += _validate_mode(f"{path}.mode", item.get("mode"))
    return causes


def _validate_projected(path: str, sources: list[Obj]) -> Causes:
    causes: Causes = []
    seen: set[str] = set()
    for i, source in enumerate(sources):
        at = f"{path}.sources[{i}]"
        for kind in ("secret", "configMap"):
            if source.get(kind) is not None:
                name = text(source[kind], "name")
                causes += [] if name else [field.required(f"{at}.{kind}.name")]
                items = entries(source, kind, "items")
                causes += _validate_items(f"{at}.{kind}", items)
                causes += _conflicts(path, items, seen, shown=name)
        if source.get("downwardAPI") is not None:
            items = entries(source, "downwardAPI", "items")
            causes += _validate_downward(f"{at}.downwardAPI", items)
            causes += _conflicts(path, items, seen)
        if source.get("serviceAccountToken") is not None:
            causes += _validate_token(path, f"{at}.serviceAccountToken", source["serviceAccountToken"])
        if sum(value is not None for value in source.values()) > 1:
            causes.append(field.forbidden(at, "may not specify more than 1 volume type per source"))
    return causes


def _conflicts(path: str, items: list[Obj], seen: set[str], *, shown: str | None = None) -> Causes:
    """Two files of one projected volume at the same place; ``shown`` is what the message names instead of the path."""
    causes: Causes = []
    for item in items:
        where = text(item, "path")
        if where and where in seen:
            causes.append(field.invalid(path, where if shown is None else shown, "conflicting duplicate paths"))
        seen.add(where)
    return causes


def _validate_token(volume: str, path: str, token: Obj) -> Causes:
    seconds = token.get("expirationSeconds") or 0
    causes: Causes = []
    if seconds < MIN_TOKEN_SECONDS:
        detail = "may not specify a duration less than 10 minutes"
        causes.append(field.invalid(f"{path}.expirationSeconds", seconds, detail))
    if seconds > 1 << 32:
        detail = "may not specify a duration larger than 2^32 seconds"
        causes.append(field.invalid(f"{path}.expirationSeconds", seconds, detail))
    if not text(token, "path"):
        return [*causes, field.required(f"{volume}.path")]
    return causes + _validate_file_path(f"{volume}.path", text(token, "path"))
