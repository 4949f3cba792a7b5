"""JSONPath as kubectl's columns speak it: ``.status.conditions[?(@.type=="Ready")].status``.

Fields, quoted fields, indexes, slices, wildcards, recursive descent and filters of one comparison. What a path does
not find is nothing; a path that makes no sense is a PathError, found at parsing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any

Step = Callable[[Any], Iterable[Any]]
Path = tuple[Step, ...]

_NAME = re.compile(r"(?:[^\s.\[\]()'\"\\,{}]|\\.)+")
_SLICE = re.compile(r"\[\s*(-?\d+)?\s*(?::\s*(-?\d+)?\s*)?(?::\s*(-?\d+)?\s*)?\]")
_QUOTED = re.compile(r"\[\s*(?:'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\")\s*\]")
_FILTER = re.compile(r"\[\?\(\s*(@[^=!<>)]*?)\s*(?:(==|!=|<=|>=|<|>)\s*(.+?))?\s*\)\]")


class PathError(ValueError):
    """Not a JSONPath of this kind."""


@lru_cache(maxsize=512)
def parse_path(text: str) -> Path:
    """Raises PathError."""
    steps: list[Step] = []
    rest = text.strip().removeprefix("$")
    while rest:
        step, rest = _parse_step(rest, text)
        steps.append(step)
    return tuple(steps)


def _parse_step(rest: str, text: str) -> tuple[Step, str]:
    if rest == ".":
        return _same, ""
    if rest.startswith(".."):
        return _descend, rest[1:] if rest[2:3] != "[" else rest[2:]
    if rest.startswith(".["):
        rest = rest[1:]
    if rest.startswith((".*", "[*]")):
        return _all, rest.removeprefix(".*") if rest[0] == "." else rest.removeprefix("[*]")
    if rest.startswith("["):
        return _parse_bracket(rest, text)
    found = _NAME.match(rest[1:]) if rest.startswith(".") else None
    if found is None:
        raise PathError(f"unrecognized path {text!r}")
    return _field(re.sub(r"\\(.)", r"\1", found[0])), rest[1 + found.end() :]


def _parse_bracket(rest: str, text: str) -> tuple[Step, str]:
    if found := _QUOTED.match(rest):
        name = found[1] if found[1] is not None else found[2]
        return _field(re.sub(r"\\(.)", r"\1", name)), rest[found.end() :]
    if found := _FILTER.match(rest):
        return _filter(found[1], found[2] or "", found[3] or "", text), rest[found.end() :]
    found = _SLICE.match(rest)
    if found is None or found[0].strip("[] ") == "":
        raise PathError(f"unrecognized path {text!r}")
    bounds = [int(one) if one is not None else None for one in found.groups()]
    if ":" not in found[0] and bounds[0] is not None:
        return _index(bounds[0]), rest[found.end() :]
    return _slice(slice(*bounds)), rest[found.end() :]


def _same(value: Any) -> Iterator[Any]:
    yield value


def _all(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value


def _descend(value: Any) -> Iterator[Any]:
    yield value
    for inner in _all(value):
        yield from _descend(inner)


def _field(name: str) -> Step:
    return lambda value: (value[name],) if isinstance(value, dict) and name in value else ()


def _index(position: int) -> Step:
    return lambda value: (
        value[position:][:1] if isinstance(value, list) and -len(value) <= position < len(value) else ()
    )


def _slice(bounds: slice) -> Step:
    return lambda value: value[bounds] if isinstance(value, list) else ()


def _filter(left: str, operator: str, right: str, text: str) -> Step:
    path = parse_path(left.removeprefix("@"))
    if not operator:
        return lambda value: [one for one in _all(value) if any(True for _ in find_all(path, one))]
    wanted = _literal(right, text)
    compare = _COMPARISONS[operator]

    def chosen(value: Any) -> Iterator[Any]:
        for one in _all(value):
            found = next(iter(find_all(path, one)), None)
            if found is not None and type(found) is type(wanted) and compare(found, wanted):
                yield one

    return chosen


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}


def _literal(text: str, path: str) -> Any:
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    if text in ("true", "false"):
        return text == "true"
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        raise PathError(f"unrecognized path {path!r}: {text} is no literal") from None


def find_all(path: Path, value: Any) -> Iterable[Any]:
    """Everything the path leads to, in order."""
    found: Iterable[Any] = (value,)
    for step in path:
        found = [inner for one in found for inner in step(one)]
    return found


def find_first(path: Path, value: Any) -> Any:
    """None where the path leads nowhere."""
    return next(iter(find_all(path, value)), None)
