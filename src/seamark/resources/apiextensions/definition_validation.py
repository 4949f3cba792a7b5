"""What is wrong with a CustomResourceDefinition, in Kubernetes' words.

Kubernetes judges the definition in its internal form, where what all versions have in common stands once: so a schema
that is the same in every version is told as ``spec.validation``. Conversion by webhooks is not there: a definition that
asks for it is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seamark.machinery.definitions import ESTABLISHED, is_true, versions
from seamark.machinery.names import validate_dns1035_label, validate_dns1123_subdomain
from seamark.machinery.structural.check import validate_openapi
from seamark.machinery.structural.schema import find_schema, parse_structural
from seamark.resources import field
from seamark.resources.access import entries, section, text
from seamark.resources.apiextensions.approval import validate_approval
from seamark.resources.registry import Causes, Obj

NO_WEBHOOKS = (
    "conversion webhooks are not called by this server; use strategy None, with versions that have the same fields"
)
MAX_SELECTABLE = 8
_NO_SCHEMA = "`version.schema.openAPIV3Schema` is not included"  # they say so, and mean the contrary
_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_COLUMN_FORMATS = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")


def validate_definition(obj: Obj) -> Causes:
    spec, causes = section(obj, "spec"), list[Any]()
    name, wanted = text(obj, "metadata", "name"), f"{text(spec, 'names', 'plural')}.{text(spec, 'group')}"
    if name and name != wanted:
        causes.append(field.invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group'))
    causes += _validate_spec(spec)
    causes += _validate_stored(entries(obj, "status", "storedVersions"), versions(obj))
    return causes + validate_approval(obj, None) + _validate_preserve(spec)


def validate_definition_update(new: Obj, old: Obj) -> Causes:
    spec, before = section(new, "spec"), section(old, "spec")
    causes = _validate_spec(spec)
    fixed = [("group",), ("names", "plural")]
    if is_true(old, ESTABLISHED):
        fixed = [("scope",), ("names", "kind"), *fixed]
    for path in fixed:
        causes += field.immutable(".".join(("spec", *path)), text(spec, *path), text(before, *path))
    causes += _validate_stored(entries(new, "status", "storedVersions"), versions(new))
    return causes + validate_approval(new, old) + _validate_preserve(spec)


def _validate_spec(spec: Obj) -> Causes:
    causes = _validate_group(text(spec, "group"))
    scope, found = text(spec, "scope"), entries(spec, "versions")
    if not scope:
        causes.append(field.required("spec.scope"))
    elif scope not in ("Cluster", "Namespaced"):
        causes.append(field.not_supported("spec.scope", scope, ("Cluster", "Namespaced")))
    if not all(section(version, "schema").get("openAPIV3Schema") for version in found):
        causes += [
            field.required(f"spec.versions[{i}].schema.openAPIV3Schema")
            for i, version in enumerate(found)
            if not section(version, "schema").get("openAPIV3Schema")
        ]
    causes += _validate_versions(found)
    names = section(spec, "names")
    missing = [one for one in ("plural", "singular", "kind", "listKind") if not names.get(one)]
    causes += [field.required(f"spec.names.{one}") for one in missing]
    causes += _validate_names("spec.names", names) + _validate_shared(found)
    return causes + _validate_conversion(section(spec, "conversion"))


def _validate_group(group: str) -> Causes:
    if not group:
        return [field.required("spec.group")]
    if texts := validate_dns1123_subdomain(group):
        return [field.invalid("spec.group", group, ",".join(texts))]
    return [] if "." in group else [field.invalid("spec.group", group, "should be a domain with at least one dot")]


def _same(found: Sequence[Obj], name: str) -> bool:
    """Whether the versions share what they say under ``name``; it is judged once then."""
    return all(version.get(name) == found[0].get(name) for version in found)


def _validate_versions(found: Sequence[Obj]) -> Causes:
    causes: Causes = []
    for i, version in enumerate(found):
        path, name = f"spec.versions[{i}]", text(version, "name")
        if texts := validate_dns1035_label(name):
            causes.append(field.invalid(f"{path}.name", name, ",".join(texts)))
        causes += _validate_deprecation(version, path)
        if not _same(found, "schema"):
            causes += _validate_schema(version, f"{path}.schema")
        if not _same(found, "subresources"):
            causes += _validate_scale(version, f"{path}.subresources")
        if not _same(found, "additionalPrinterColumns"):
            causes += _validate_columns(version, f"{path}.additionalPrinterColumns")
        if not _same(found, "selectableFields"):
            causes += _validate_selectable(version, f"{path}.selectableFields")
    names = [text(version, "name") for version in found]
    if len(set(names)) != len(names):
        causes.append(field.invalid("spec.versions", list(found), "must contain unique version names"))
    if sum(bool(version.get("storage")) for version in found) != 1:
        detail = "must have exactly one version marked as storage version"
        causes.append(field.invalid("spec.versions", list(found), detail))
    if found and (texts := validate_dns1035_label(names[0])):
        causes.append(field.invalid("spec.version", names[0], ",".join(texts)))
    return causes


def _validate_shared(found: Sequence[Obj]) -> Causes:
    if not found:
        return []
    first, causes = found[0], list[Any]()
    if _same(found, "schema"):
        causes += _validate_schema(first, "spec.validation")
    if _same(found, "subresources"):
        causes += _validate_scale(first, "spec.subresources")
    if _same(found, "additionalPrinterColumns"):
        causes += _validate_columns(first, "spec.additionalPrinterColumns")
    if _same(found, "selectableFields"):
        causes += _validate_selectable(first, "spec.selectableFields")
    return causes


def _validate_deprecation(version: Obj, path: str) -> Causes:
    warning = version.get("deprecationWarning")
    if warning is None:
        return []
    texts = [] if version.get("deprecated") else ["can only be set for deprecated versions"]
    if version.get("deprecated"):
        texts += ["must be <= 256 characters long"] if len(warning.encode()) > 256 else []
        texts += [] if warning else ["must not be an empty string"]
        odd = next((i for i, char in enumerate(warning) if not char.isprintable()), None)
        if odd is not None:
            start = len(warning[:odd].encode())
            rule = "must only contain printable UTF-8 characters; non-printable character found at index"
            texts.append(f"{rule} {start}")
    return [field.invalid(f"{path}.deprecationWarning", warning, one) for one in texts]


def _validate_schema(version: Obj, path: str) -> Causes:
    raw = section(version, "schema").get("openAPIV3Schema")
    if not isinstance(raw, dict):
        return []
    return validate_openapi(raw, path, has_status=section(version, "subresources").get("status") is not None)


def _validate_names(path: str, names: Obj) -> Causes:
    causes: Causes = []
    for one in ("plural", "singular"):
        if (name := text(names, one)) and (texts := validate_dns1035_label(name)):
            causes.append(field.invalid(f"{path}.{one}", name, ",".join(texts)))
    for one in ("kind", "listKind"):
        if (name := text(names, one)) and (texts := validate_dns1035_label(name.lower())):
            detail = f"may have mixed case, but should otherwise match: {','.join(texts)}"
            causes.append(field.invalid(f"{path}.{one}", name, detail))
    kind = text(names, "kind")
    lists = {name: entries(names, name) for name in ("shortNames", "categories")}
    for name, found in lists.items():
        if name == "categories" and kind and kind == text(names, "listKind"):
            causes.append(field.invalid(f"{path}.listKind", kind, "kind and listKind may not be the same"))
        causes += [
            field.invalid(f"{path}.{name}[{i}]", one, ",".join(texts))
            for i, one in enumerate(found)
            if (texts := validate_dns1035_label(one))
        ]
    return causes


def validate_accepted_names(names: Obj) -> Causes:
    return _validate_names("status.acceptedNames", names)


def _validate_scale(version: Obj, path: str) -> Causes:
    scale = section(version, "subresources").get("scale")
    if not isinstance(scale, dict):
        return []
    causes: Causes = []
    for name, roots, words in (
        ("specReplicasPath", (".spec.",), ".spec"),
        ("statusReplicasPath", (".status.",), ".status"),
        ("labelSelectorPath", (".spec.", ".status."), "either .spec or .status"),
    ):
        where, given = f"{path}.scale.{name}", text(scale, name)
        if not given:
            causes += [] if name == "labelSelectorPath" else [field.required(where)]
        elif given[0] != ".":
            causes.append(field.invalid(where, given, "must be a simple json path starting with ."))
        elif not given.startswith(roots):
            causes.append(field.invalid(where, given, f"should be a json path under {words}"))
    return causes


def _validate_columns(version: Obj, path: str) -> Causes:
    causes: Causes = []
    for i, column in enumerate(entries(version, "additionalPrinterColumns")):
        where, kind, given = f"{path}[{i}]", text(column, "type"), text(column, "format")
        if not text(column, "name"):
            causes.append(field.required(f"{where}.name"))
        detail = f"must be one of {','.join(_COLUMN_TYPES)}"
        if not kind:
            causes.append(field.required(f"{where}.type", detail))
        elif kind not in _COLUMN_TYPES:
            causes.append(field.invalid(f"{where}.type", kind, detail))
        if given and given not in _COLUMN_FORMATS:
            causes.append(field.invalid(f"{where}.format", given, f"must be one of {','.join(_COLUMN_FORMATS)}"))
        json_path = text(column, "jsonPath")
        if not json_path:
            causes.append(field.required(f"{where}.JSONPath"))
        elif json_path[0] != ".":
            causes.append(field.invalid(f"{where}.JSONPath", json_path, "must be a simple json path starting with ."))
    return causes


def _validate_selectable(version: Obj, path: str) -> Causes:
    raw, found = section(version, "schema").get("openAPIV3Schema"), entries(version, "selectableFields")
    if not found:
        return []
    if not isinstance(raw, dict):
        where = "validations.schema is included" if path == "spec.selectableFields" else _NO_SCHEMA
        return [field.invalid(path, "", f"may only be set when {where}")]
    causes, seen = list[Any](), set[str]()
    for i, one in enumerate(found):
        where, given = f"{path}[{i}].jsonPath", text(one, "jsonPath")
        if not given:
            causes.append(field.required(where))
            continue
        kind, problem = _kind_at(raw, given)
        if problem:
            causes.append(field.invalid(where, given, f"is an invalid path: {problem}"))
            continue
        if given.split(".")[1] == "metadata":
            causes.append(field.invalid(where, given, "must not point to fields in metadata"))
        if kind not in ("string", "boolean", "integer"):
            detail = (
                "must point to a field of type string, boolean or integer. Enum string fields and strings with formats "
                "are allowed."
            )
            causes.append(field.invalid(where, given, detail))
        if given in seen:
            causes.append(field.duplicate(where, given))
        seen.add(given)
    return causes + ([field.too_many(path, len(seen), MAX_SELECTABLE)] if len(seen) > MAX_SELECTABLE else [])


def _kind_at(raw: Obj, path: str) -> tuple[str, str]:
    """The type of the field at a simple path, or why there is none."""
    if not path.startswith("."):
        head = path.split(".")[0].split("[")[0]
        return "", f"expected [ or . but got: {head}" if head else "array notation is not allowed"
    schema = parse_structural(raw)
    for name in path[1:].split("."):
        if "[" in name:
            return "", "array notation is not allowed"
        if not name:
            return "", "unexpected end of JSON path"
        inner = schema.properties.get(name) if schema.properties else schema.others
        if inner is None:
            return "", "does not refer to a valid field"
        schema = inner
    return schema.type, ""


def _validate_conversion(conversion: Obj) -> Causes:
    strategy, causes = text(conversion, "strategy"), list[Any]()
    if not conversion:
        return []
    if not strategy:
        causes.append(field.required("spec.conversion.strategy"))
    elif strategy == "Webhook":
        return [field.forbidden("spec.conversion.strategy", NO_WEBHOOKS)]
    elif strategy != "None":
        causes.append(field.not_supported("spec.conversion.strategy", strategy, ("None", "Webhook")))
    webhook, detail = section(conversion, "webhook"), "should not be set when strategy is not set to Webhook"
    if webhook.get("clientConfig"):
        causes.append(field.forbidden("spec.conversion.webhookClientConfig", detail))
    if webhook.get("conversionReviewVersions"):
        causes.append(field.forbidden("spec.conversion.conversionReviewVersions", detail))
    return causes


def _validate_stored(stored: Sequence[str], found: Sequence[Obj]) -> Causes:
    path = "status.storedVersions"
    if not stored:
        return [field.invalid(path, None, "must have at least one stored version")]
    causes = [
        field.invalid(path, list(stored), f"must have the storage version {text(version, 'name')}")
        for version in found
        if version.get("storage") and text(version, "name") not in stored
    ]
    names = {text(version, "name") for version in found}
    for i, one in enumerate(stored):
        if one not in names:
            detail = (
                f"missing from spec.versions; {one} was previously a storage version, and must remain in spec.versions "
                f"until a storage migration ensures no data remains persisted in {one} and removes {one} from "
                "status.storedVersions"
            )
            causes.append(field.invalid(f"{path}[{i}]", one, detail))
    return causes


def _validate_preserve(spec: Obj) -> Causes:
    if not spec.get("preserveUnknownFields"):
        return []
    detail = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
    causes = [field.invalid("spec.preserveUnknownFields", True, detail)]
    has_defaults = any(
        find_schema(section(version, "schema").get("openAPIV3Schema"), lambda raw: raw.get("default") is not None)
        for version in entries(spec, "versions")
    )
    if has_defaults:
        detail = "must be false in order to use defaults in the schema"
        causes.insert(0, field.invalid("spec.preserveUnknownFields", True, detail))
    return causes
