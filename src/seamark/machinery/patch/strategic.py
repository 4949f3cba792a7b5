"""Strategic merge patch: a merge patch that knows from the schema which lists merge, and by which key.

``kubectl apply``, ``edit``, ``set``, ``cordon`` and ``rollout`` send these. Directives: ``$patch: replace|delete`` in
a map, ``$patch: delete|replace`` in a list's element, ``$setElementOrder/LIST``, ``$deleteFromPrimitiveList/LIST``,
``$retainKeys``. Behaviour and errors follow k8s.io/apimachinery/pkg/util/strategicpatch, with one difference: an
element that a patch appends is cleaned of nulls and directives like any other new value.

A list of objects without a merge key is replaced whole, as the API does. Unknown fields merge like plain JSON.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from seamark.machinery import schema
from seamark.machinery.jsonvalue import MAX_DEPTH, copy_json, is_deeper, json_kind, print_json
from seamark.machinery.patch.refusal import unfit_patch
from seamark.machinery.schema import Field, Message
from seamark.machinery.status import StatusError, bad_request

Obj = dict[str, Any]
List = list[Any]

_PATCH = "$patch"
_RETAIN = "$retainKeys"
_ORDER = "$setElementOrder/"
_DELETE_FROM = "$deleteFromPrimitiveList/"
_NO_FIELD = Field(name="", type="string")


class _BadPatch(Exception):
    """What makes the patch unusable; becomes a 400."""


class _NoMergeKeyError(Exception):
    """An element that cannot be told from others; Kubernetes answers 500 without a reason."""


def apply_strategic_merge(obj: Obj, patch: Any, *, kind: Message) -> Obj:
    """The patched object. A malformed patch is a 400, one that does not fit the lists a 422."""
    if not isinstance(patch, dict):
        raise bad_request(f"json: cannot unmarshal {json_kind(patch)} into Go value of type map[string]any")
    if is_deeper(patch, MAX_DEPTH):
        raise bad_request(f"error decoding patch: nested deeper than {MAX_DEPTH} levels")
    try:
        return _merge_map(copy_json(obj), patch, kind)
    except _BadPatch as error:
        raise bad_request(str(error)) from None
    except _NoMergeKeyError as error:
        raise StatusError(500, "", str(error)) from None


def _merge_map(target: Obj, patch: Obj, message: Message | None) -> Obj:
    """``target`` is already a copy and is changed in place."""
    if _PATCH in patch:
        return _directed_map(patch)
    if _RETAIN in patch:
        _retain_keys(target, patch)
    ordered = {key.removeprefix(_ORDER) for key in patch if key.startswith(_ORDER)}
    for key in ordered:
        _merge_ordered(target, patch, key, message)
    for key, value in patch.items():
        if key in ordered or key == _RETAIN or key.startswith(_ORDER):
            continue
        if key.startswith(_DELETE_FROM):
            _delete_primitives(target, key.removeprefix(_DELETE_FROM), value)
        elif value is None:
            target.pop(key, None)
        else:
            _merge_member(target, key, value, message)
    return target


def _directed_map(patch: Obj) -> Obj:
    directive = patch[_PATCH]
    if directive == "replace":
        return {key: copy_json(value) for key, value in patch.items() if key != _PATCH}
    if directive == "delete":
        return {}
    raise _BadPatch(f"unknown patch type: {directive} in map")


def _retain_keys(target: Obj, patch: Obj) -> None:
    """What the patch does not list goes: a union's old member, for instance (a Deployment's strategy)."""
    keys = patch[_RETAIN]
    if not isinstance(keys, list):
        raise _BadPatch("invalid patch format of retainKeys")
    for key, value in patch.items():
        if value is not None and key not in keys and not key.startswith("$"):
            raise _BadPatch("invalid patch format of retainKeys")
    for key in [key for key in target if key not in keys]:
        del target[key]


def _field(message: Message | None, key: str) -> Field:
    return (message.fields.get(key) if message else None) or _NO_FIELD


def _message(field: Field) -> Message | None:
    return schema.named(field.type) if field.is_message else None


def _merge_member(target: Obj, key: str, value: Any, message: Message | None) -> None:
    field, present = _field(message, key), target.get(key)
    merges = "replace" not in field.patch_strategies
    if isinstance(present, dict) and isinstance(value, dict):
        inner = _message(field) if field.shape == "one" else None  # a map's members merge like plain JSON
        target[key] = _merge_map(present, value, inner) if merges else copy_json(value)
    elif isinstance(present, list) and isinstance(value, list):
        target[key] = _merge_list(present, value, field) if _is_merged(field) else copy_json(value)
    elif isinstance(value, dict) and _PATCH in value:
        target.pop(key, None)
    else:
        target[key] = _clean(value)


def _is_merged(field: Field) -> bool:
    return "merge" in field.patch_strategies


def _clean(value: Any) -> Any:
    """A copy of a new value without nulls in objects and without directives."""
    if isinstance(value, dict):
        return {k: _clean(v) for k, v in value.items() if v is not None and not k.startswith("$") and not _directed(v)}
    if isinstance(value, list):
        return [_clean(item) for item in value if not _directed(item)]
    return value


def _directed(value: Any) -> bool:
    return isinstance(value, dict) and _PATCH in value


def _merge_list(present: List, patch: List, field: Field) -> List:
    """Merged elements stay in the patch's order, those only here keep their place as far as that allows."""
    if not present and not patch:
        return present
    if not _is_list_of_objects(present, patch):
        merged = _distinct([*present, *patch])
        return _interleave(merged, order=patch, before=present, key="")
    key = field.patch_merge_key
    if not key:
        raise _BadPatch("cannot merge lists without merge key")
    kept, changes = _apply_element_directives(present, patch, key)
    # The order known before is that of the elements that are left, so that new ones go behind them.
    before = list(kept)
    merged = _merge_elements(kept, changes, field)
    return _interleave(merged, order=changes, before=before, key=key)


