"""Names for versions of a template: a hash in the API's safe alphabet, and whether two templates are the same; pure.

The hash must give the same name for the same template for ever: it is part of the names of ReplicaSets and their
pods, and an upgrade of Seamark must not roll every Deployment. It is FNV-1a over the canonical JSON; nulls do not
count, since the API drops and adds them freely.
"""

from __future__ import annotations

import json
from typing import Any

SAFE_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"  # no vowels, no look-alikes: a name is never a word
POD_TEMPLATE_HASH = "pod-template-hash"
CONTROLLER_REVISION_HASH = "controller-revision-hash"


def hash_template(template: dict[str, Any], collisions: int | None = None) -> str:
    """``collisions`` makes another name for a template whose name is taken by a different one."""
    text = json.dumps(_canonical(template), sort_keys=True, separators=(",", ":"))
    if collisions:
        text += f"#{collisions}"
    value = 0x811C9DC5
    for byte in text.encode():
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return "".join(SAFE_ALPHABET[ord(digit) % len(SAFE_ALPHABET)] for digit in str(value))


def same_template(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Equal but for the hash label that the Deployment controller itself adds."""
    return bool(_without_hash(_canonical(one)) == _without_hash(_canonical(other)))


def _canonical(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _canonical(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_canonical(v) for v in value]
    return value


def _without_hash(template: Any) -> Any:
    meta = dict(template.get("metadata") or {})
    labels = {k: v for k, v in (meta.pop("labels", None) or {}).items() if k != POD_TEMPLATE_HASH}
    return {**template, "metadata": {**meta, "labels": labels}}
