"""Functions every expression may call, by name. Pure.

Each says what it takes and gives (``kinds.Function``); what a query's own functions are, the plugin says.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cmp_to_key
from typing import Any

from seamark.dns.expression.kinds import (
    MAX_WORK,
    Function,
    checked,
    equal,
    is_array,
    is_number,
    item_kind,
    kind_of,
    wrapped,
)
from seamark.dns.expression.printing import go_text

_ESCAPED = frozenset("<>&\u2028\u2029")


def _strings(*more: str) -> tuple[str, ...]:
    return ("string", *more)


def _whole_number(value: Any) -> int:
    """Of a number, its part before the point; of text, what it spells."""
    if isinstance(value, str):
        if not value.lstrip("+-").isdecimal():
            raise ValueError(f"'{value}' is not a whole number")
        return int(value)
    return wrapped(int(value))


def _number(value: Any) -> float:
    return float(value.replace("_", "x") if isinstance(value, str) else value)


def _round(value: float) -> float:
    """Halves away from zero."""
    return math.copysign(math.floor(abs(value) + 0.5), value)


def _split(text: str, by: str, most: int = -1) -> list[str]:
    return _pieces(text, by, most, kept=False)


def _split_after(text: str, by: str, most: int = -1) -> list[str]:
    return _pieces(text, by, most, kept=True)


def _pieces(text: str, by: str, most: int, *, kept: bool) -> list[str]:
    if most == 0:
        return []
    if not by:
        cut = len(text) if most < 0 else min(most, len(text)) - 1
        found = [*text[: max(cut, 0)], *([text[cut:]] if text[max(cut, 0) :] else [])]
        return found if kept or found else []
    found = text.split(by, most - 1 if most > 0 else -1)
    return [*(piece + by for piece in found[:-1]), found[-1]] if kept else found


def _replace(text: str, old: str, new: str, most: int = -1) -> str:
    return text.replace(old, new, most)


def _repeat(text: str, times: int) -> str:
    if not 0 <= times <= MAX_WORK or len(text) * times > MAX_WORK:
        raise ValueError(f"repeated {times} times it has more than {MAX_WORK} characters")
    return text * times


def _join(array: Sequence[Any], between: str = "") -> str:
    return between.join(checked(item, "string", "each item that is joined") for item in array)


def _trim(text: str, characters: str | None = None) -> str:
    return text if characters == "" else text.strip(characters)


def _trim_prefix(text: str, prefix: str = " ") -> str:
    return text.removeprefix(prefix)


def _trim_suffix(text: str, suffix: str = " ") -> str:
    return text.removesuffix(suffix)


def _numbers(values: Iterable[Any]) -> list[Any]:
    """Arrays may hold arrays."""
    found: list[Any] = []
    for value in values:
        found += _numbers(value) if is_array(value) else [checked(value, "number", "each of the numbers")]
    return found


def _extreme(choose: Callable[[list[Any]], Any]) -> Callable[..., Any]:
    def call(*values: Any) -> Any:
        found = _numbers(values)
        return choose(found) if found else None

    return call


def _mean(*values: Any) -> float:
    found = _numbers(values)
    return math.fsum(found) / len(found) if found else 0.0


def _median(*values: Any) -> float:
    found = _numbers(values)
    return float(statistics.median(found)) if found else 0.0


def _get(holder: Any, key: Any) -> Any:
    """Nothing where there is none."""
    if isinstance(holder, dict):
        return holder.get(key)
    if holder is None:
        return None
    array = checked(holder, "array", "what get looks into")
    at = checked(key, "int", "the place in an array")
    return array[at] if -len(array) <= at < len(array) else None


def _take(array: Sequence[Any], number: int) -> Sequence[Any]:
    if number < 0:
        raise ValueError(f"{number} items cannot be taken")
    return array[:number]


def _flat(array: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for item in array:
        found += _flat(item) if is_array(item) else [item]
    return found


def _unique(array: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for item in array:
        if not any(equal(item, other) for other in found):
            found.append(item)
    return found


def ordered(array: Iterable[Any], order: str, key: Callable[[Any], Any] = lambda item: item) -> list[Any]:
    """Raises ValueError for what cannot be told apart."""
    if order not in ("asc", "desc"):
        raise ValueError(f"'{order}' is no order (known: asc, desc)")

    def compare(left: tuple[Any, Any], right: tuple[Any, Any]) -> int:
        a, b = left[0], right[0]
        if not ((is_number(a) and is_number(b)) or (isinstance(a, str) and isinstance(b, str))):
            raise ValueError(f"a {kind_of(a)} and a {kind_of(b)} have no order")
        return int(a > b) - int(a < b)

    pairs = sorted([(key(item), item) for item in array], key=cmp_to_key(compare), reverse=order == "desc")
    return [item for _, item in pairs]


def _from_pairs(pairs: Iterable[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for pair in pairs:
        if not is_array(pair) or len(pair) != 2:
            raise ValueError("a map is made of pairs of a key and a value")
        found[checked(pair[0], "string", "a key")] = pair[1]
    return found


def _from_json(text: str) -> Any:
    """Every number is one with a point."""
    return json.loads(text, parse_int=float)


def _to_json(value: Any) -> str:
    """With the escapes of Go, which mean it for HTML."""
    found = json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False)
    return "".join(f"\\u{ord(char):04x}" if char in _ESCAPED else char for char in found)


def _from_base64(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise ValueError(f"'{text}' is not text in Base64") from None


def _shift(value: int, by: int) -> int:
    if by < 0:
        raise ValueError(f"shifted by {by}")
    return by


def _first_kind(*kinds: str) -> str:
    return kinds[0]


def _item_of_first(*kinds: str) -> str:
    return item_kind(kinds[0])


def _common(*kinds: str) -> str:
    return kinds[0] if set(kinds) in ({"int"}, {"float"}) else "any"


_TEXT: Mapping[str, Function] = {
    "trim": Function(_strings("string?"), "string", _trim),
    "trimPrefix": Function(_strings("string?"), "string", _trim_prefix),
    "trimSuffix": Function(_strings("string?"), "string", _trim_suffix),
    "upper": Function(_strings(), "string", str.upper),
    "lower": Function(_strings(), "string", str.lower),
    "split": Function(_strings("string", "int?"), "[]string", _split),
    "splitAfter": Function(_strings("string", "int?"), "[]string", _split_after),
    "replace": Function(_strings("string", "string", "int?"), "string", _replace),
    "repeat": Function(_strings("int"), "string", _repeat),
    "join": Function(("array", "string?"), "string", _join),
    "indexOf": Function(_strings("string"), "int", str.find),
    "lastIndexOf": Function(_strings("string"), "int", str.rfind),
    "hasPrefix": Function(_strings("string"), "bool", str.startswith),
    "hasSuffix": Function(_strings("string"), "bool", str.endswith),
    "toJSON": Function(("value",), "string", _to_json),
    "fromJSON": Function(_strings(), "any", _from_json),
    "toBase64": Function(_strings(), "string", lambda text: base64.b64encode(text.encode()).decode()),
    "fromBase64": Function(_strings(), "string", _from_base64),
    "string": Function(("value",), "string", go_text),
}
_NUMBERS: Mapping[str, Function] = {
    "abs": Function(("number",), _first_kind, abs),
    "ceil": Function(("number",), "float", lambda value: float(math.ceil(value))),
    "floor": Function(("number",), "float", lambda value: float(math.floor(value))),
    "round": Function(("number",), "float", _round),
    "int": Function(("scalar",), "int", _whole_number),
    "float": Function(("scalar",), "float", _number),
    "max": Function(("numbers", "numbers*"), _common, _extreme(max)),
    "min": Function(("numbers", "numbers*"), _common, _extreme(min)),
    "mean": Function(("numbers", "numbers*"), "float", _mean),
    "median": Function(("numbers", "numbers*"), "float", _median),
    "bitand": Function(("int", "int"), "int", lambda a, b: a & b),
    "bitor": Function(("int", "int"), "int", lambda a, b: a | b),
    "bitxor": Function(("int", "int"), "int", lambda a, b: a ^ b),
    "bitnand": Function(("int", "int"), "int", lambda a, b: a & ~b),
    "bitshl": Function(("int", "int"), "int", lambda a, b: wrapped(a << min(_shift(a, b), 64))),
    "bitshr": Function(("int", "int"), "int", lambda a, b: a >> min(_shift(a, b), 64)),
    "bitushr": Function(("int", "int"), "int", lambda a, b: wrapped((a % (1 << 64)) >> min(_shift(a, b), 64))),
    "bitnot": Function(("int",), "int", lambda a: ~a),
}
_ARRAYS: Mapping[str, Function] = {
    "len": Function(("sized",), "int", len),
    "get": Function(("value", "value"), _item_of_first, _get),
    "first": Function(("array",), _item_of_first, lambda array: array[0] if array else None),
    "last": Function(("array",), _item_of_first, lambda array: array[-1] if array else None),
    "take": Function(("array", "int"), _first_kind, _take),
    "reverse": Function(("array",), "[]any", lambda array: list(reversed(array))),
    "uniq": Function(("array",), "[]any", _unique),
    "concat": Function(("array", "array*"), "[]any", lambda *arrays: [item for array in arrays for item in array]),
    "flatten": Function(("array",), "[]any", _flat),
    "sort": Function(("array", "string?"), "[]any", lambda array, order="asc": ordered(array, order)),
    "keys": Function(("map",), "[]any", list),
    "values": Function(("map",), "[]any", lambda found: list(found.values())),
    "toPairs": Function(("map",), "[]any", lambda found: [list(pair) for pair in found.items()]),
    "fromPairs": Function(("array",), "map", _from_pairs),
}
BUILTINS: Mapping[str, Function] = {**_TEXT, **_NUMBERS, **_ARRAYS}
NOT_HERE = frozenset({"now", "date", "duration", "timezone"})
"""Functions of expr-lang that are not known here."""


def _plain(value: Any) -> Any:
    """For JSON: whole numbers lose their point, as with Go."""
    if is_array(value):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(value[key]) for key in sorted(value)}
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 1e21 else value