def _is_list_of_objects(*lists: List) -> bool:
    kinds = {json_kind(item) for one in lists for item in one}
    if "array" in kinds:
        raise unfit_patch("lists of lists are not supported")
    if len(kinds) > 1:
        raise _BadPatch(f"list element types are not identical: {', '.join(sorted(kinds))}")
    return kinds == {"object"}


def _apply_element_directives(present: List, patch: List, key: str) -> tuple[List, List]:
    """The elements left after ``$patch: delete`` and ``replace``, and the patch's plain elements."""
    plain, replace, deleted = [], False, set[Any]()
    for item in patch:
        directive = item.get(_PATCH)
        if directive is None:
            plain.append(item)
        elif directive == "delete":
            deleted.add(_identity(_key_of(item, key)))
        elif directive == "replace":
            replace = True
        else:
            raise _BadPatch(f"unknown patch type: {directive} in map")
    if replace:
        return [_clean(item) for item in plain], []
    return [one for one in present if _identity(one.get(key)) not in deleted], plain


def _key_of(item: Obj, key: str) -> Any:
    if key not in item:
        raise _NoMergeKeyError(f"map: {print_json(item)} does not contain declared merge key: {key}")
    return item[key]


def _merge_elements(present: List, changes: List, field: Field) -> List:
    key, message = field.patch_merge_key, _message(field)
    merged = list(present)
    places = _places(merged, key)
    for change in changes:
        place = places.setdefault(_identity(_key_of(change, key)), len(merged))
        if place < len(merged):
            merged[place] = _merge_map(merged[place], change, message)
        else:
            merged.append(_clean(change))
    return merged


def _identity(value: Any) -> Any:
    """A hashable stand-in: equal for what JSON calls equal (``true`` is not 1, ``1.0`` is)."""
    if isinstance(value, str | None):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return (value,)
    return json.dumps(value, sort_keys=True).encode()


def _places(items: Sequence[Any], key: str) -> dict[Any, int]:
    """Where each element first stands, by its key (or, without a key, by itself)."""
    places: dict[Any, int] = {}
    for index, item in enumerate(items):
        places.setdefault(_identity(item.get(key) if key and isinstance(item, dict) else item), index)
    return places


def _distinct(items: Iterable[Any]) -> List:
    return list({_identity(item): item for item in reversed(list(items))}.values())[::-1]


def _delete_primitives(target: Obj, key: str, values: Any) -> None:
    if not isinstance(values, list):
        raise _BadPatch("invalid patch format of primitive list")
    present = target.get(key)
    if isinstance(present, list):
        unwanted = _places(values, "")
        target[key] = [item for item in present if _identity(item) not in unwanted]


def _merge_ordered(target: Obj, patch: Obj, key: str, message: Message | None) -> None:
    """``$setElementOrder/KEY``: the list, merged with its patch if there is one, in the order given."""
    order, change, present = patch[_ORDER + key], patch.get(key), target.get(key)
    if not isinstance(order, list) or not isinstance(change, list | None) or not isinstance(present, list | None):
        raise _BadPatch("invalid patch format of setElementOrder list")
    field = _field(message, key)
    merge_key = field.patch_merge_key
    if present is None and change is None:
        return
    _check_order(change or [], order, merge_key)
    if present is None:
        merged = _clean(change)
    elif change is None:
        merged = present
    elif _is_merged(field):
        merged = _merge_list(copy_json(present), change, field)
    else:
        merged = copy_json(change)
    target[key] = _interleave(merged, order=order, before=present or [], key=merge_key)


def _check_order(change: List, order: List, key: str) -> None:
    """The patched elements must stand in the order list, in its order."""
    rest = iter([_identity(one.get(key) if key and isinstance(one, dict) else one) for one in order])
    for item in change:
        if _directed(item):
            continue
        wanted = _identity(_key_of(item, key) if key and isinstance(item, dict) else item)
        if not any(one == wanted for one in rest):
            raise _BadPatch("The order in patch list doesn't match $setElementOrder list")


def _interleave(items: List, *, order: List, before: List, key: str) -> List:
    """Elements named in ``order`` in that order; the others in the order of ``before``, each ahead of those it led."""
    ordered, known = _places(order, key), _places(before, key)
    marked = [(_identity(_key_of(item, key) if key else item), item) for item in items]
    named = deque(sorted((m for m in marked if m[0] in ordered), key=lambda m: ordered[m[0]]))
    others = deque(sorted((m for m in marked if m[0] not in ordered), key=lambda m: known.get(m[0], -1)))
    result: List = []
    while named and others:
        here, there = known.get(others[0][0], -1), known.get(named[0][0], -1)
        result.append((others if 0 <= here < there else named).popleft()[1])
    return result + [item for _, item in (*others, *named)]
