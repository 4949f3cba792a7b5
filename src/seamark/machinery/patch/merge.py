"""JSON merge patch (RFC 7386): ``kubectl label``, ``annotate``, ``scale`` and ``patch --type=merge`` send these."""

from __future__ import annotations

from typing import Any

from seamark.machinery.jsonvalue import MAX_DEPTH, copy_json, is_deeper, json_kind
from seamark.machinery.status import bad_request

Obj = dict[str, Any]


def apply_merge_patch(obj: Obj, patch: Any) -> Obj:
    """The patched object. A patch that is no JSON object is a 400; ``null`` members remove."""
    if not isinstance(patch, dict):
        kind = json_kind(patch)
        raise bad_request(f"error decoding patch: json: cannot unmarshal {kind} into Go value of type map[string]any")
    if is_deeper(patch, MAX_DEPTH):
        raise bad_request(f"error decoding patch: nested deeper than {MAX_DEPTH} levels")
    return _merged(obj, patch)


def _merged(target: Any, patch: Obj) -> Obj:
    result = copy_json(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            result[key] = _merged(result.get(key), value)
        else:
            result[key] = copy_json(value)
    assert isinstance(result, dict)
    return result
