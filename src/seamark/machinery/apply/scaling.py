"""Ownership of replicas between an object and its Scale: one field that has another place in each.

An apply to ``…/scale`` is judged by the entries that own the replicas, as entries of a Scale; afterwards whoever lost
them there loses them in the object, and whoever won them there has an entry for that one field.
"""

from __future__ import annotations

from collections.abc import Sequence

from seamark.machinery.apply.managed import Entry, sort_entries
from seamark.machinery.fieldset import Path, difference, has, make_set

SCALE_VERSION = "autoscaling/v1"
_PATH = ("f:spec", "f:replicas")
_REPLICAS = make_set(_PATH)


def scale_entries(entries: Sequence[Entry], path: Path = _PATH) -> list[Entry]:
    """The entries of an object that own its replicas, which stand at ``path``, as its Scale has them."""
    owners = [entry for entry in entries if has(entry["fieldsV1"], path)]
    return [{**entry, "apiVersion": SCALE_VERSION, "fieldsV1": _REPLICAS} for entry in owners]


def parent_entries(
    entries: Sequence[Entry], scaled: Sequence[Entry], api_version: str, path: Path = _PATH
) -> list[Entry]:
    """The entries of the object after its Scale got the entries ``scaled``."""
    replicas = make_set(path)
    winners = {_key(entry): entry for entry in scaled if has(entry["fieldsV1"], _PATH)}
    found: list[Entry] = []
    for entry in entries:
        if not has(entry["fieldsV1"], path):
            found.append(entry)
        elif _key(entry) in winners:
            found.append({**entry, "time": winners.pop(_key(entry)).get("time", "")})
        elif left := difference(entry["fieldsV1"], replicas):
            found.append({**entry, "fieldsV1": left})
    found += [{**entry, "apiVersion": api_version, "fieldsV1": replicas} for entry in winners.values()]
    return sort_entries(found)


def _key(entry: Entry) -> tuple[str, str, str]:
    return entry.get("manager", ""), entry["operation"], entry.get("subresource", "")
