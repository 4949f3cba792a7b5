"""A custom object against its schema: kube-openapi's validation of every node, with its order and its words.

With an old object at hand (``old``), what is unchanged is not judged again: a rule that came later does not keep an
object from being changed elsewhere (ratcheting).
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from seamark.machinery.fielderrors import not_supported, required, too_many
from seamark.machinery.status import Cause
from seamark.machinery.structural.findings import Place, Result
from seamark.machinery.structural.formats import is_known_format
from seamark.machinery.structural.scalars import is_in_enum, validate_format, validate_number, validate_string
from seamark.machinery.structural.schema import Raw, Structural


class Old(NamedTuple):
    """The value that stood here before, and the schema that tells which items are the same."""

    value: Any
    schema: Structural


def validate_schema(value: Any, raw: Raw, *, base: str = "", old: Old | None = None) -> list[Cause]:
    """``base`` is the field that ``value`` is, where it is no whole object."""
    return list(_judge(value, raw, Place(base), old).errors.values())


def _judge(value: Any, raw: Raw, place: Place, old: Old | None) -> Result:
    result = _node(value, raw, place, old)
    if old is not None and result.errors and _is_unchanged(value, old):
        result.errors.clear()
    return result


def _node(value: Any, raw: Raw, place: Place, old: Old | None) -> Result:
    result, kinds = Result(), _kinds(raw)
    given = raw.get("format") or ""
    given = given if is_known_format(given, kinds[0] if len(kinds) == 1 else "") else ""
    if value is None:
        result.merge(_type(value, raw, kinds, given, place))
        result.merge(_enum(value, raw, place))
        return result
    checks = [_type(value, raw, kinds, given, place)] if kinds or given else []
    checks.append(_alternatives(value, raw, place, old))
    if isinstance(value, str):
        checks.append(validate_string(value, raw, place))
        if given and kinds in ((), ("string",)):
            checks.append(validate_format(value, given, place))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        checks.append(validate_number(value, raw, kinds, place))
    if isinstance(value, list):
        checks.append(_items(value, raw, place, old))
    checks.append(_enum(value, raw, place))
    if isinstance(value, dict):
        checks.append(_members(value, raw, place, old))
    for check in checks:
        result.merge(check)
        result.fitted += 1
    result.fitted += 1
    return result


def _kinds(raw: Raw) -> tuple[str, ...]:
    if raw.get("x-kubernetes-int-or-string"):
        return ("integer", "string")
    return (raw["type"],) if raw.get("type") else ()


def _type(value: Any, raw: Raw, kinds: tuple[str, ...], given: str, place: Place) -> Result:
    result = Result()
    if value is None:
        if kinds and not raw.get("nullable"):
            place.wrong_type(result, ",".join(kinds), "null")
        else:
            result.fitted += 1
        return result
    kind, number_format = _kind_of(value)
    whole = kind == "number" and float(value).is_integer() and abs(value) < 2**53
    fits = kind in kinds or (whole and "integer" in kinds) or (kind == "integer" and "number" in kinds)
    is_text = isinstance(value, str | list)
    if not is_text and given and not (fits or number_format == given):
        place.wrong_type(result, given, number_format)
    elif not ("number" in kinds or "integer" in kinds) and given and is_text:
        result.fitted += 1
    elif not fits:
        place.wrong_type(result, ",".join(kinds), kind)
    else:
        result.fitted += 1
    return result


def _kind_of(value: Any) -> tuple[str, str]:
    match value:
        case bool():
            return "boolean", ""
        case str():
            return "string", ""
        case int():
            return "integer", "int64"
        case float():
            return "number", "float64"
        case list():
            return "array", ""
    return "object", ""


def _enum(value: Any, raw: Raw, place: Place) -> Result:
    result, allowed = Result(), raw.get("enum")
    if allowed and not is_in_enum(value, allowed):
        shown = [one if isinstance(one, str) else json.dumps(one, separators=(",", ":")) for one in allowed]
        result.add(f"{place.path} in body should be one of {shown}", not_supported(place.field, value, shown))
    return result


def _alternatives(value: Any, raw: Raw, place: Place, old: Old | None) -> Result:
    """anyOf, oneOf, allOf, not."""
    result = Result()
    if raw.get("anyOf"):
        _any_of(result, [_node(value, one, place, old) for one in raw["anyOf"]], place)
    if raw.get("oneOf"):
        _one_of(result, [_node(value, one, place, old) for one in raw["oneOf"]], place)
    if raw.get("allOf"):
        found = [_node(value, one, place, old) for one in raw["allOf"]]
        for one in found:
            result.merge(one)
        valid = sum(one.is_valid for one in found)
        if valid != len(found):
            none = "" if valid else ". None validated"
            place.whole(result, f'"{place.path}" must validate all the schemas (allOf){none}')
    if isinstance(raw.get("not"), dict) and _node(value, raw["not"], place, old).is_valid:
        place.whole(result, f'"{place.path}" must not validate the schema (not)')
    result.fitted += 1
    return result


def _any_of(result: Result, found: list[Result], place: Place) -> None:
    first = next((one for one in found if one.is_valid), None)
    if first is not None:
        result.merge(first)
        return
    place.whole(result, f'"{place.path}" must validate at least one schema (anyOf)')
    result.merge(max(found, key=lambda one: one.fitted))


def _one_of(result: Result, found: list[Result], place: Place) -> None:
    valid = [one for one in found if one.is_valid]
    if len(valid) == 1:
        result.merge(valid[0])
        return
    counted = f"Found {len(valid)} valid alternatives" if valid else "Found none valid"
    place.whole(result, f'"{place.path}" must validate one and only one schema (oneOf). {counted}')
    if not valid:
        result.merge(max(found, key=lambda one: one.fitted))


def _items(value: list[Any], raw: Raw, place: Place, old: Old | None) -> Result:
    result, items = Result(), raw.get("items")
    if isinstance(items, dict):
        for index, item in enumerate(value):
            result.merge(_judge(item, items, place.inside(f"[{index}]"), _old_item(old, item)))
    minimum, maximum, size = raw.get("minItems"), raw.get("maxItems"), len(value)
    if minimum is not None and size < minimum:
        place.invalid(result, f"{place.path} in body should have at least {minimum} items", size)
    if maximum is not None and size > maximum:
        why = f"{place.path} in body should have at most {maximum} items"
        result.add(why, too_many(place.field, size, maximum))
    result.fitted += 1
    return result


def _members(value: dict[str, Any], raw: Raw, place: Place, old: Old | None) -> Result:
    result, size = Result(), len(value)
    properties, others = raw.get("properties") or {}, raw.get("additionalProperties")
    minimum, maximum = raw.get("minProperties"), raw.get("maxProperties")
    if minimum is not None and size < minimum:
        place.invalid(result, f"{place.path} in body should have at least {minimum} properties", size)
    if maximum is not None and size > maximum:
        why = f"{place.path} in body should have at most {maximum} properties"
        result.add(why, too_many(place.field, size, maximum))
    for name, member in value.items():
        if name in properties:
            where = place.member(name)
            result.merge(_judge(member, properties[name], where, _old_member(old, name, member, place)))
        elif others is False:
            place.invalid(result, f"{place.path}.{name} in body is a forbidden property", name)
        elif isinstance(others, dict):
            where = place.inside(f".{name}")
            result.merge(_judge(member, others, where, _old_member(old, name, member, place)))
    for name in raw.get("required") or ():
        if name not in value:
            where = place.inside(f".{name}")
            result.add(f"{where.path} in body is required", required(where.field))
    return result


def _old_member(old: Old | None, name: str, member: Any, place: Place) -> Old | None:
    if old is None or (not place.path and name in ("kind", "apiVersion")):
        return None
    schema = old.schema.member(name)
    if schema is None or not isinstance(old.value, dict) or name not in old.value:
        return None
    return Old(old.value[name], schema)


def _old_item(old: Old | None, item: Any) -> Old | None:
    """Only the items of a map are known again."""
    if old is None or old.schema.list_type != "map" or old.schema.items is None or not isinstance(old.value, list):
        return None
    wanted = _key_of(item, old.schema)
    if wanted is None:
        return None
    found = next((one for one in old.value if _key_of(one, old.schema) == wanted), None)
    return None if found is None else Old(found, old.schema.items)


def _key_of(item: Any, schema: Structural) -> tuple[Any, ...] | None:
    return tuple(item.get(name) for name in schema.list_keys) if isinstance(item, dict) else None


def _is_unchanged(value: Any, old: Old) -> bool:
    """As CorrelatedObject compares: by what the schema makes comparable, numbers with their Go type."""
    if isinstance(value, dict) and isinstance(old.value, dict):
        if len(value) != len(old.value):
            return False
        for name, member in value.items():
            schema = old.schema.member(name)
            if schema is None or name not in old.value or not _is_unchanged(member, Old(old.value[name], schema)):
                return False
        return True
    if isinstance(value, list) and isinstance(old.value, list):
        return _are_unchanged(value, old)
    return bool(value == old.value) and type(value) is type(old.value)


def _are_unchanged(value: list[Any], old: Old) -> bool:
    if len(value) != len(old.value):
        return False
    if old.schema.list_type != "map":
        return bool(value == old.value)
    before = [_old_item(old, item) for item in value]
    return all(one is not None and _is_unchanged(item, one) for item, one in zip(value, before, strict=True))
