"""JSON patch (RFC 6902) over JSON pointers (RFC 6901): ``kubectl patch --type=json``, ``rollout undo``.

All operations apply or none. A patch that is not a list of operations is a 400; one that does not fit the object is
the 422 whose message names no cause, as in k8s.io/apiserver; the reason stands in ``details.causes``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from seamark.machinery.jsonvalue import MAX_DEPTH, copy_json, equal_json, is_deeper, json_kind
from seamark.machinery.patch.refusal import unfit_patch
from seamark.machinery.status import StatusError, bad_request

Obj = dict[str, Any]

MAX_OPERATIONS = 10_000
MAX_COPIED = 3 * 1024 * 1024  # a value copied into itself doubles every time; the limit is that of a request's body
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")


class _Unfit(Exception):
    """The operation does not fit the object."""


def apply_json_patch(obj: Obj, operations: Any) -> Obj:
    """The patched object."""
    if not isinstance(operations, list) or not all(isinstance(one, dict) for one in operations):
        found = json_kind(operations) if not isinstance(operations, list) else "array of other than objects"
        raise bad_request(f"error decoding patch: a JSON patch is an array of operations, found {found}")
    if len(operations) > MAX_OPERATIONS:
        message = f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(operations)}"
        raise StatusError(413, "RequestEntityTooLarge", f"Request entity too large: {message}")
    if is_deeper(operations, MAX_DEPTH):
        raise bad_request(f"error decoding patch: nested deeper than {MAX_DEPTH} levels")
    document: Any = copy_json(obj)
    copied = 0
    for number, operation in enumerate(operations):
        try:
            copied += _copied_size(document, operation)
            if copied > MAX_COPIED:
                raise _Unfit(f"the copies come to more than {MAX_COPIED} bytes")
            document = _apply(document, operation)
        except _Unfit as unfit:
            raise unfit_patch(f"operation {number}: {unfit}") from None
    if is_deeper(document, MAX_DEPTH):
        raise unfit_patch(f"the patch leaves an object nested deeper than {MAX_DEPTH} levels")
    if not isinstance(document, dict):
        raise unfit_patch("the patch leaves no object")
    return document


def _copied_size(document: Any, operation: Obj) -> int:
    if operation.get("op") != "copy":
        return 0
    source = _find(document, _pointer(operation, "from"))
    if is_deeper(source, MAX_DEPTH):
        raise _Unfit(f"the copied value is nested deeper than {MAX_DEPTH} levels")
    return len(msgspec.json.encode(source))


def _apply(document: Any, operation: Obj) -> Any:
    name = operation.get("op")
    if not isinstance(name, str) or name not in _OPERATIONS:
        raise _Unfit(f"unknown op {name!r}")
    return _OPERATIONS[name](document, operation)


def _pointer(operation: Obj, member: str = "path") -> list[str]:
    text = operation.get(member)
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise _Unfit(f"{member} {text!r} is no JSON pointer")
    if re.search("~(?![01])", text):
        raise _Unfit(f"{member} {text!r} has a ~ that is neither ~0 nor ~1")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _value(operation: Obj) -> Any:
    if "value" not in operation:
        raise _Unfit("the operation has no value")
    return copy_json(operation["value"])


def _index(parent: Sequence[Any], key: str, *, end: int) -> int:
    if not _INDEX.fullmatch(key) or int(key) > end:
        raise _Unfit(f"index {key!r} is outside the array of {len(parent)}")
    return int(key)


def _find(document: Any, path: Sequence[str]) -> Any:
    for key in path:
        if isinstance(document, dict):
            if key not in document:
                raise _Unfit(f"path /{'/'.join(path)} does not exist")
            document = document[key]
        elif isinstance(document, list):
            document = document[_index(document, key, end=len(document) - 1)]
        else:
            raise _Unfit(f"path /{'/'.join(path)} does not exist")
    return document


def _add_at(document: Any, path: Sequence[str], value: Any) -> Any:
    if not path:
        return value
    parent, key = _find(document, path[:-1]), path[-1]
    if isinstance(parent, dict):
        parent[key] = value
    elif isinstance(parent, list):
        parent.insert(len(parent) if key == "-" else _index(parent, key, end=len(parent)), value)
    else:
        raise _Unfit(f"path /{'/'.join(path)} does not exist")
    return document


def _remove_at(document: Any, path: Sequence[str]) -> Any:
    if not path:
        raise _Unfit("the whole object cannot be removed")
    _find(document, path)
    parent, key = _find(document, path[:-1]), path[-1]
    del parent[key if isinstance(parent, dict) else int(key)]
    return document


def _add(document: Any, operation: Obj) -> Any:
    return _add_at(document, _pointer(operation), _value(operation))


def _remove(document: Any, operation: Obj) -> Any:
    return _remove_at(document, _pointer(operation))


def _replace(document: Any, operation: Obj) -> Any:
    path, value = _pointer(operation), _value(operation)
    _find(document, path)
    if not path:
        return value
    parent, key = _find(document, path[:-1]), path[-1]
    parent[key if isinstance(parent, dict) else int(key)] = value
    return document


def _move(document: Any, operation: Obj) -> Any:
    source, target = _pointer(operation, "from"), _pointer(operation)
    value = _find(document, source)
    if source == target:
        return document
    if target[: len(source)] == source:
        raise _Unfit("a value cannot move into itself")
    return _add_at(_remove_at(document, source), target, value)


def _copy(document: Any, operation: Obj) -> Any:
    value = copy_json(_find(document, _pointer(operation, "from")))
    return _add_at(document, _pointer(operation), value)


def _test(document: Any, operation: Obj) -> Any:
    path = _pointer(operation)
    if not equal_json(_find(document, path), _value(operation)):
        raise _Unfit(f"testing value /{'/'.join(path)} failed")
    return document


_OPERATIONS: dict[str, Callable[[Any, Obj], Any]] = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "move": _move,
    "copy": _copy,
    "test": _test,
}
