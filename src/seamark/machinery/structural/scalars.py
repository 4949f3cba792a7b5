"""Numbers and strings against their bounds, with Go's ways: integers are compared with the whole part of a bound."""

from __future__ import annotations

import struct
from typing import Any

from seamark.machinery.fielderrors import too_long
from seamark.machinery.structural.findings import Place, Result, go_number
from seamark.machinery.structural.formats import fits_format
from seamark.machinery.structural.pattern import matches
from seamark.machinery.structural.schema import Raw

_RANGES = {"int32": (-(2**31), 2**31 - 1), "int64": (-(2**63), 2**63 - 1)}


def validate_number(value: float, raw: Raw, kinds: tuple[str, ...], place: Place) -> Result:
    result = Result()
    kind = kinds[0] if len(kinds) == 1 and kinds[0] in ("integer", "number") else ""
    given = raw.get("format") or ""
    known = {"integer": ("int32", "int64"), "number": ("float", "double")}.get(kind, ())
    number_format = given if given in known else ""
    _in_range(result, value, kind, number_format, "Checked", place)
    _multiple_of(result, value, raw.get("multipleOf"), kind, number_format, place)
    for key, exclusive, sign, words in (
        ("maximum", "exclusiveMaximum", 1, ("less than or equal to", "less than")),
        ("minimum", "exclusiveMinimum", -1, ("greater than or equal to", "greater than")),
    ):
        bound = raw.get(key)
        if bound is None:
            continue
        is_exclusive = bool(raw.get(exclusive))
        if _in_range(result, bound, kind, number_format, f"{key.capitalize()} boundary", place):
            bound = int(bound) if isinstance(value, int) else bound
        beyond = sign * (value - bound)
        if beyond > 0 or (is_exclusive and beyond == 0):
            text = f"{place.path} in body should be {words[is_exclusive]} {go_number(bound)}"
            place.invalid(result, text, value)
    result.fitted += 1
    return result


def _in_range(result: Result, value: float, kind: str, given: str, prefix: str, place: Place) -> bool:
    """Whether the type and format can hold the number; a finding if not."""
    if kind == "integer":
        low, high = _RANGES.get(given, _RANGES["int64"])
        fits = float(value).is_integer() and low <= value <= high
    else:
        fits = given != "float" or _is_float32(value)
    if not fits:
        shown = f"with format {given}" if given else "(default format)"
        place.whole(result, f"{prefix} value must be of type {kind} {shown} in {place.path}")
    return fits


def _is_float32(value: float) -> bool:
    try:
        struct.pack("f", value)
    except OverflowError:
        return False
    return True


def _multiple_of(result: Result, value: float, factor: float | None, kind: str, given: str, place: Place) -> None:
    if factor is None:
        return
    if _in_range(result, factor, kind, given, "MultipleOf", place) and isinstance(value, int):
        factor = int(factor)
    if factor <= 0:
        text = f"factor MultipleOf declared for {place.path} must be positive: {go_number(factor)}"
        place.invalid(result, text, factor)
        return
    times = value / factor if factor >= 1 else 1 / factor * value
    is_multiple = value % factor == 0 if isinstance(factor, int) else _is_whole(times)
    if not is_multiple:
        place.invalid(result, f"{place.path} in body should be a multiple of {go_number(factor)}", value)


def _is_whole(value: float) -> bool:
    """As nearly as swag.IsFloat64AJSONInteger takes it."""
    if value != value or abs(value) >= 2**53:
        return False
    return abs(value - round(value)) < 1e-9 * max(1.0, abs(value))


def validate_string(text: str, raw: Raw, place: Place) -> Result:
    """The first of length and pattern that does not fit."""
    result, length = Result(), len(text)
    maximum, minimum, pattern = raw.get("maxLength"), raw.get("minLength"), raw.get("pattern")
    if maximum is not None and length > maximum:
        why = f"{place.path} in body should be at most {maximum} chars long"
        result.add(why, too_long(place.field, maximum))
    elif minimum is not None and length < minimum:
        place.invalid(result, f"{place.path} in body should be at least {minimum} chars long", text)
    elif pattern and not matches(pattern, text):
        place.invalid(result, f"{place.path} in body should match '{pattern}'", text)
    return result


def validate_format(text: str, given: str, place: Place) -> Result:
    """``given`` is known."""
    result = Result()
    if not fits_format(given, text):
        place.wrong_type(result, given, text)
    return result


def is_in_enum(value: Any, allowed: list[Any]) -> bool:
    """Go converts the value to the type of each allowed one before it compares."""
    return any(_equals(value, one) for one in allowed)


def _equals(value: Any, allowed: Any) -> bool:
    if value is None or allowed is None:
        return False
    if isinstance(value, bool) or isinstance(allowed, bool):
        return value is allowed
    if isinstance(allowed, int) and isinstance(value, float):
        return int(value) == allowed
    if isinstance(allowed, int | float) and isinstance(value, int | float):
        return value == allowed
    if isinstance(allowed, str) and isinstance(value, int):
        return 0 <= value <= 0x10FFFF and chr(value) == allowed
    return bool(value == allowed) and type(value) is type(allowed)
