"""A version's schema as a whole: all that is wrong with it, in the order in which Kubernetes asks."""

from __future__ import annotations

from typing import Any

from seamark.machinery.fielderrors import forbidden, invalid
from seamark.machinery.jsonvalue import copy_json, equal_json
from seamark.machinery.status import Cause
from seamark.machinery.structural.declared import validate_declared
from seamark.machinery.structural.objectmeta import MetadataError, coerce_embedded, validate_embedded
from seamark.machinery.structural.prune import prune, prune_value
from seamark.machinery.structural.rules import find_unsupported, validate_structural
from seamark.machinery.structural.schema import Raw, Structural, parse_structural
from seamark.machinery.structural.validate import validate_schema

_AT_ROOT_WITH_STATUS = (
    *("Description", "Type", "Format", "Title", "Maximum", "ExclusiveMaximum", "Minimum", "ExclusiveMinimum"),
    *("MaxLength", "MinLength", "Pattern", "MaxItems", "MinItems", "UniqueItems", "MultipleOf", "Required", "Items"),
    *("Properties", "ExternalDocs", "Example", "XPreserveUnknownFields", "XValidations"),
)
_GO_NAMES = {
    "x-kubernetes-preserve-unknown-fields": "XPreserveUnknownFields",
    "x-kubernetes-validations": "XValidations",
}


def validate_openapi(raw: Raw, path: str, *, has_status: bool) -> list[Cause]:
    """``path`` is that of the version's ``schema``."""
    where = f"{path}.openAPIV3Schema"
    causes = _root_with_status(raw, where) if has_status else []
    if raw.get("nullable"):
        causes.append(forbidden(f"{where}.nullable", "nullable cannot be true at the root"))
    unsupported = find_unsupported(raw)
    if not unsupported:
        causes += validate_structural(raw, where) or _validate_defaults(raw, where)
    causes += validate_declared(raw, where)
    if not causes and unsupported:
        causes.append(invalid(where, "", unsupported))
    return causes


def _root_with_status(raw: Raw, path: str) -> list[Cause]:
    """The status is validated by itself as ``properties.status``, so nothing at the root may speak of it."""
    causes: list[Cause] = []
    if raw.get("type") and raw["type"] != "object":
        detail = 'only "object" is allowed as the type at the root of the schema if the status subresource is enabled'
        causes.append(invalid(f"{path}.type", raw["type"], detail))
    given = [_GO_NAMES.get(key, key[0].upper() + key[1:]) for key, value in raw.items() if value or value == 0]
    if any(name not in _AT_ROOT_WITH_STATUS for name in given) and not causes:
        listed = " ".join(_AT_ROOT_WITH_STATUS)
        detail = f"only [{listed}] fields are allowed at the root of the schema if the status subresource is enabled"
        causes.append(invalid(path, raw, detail))
    return causes


def _validate_defaults(raw: Raw, path: str) -> list[Cause]:
    root = parse_structural(raw)
    root.embedded = True
    return _defaults(root, path, is_root=True)


def _defaults(schema: Structural, path: str, *, is_root: bool = False, in_metadata: bool = False) -> list[Cause]:
    causes: list[Cause] = []
    inside = in_metadata and not schema.embedded
    if schema.raw.get("default") is not None:
        causes += _default(schema, f"{path}.default", in_metadata=inside)
    if schema.items is not None:
        causes += _defaults(schema.items, f"{path}.items", in_metadata=inside)
    for name, inner in schema.properties.items():
        meta = inside or ((is_root or schema.embedded) and name in ("metadata", "apiVersion", "kind"))
        causes += _defaults(inner, f"{path}.properties[{name}]", in_metadata=meta)
    return causes


def _default(schema: Structural, path: str, *, in_metadata: bool) -> list[Cause]:
    """A default must be what an object with it would be after pruning, and valid."""
    given = schema.raw["default"]
    value: Any = copy_json(given)
    causes: list[Cause] = []
    if not in_metadata:
        pruned = prune(value, schema) if schema.embedded and isinstance(value, dict) else prune_value(value, schema)
        if pruned or not equal_json(value, given):
            causes.append(invalid(path, given, "must not have unknown fields"))
    value = copy_json(given)
    try:
        coerce_embedded(value, schema, path)
    except MetadataError as error:
        field, _, text = str(error).partition(": ")
        return [*causes, Cause("FieldValueInvalid", text, field)]
    return causes + (
        validate_embedded(value, schema, path) or validate_schema(value, _of_default(schema.raw), base=path)
    )


def _of_default(value: Any) -> Any:
    """A schema as defaults are held against it: an int-or-string may be of any type."""
    if isinstance(value, dict):
        return {key: _of_default(inner) for key, inner in value.items() if key != "x-kubernetes-int-or-string"}
    return [_of_default(inner) for inner in value] if isinstance(value, list) else value
