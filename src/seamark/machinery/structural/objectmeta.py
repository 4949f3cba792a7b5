"""Metadata of custom resources and of resources embedded in them: ObjectMeta, whatever their schema says.

``coerce`` keeps what ObjectMeta has, in its types; what does not fit is an error, or dropped where it was stored.
"""

from __future__ import annotations

from typing import Any

from seamark.machinery import schema as table
from seamark.machinery.apply.items import as_written
from seamark.machinery.apply.shape import shape_of
from seamark.machinery.fielderrors import invalid, required
from seamark.machinery.names import validate_dns1035_label
from seamark.machinery.status import Cause, StatusError
from seamark.machinery.strict import conform_part
from seamark.machinery.structural.schema import Structural

Obj = dict[str, Any]

_META = "meta.v1.ObjectMeta"


class MetadataError(ValueError):
    """Metadata that is none; the text is Go's, with the field in front where it is an embedded resource's."""


def coerce_metadata(obj: Obj, path: str = "") -> list[str]:
    """Makes ``obj["metadata"]`` an ObjectMeta in place; gives the paths of its unknown fields. Raises MetadataError."""
    where = f"{path}.metadata" if path else "metadata"
    try:
        found, unknown = conform_part(obj["metadata"], table.named(_META), where)
    except StatusError as error:
        raise MetadataError(error.message) from None
    written = as_written(found, shape_of(_META))
    obj["metadata"] = {name: value for name, value in written.items() if name != "creationTimestamp" or value}
    return unknown


def coerce_embedded(value: Any, schema: Structural | None, path: str = "") -> list[str]:
    """The same for every embedded resource below the root. Raises MetadataError."""
    if schema is None:
        return []
    found: list[str] = []
    if isinstance(value, dict):
        if schema.embedded:
            found += _coerce_resource(value, path)
        for name, member in value.items():
            inner = schema.properties.get(name)
            if inner is not None:
                found += coerce_embedded(member, inner, f"{path}.{name}" if path else name)
            elif schema.additional is not None:
                found += coerce_embedded(member, schema.others, f"{path}[{name}]")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found += coerce_embedded(item, schema.items, f"{path}[{index}]")
    return found


def _coerce_resource(value: Obj, path: str) -> list[str]:
    for name in ("apiVersion", "kind"):
        if name in value and not isinstance(value[name], str):
            cause = invalid(f"{path}.{name}", value[name], "must be a string")
            raise MetadataError(f"{cause.field}: {cause.message}")
    if "metadata" not in value:
        return []
    given = value["metadata"]
    try:
        return coerce_metadata(value, path)
    except MetadataError as error:
        cause = invalid(f"{path}.metadata", given, str(error))
        raise MetadataError(f"{cause.field}: {cause.message}") from None


def validate_embedded(value: Any, schema: Structural | None, path: str = "") -> list[Cause]:
    """apiVersion and kind of every embedded resource."""
    if schema is None:
        return []
    causes: list[Cause] = []
    if isinstance(value, dict):
        if schema.embedded:
            causes += _validate_resource(value, path)
        for name, member in value.items():
            inner = schema.properties.get(name)
            if inner is not None:
                causes += validate_embedded(member, inner, f"{path}.{name}" if path else name)
            elif schema.additional is not None:
                causes += validate_embedded(member, schema.others, f"{path}[{name}]")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            causes += validate_embedded(item, schema.items, f"{path}[{index}]")
    return causes


def _validate_resource(value: Obj, path: str) -> list[Cause]:
    causes = [required(f"{path}.{name}") for name in ("apiVersion", "kind") if name not in value]
    for name in ("apiVersion", "kind"):
        if name not in value:
            continue
        given, where = value[name], f"{path}.{name}"
        if not isinstance(given, str):
            causes.append(invalid(where, given, "must be a string"))
        elif not given:
            causes.append(invalid(where, given, "must not be empty"))
        elif name == "apiVersion" and given.count("/") > 1:
            causes.append(invalid(where, given, f"unexpected GroupVersion string: {given}"))
        elif name == "kind" and (texts := validate_dns1035_label(given.lower())):
            detail = f"may have mixed case, but should otherwise match: {','.join(texts)}"
            causes.append(invalid(where, given, detail))
    return causes
