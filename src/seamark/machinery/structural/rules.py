"""What makes a schema structural: types at every level, and value validation that says nothing about structure.

``validate_structural`` is apiextensions' ValidateStructural over the plain JSONSchemaProps; ``find_unsupported`` tells
what keeps a schema from being read as a structural one at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from seamark.machinery.fielderrors import forbidden, invalid, required
from seamark.machinery.status import Cause
from seamark.machinery.structural.pattern import PatternError, compile_pattern
from seamark.machinery.structural.schema import Raw

_ROOT, _ITEM, _FIELD = "root", "item", "field"
_NO_TYPE = {
    _ROOT: "must not be empty at the root",
    _ITEM: "must not be empty for specified array items",
    _FIELD: "must not be empty for specified object fields",
}
_INT_OR_STRING = [{"type": "integer"}, {"type": "string"}]
_UNSUPPORTED = (
    ("id", "id"),
    ("$schema", "schema"),
    ("$ref", "$ref"),
    ("patternProperties", "patternProperties"),
    ("dependencies", "dependencies"),
    ("additionalItems", "additionalItems"),
    ("definitions", "definitions"),
)
_NOT_NESTED = (  # key, and what it must be to say nothing about structure
    ("type", "empty"),
    ("additionalProperties", "undefined"),
    ("default", "undefined"),
    ("title", "empty"),
    ("description", "empty"),
    ("nullable", "false"),
    ("x-kubernetes-preserve-unknown-fields", "false"),
    ("x-kubernetes-embedded-resource", "false"),
    ("x-kubernetes-int-or-string", "false"),
    ("x-kubernetes-list-map-keys", "empty"),
    ("x-kubernetes-list-type", "undefined"),
    ("x-kubernetes-map-type", "undefined"),
    ("x-kubernetes-validations", "empty"),
)


def find_unsupported(raw: Raw) -> str:
    """Why the schema cannot be read as a structural one; empty if it can."""
    for key, shown in _UNSUPPORTED:
        if raw.get(key) if key != "additionalItems" else raw.get(key) is not None:
            return f"OpenAPIV3Schema '{shown}' is not supported"
    for _, nested in _quantified(raw):
        if why := find_unsupported(nested):
            return why
    if raw.get("x-kubernetes-preserve-unknown-fields") is False:
        return "internal error: 'x-kubernetes-preserve-unknown-fields' must be true or undefined"
    if isinstance(raw.get("items"), list):
        return "OpenAPIV3Schema 'items' must be a schema, but is an array"
    return next((why for inner in _inner(raw) if (why := find_unsupported(inner))), "")


def _quantified(raw: Raw) -> Iterator[tuple[str, Raw]]:
    """The nested value validations with the end of their path."""
    if isinstance(raw.get("not"), dict):
        yield "not", raw["not"]
    for key in ("allOf", "anyOf", "oneOf"):
        for index, one in enumerate(raw.get(key) or ()):
            yield f"{key}[{index}]", one


def _inner(raw: Raw) -> Iterator[Raw]:
    for key in ("items", "additionalProperties"):
        if isinstance(raw.get(key), dict):
            yield raw[key]
    yield from _properties(raw).values()


def _properties(raw: Raw) -> Mapping[str, Raw]:
    return raw.get("properties") or {}


def validate_structural(raw: Raw, path: str) -> list[Cause]:
    """In the order of their texts."""
    causes = _invariants(raw, _ROOT, path) + _completeness(raw, raw, path, path)
    return sorted(causes, key=lambda cause: f"{cause.field}: {cause.message}")


def _invariants(raw: Raw, level: str, path: str) -> list[Cause]:
    causes: list[Cause] = []
    kind, items, others = raw.get("type") or "", raw.get("items"), raw.get("additionalProperties")
    if kind == "array" and items is None:
        causes.append(required(f"{path}.items", "must be specified"))
    if isinstance(items, dict):
        causes += _invariants(items, _ITEM, f"{path}.items")
    for name, inner in _properties(raw).items():
        causes += _invariants(inner, _FIELD, f"{path}.properties[{name}]")
    if others is not None and level == _ROOT:
        causes.append(forbidden(f"{path}.additionalProperties", "must not be used at the root"))
    if isinstance(others, dict):
        causes += _invariants(others, _FIELD, f"{path}.additionalProperties")
    causes += _extensions(raw, path)
    causes += _values(raw, path, skip_any=_is_either(raw), skip_first_all=_is_all_of_either(raw))
    return causes + _type(raw, level, path) + _resource(raw, level, path)


def _is_either(raw: Raw) -> bool:
    """``anyOf: [{type: integer}, {type: string}]``, which an int-or-string may say."""
    return raw.get("anyOf") == _INT_OR_STRING


def _is_all_of_either(raw: Raw) -> bool:
    found: list[Raw] = raw.get("allOf") or []
    return bool(found) and _is_either(found[0])


def _extensions(raw: Raw, path: str) -> list[Cause]:
    if not raw.get("x-kubernetes-int-or-string"):
        return []
    keys = ("x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource")
    detail = "must be false if x-kubernetes-int-or-string is true"
    return [invalid(f"{path}.{key}", True, detail) for key in keys if raw.get(key)]


def _type(raw: Raw, level: str, path: str) -> list[Cause]:
    kind, embedded = raw.get("type") or "", raw.get("x-kubernetes-embedded-resource")
    causes: list[Cause] = []
    if embedded and kind != "object":
        detail = "must be object if x-kubernetes-embedded-resource is true"
        causes.append(invalid(f"{path}.type", kind, detail) if kind else required(f"{path}.type", detail))
    elif not kind and not (raw.get("x-kubernetes-int-or-string") or raw.get("x-kubernetes-preserve-unknown-fields")):
        causes.append(required(f"{path}.type", _NO_TYPE[level]))
    if embedded and raw.get("additionalProperties") is not None:
        detail = "must not be used if x-kubernetes-embedded-resource is set"
        causes.append(forbidden(f"{path}.additionalProperties", detail))
    if level == _ROOT and kind not in ("", "object"):
        causes.append(invalid(f"{path}.type", kind, "must be object at the root"))
    return causes


def _resource(raw: Raw, level: str, path: str) -> list[Cause]:
    """kind, apiVersion and metadata of the resource itself or an embedded one."""
    embedded, properties = raw.get("x-kubernetes-embedded-resource"), _properties(raw)
    causes: list[Cause] = []
    if level == _ROOT or embedded:
        causes += [
            invalid(f"{path}.properties[{name}].type", kind, f"must be {wanted}")
            for name, wanted in (("kind", "string"), ("apiVersion", "string"), ("metadata", "object"))
            if name in properties and (kind := properties[name].get("type") or "") != wanted
        ]
    if level == _ROOT and "metadata" in properties and not _says_only_names(properties["metadata"]):
        detail = "must not specify anything other than name and generateName, but metadata is implicitly specified"
        causes.append(forbidden(f"{path}.properties[metadata]", detail))
    if embedded and not raw.get("x-kubernetes-preserve-unknown-fields") and not properties:
        detail = (
            "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"
        )
        causes.append(required(f"{path}.properties", detail))
    return causes


def _says_only_names(metadata: Raw) -> bool:
    if set(_properties(metadata)) - {"name", "generateName"}:
        return False
    return not any(value not in (None, "", False, [], {}) for key, value in metadata.items() if key not in _MAY_SAY)


_MAY_SAY = frozenset({"type", "default", "properties"})


def _values(raw: Raw, path: str, *, skip_any: bool, skip_first_all: bool = False) -> list[Cause]:
    """The value validations of a node and those nested in it."""
    causes: list[Cause] = []
    for where, nested in _quantified(raw):
        if where.startswith("anyOf") and skip_any:
            continue
        causes += _nested(nested, f"{path}.{where}", skip_any=skip_first_all and where == "allOf[0]")
    if pattern := raw.get("pattern"):
        try:
            compile_pattern(pattern)
        except PatternError as error:
            detail = f"must be a valid regular expression, but isn't: {error}"
            causes.append(invalid(f"{path}.pattern", pattern, detail))
    return causes


def _nested(raw: Raw, path: str, *, skip_any: bool = False) -> list[Cause]:
    causes = _values(raw, path, skip_any=skip_any)
    if isinstance(raw.get("items"), dict):
        causes += _nested(raw["items"], f"{path}.items")
    for name, inner in _properties(raw).items():
        causes += _nested(inner, f"{path}.properties[{name}]")
    for key, wanted in _NOT_NESTED:
        value = raw.get(key)
        if value or (value is not None and value is not False and wanted == "undefined"):
            causes.append(forbidden(f"{path}.{key}", f"must be {wanted} to be structural"))
    if "metadata" in _properties(raw):
        causes.append(forbidden(f"{path}.properties[metadata]", "must not be specified in a nested context"))
    return causes


def _completeness(raw: Raw, schema: Raw | None, schema_path: str, path: str) -> list[Cause]:
    """What a value validation speaks of must stand in the schema around it as well."""
    return [
        cause
        for where, nested in _quantified(raw)
        for cause in _nested_completeness(nested, schema, schema_path, f"{path}.{where}")
    ]


def _nested_completeness(raw: Raw, schema: Raw | None, schema_path: str, path: str) -> list[Cause]:
    if schema is None:
        return [required(schema_path, f"because it is defined in {path}")]
    causes = _completeness(raw, schema, schema_path, path)
    if isinstance(raw.get("items"), dict):
        causes += _nested_completeness(raw["items"], schema.get("items"), f"{schema_path}.items", f"{path}.items")
    for name, inner in _properties(raw).items():
        where, end = f"{schema_path}.properties[{name}]", f"{path}.properties[{name}]"
        found = _properties(schema).get(name)
        if found is None:
            causes.append(required(where, f"because it is defined in {end}"))
        else:
            causes += _nested_completeness(inner, found, where, end)
    return causes
