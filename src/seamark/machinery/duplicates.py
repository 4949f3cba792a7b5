"""Keys that stand twice in a JSON text: a decoded object no longer shows them, so these look at the text itself.

Kubernetes names them in the order of the text, among the fields that the kind does not have; it says nothing about
what lies inside such a field. A patch has no kind: there every key counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from seamark.machinery import schema
from seamark.machinery.fielderrors import quote
from seamark.machinery.schema import Field, Message


class _RepeatedKeyError(Exception):
    pass


def _refuse_repeated(pairs: list[tuple[str, Any]]) -> None:
    """Nearly every body has no key twice, and this costs a fifth of keeping all pairs to name them."""
    if len(dict(pairs)) != len(pairs):
        raise _RepeatedKeyError


_CHECKER = json.JSONDecoder(object_pairs_hook=_refuse_repeated, parse_int=str, parse_float=str)


class _Pairs:
    """A JSON object that has not forgotten its repeated keys."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        self.pairs = pairs


def has_duplicates(body: bytes | str) -> bool:
    """Whether a key stands more than once in its object. The JSON is valid; raises RecursionError for a deep one."""
    try:
        _CHECKER.decode(body if isinstance(body, str) else body.decode("utf-8"))
    except _RepeatedKeyError:
        return True
    return False


def find_duplicates(body: bytes | str) -> tuple[str, ...]:
    """``duplicate field "spec.type"`` for every key that stands more than once in its object."""
    if not has_duplicates(body):
        return ()
    return tuple(dict.fromkeys(_repeated(_parse(body), "")))


def find_misfits(body: bytes | str, message: Message) -> tuple[str, ...]:
    """The same for an object of a kind, with ``unknown field "…"`` among them as they stand in the text."""
    return tuple(dict.fromkeys(_misfits(_parse(body), message, "")))


def join_path(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _parse(body: bytes | str) -> Any:
    return json.loads(body, object_pairs_hook=_Pairs, parse_int=str, parse_float=str)


def _repeated(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _repeated(item, f"{path}[{index}]")
    for key, member, again in _members(value):
        where = join_path(path, key)
        if again:
            yield f"duplicate field {quote(where)}"
        yield from _repeated(member, where)


def _members(value: Any) -> Iterator[tuple[str, Any, bool]]:
    """Key and value of an object's members, and whether the key stood there before; nothing for what is no object."""
    seen: set[str] = set()
    for key, member in value.pairs if isinstance(value, _Pairs) else ():
        yield key, member, key in seen
        seen.add(key)


def _misfits(value: Any, message: Message, path: str) -> Iterator[str]:
    for key, member, again in _members(value):
        where = join_path(path, key)
        field = message.fields.get(key)
        if field is None:
            yield f"unknown field {quote(where)}"
            continue
        if again:
            yield f"duplicate field {quote(where)}"
        yield from _misfits_inside(member, field, where)


def _misfits_inside(value: Any, field: Field, path: str) -> Iterator[str]:
    inner = schema.named(field.type) if field.is_message else None
    if inner is not None and inner.codec:
        return  # a value of its own, whatever it looks like
    if field.shape == "one":
        places = [(value, path)]
    elif field.shape == "list":
        places = [(item, f"{path}[{i}]") for i, item in enumerate(value)] if isinstance(value, list) else []
    else:
        places = []
        for key, member, again in _members(value):
            if again:
                yield f"duplicate field {quote(join_path(path, key))}"
            places.append((member, join_path(path, key)))
    if inner is not None:
        for place, where in places:
            yield from _misfits(place, inner, where)
