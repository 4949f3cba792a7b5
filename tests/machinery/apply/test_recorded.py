"""Ownership, merges and conflicts against what Kubernetes 1.36.3 itself made of them (see recorded/README.md)."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from seamark.machinery import schema
from seamark.machinery.apply import (
    UPDATE,
    ApplyConflictError,
    TypedError,
    Views,
    Writer,
    apply_config,
    is_reset,
    parse_entries,
    track_update,
)
from seamark.machinery.apply.items import as_written
from seamark.machinery.apply.shape import shape_of_kind
from seamark.machinery.fieldset import make_set
from seamark.machinery.strict import conform_object

Obj = dict[str, Any]
CASES = [json.loads(line) for line in (Path(__file__).parent / "recorded" / "cases.jsonl").read_text().splitlines()]
NOW = "2030-01-01T00:00:00Z"


def written(case: Obj) -> tuple[Obj, list[Obj]]:
    live, given = deepcopy(case["live"] or {}), deepcopy(case["given"])
    entries = parse_entries(live.get("metadata", {}).pop("managedFields", []))
    ignored = make_set(*(tuple(f"f:{name}" for name in path) for path in case["ignored"]))
    views = Views(case["kind"], case["apiVersion"], ignored=ignored)
    writer = Writer(case["manager"], case["operation"], case["apiVersion"], case["subresource"], NOW)
    if case["operation"] != UPDATE:
        applied = apply_config(live, entries, given, views=views, writer=writer, force=case["force"])
        return applied.obj, applied.entries
    sent = given["metadata"].pop("managedFields", None)
    if sent is not None and not case["subresource"]:
        entries = [] if is_reset(sent) else parse_entries(sent) or entries
    if live and not entries:
        return given, []
    return given, track_update(entries, live, given, views=views, writer=writer)


def untimed(entries: list[Obj]) -> list[str]:
    return sorted(json.dumps({k: v for k, v in entry.items() if k != "time"}, sort_keys=True) for entry in entries)


@pytest.mark.parametrize("case", CASES, ids=[f"{i}-{c['kind']}-{c['operation']}" for i, c in enumerate(CASES)])
def test_recorded(case: Obj) -> None:
    if "error" in case:
        with pytest.raises((ApplyConflictError, TypedError)) as caught:
            written(case)
        error = caught.value
        text = error.status().message if isinstance(error, ApplyConflictError) else str(error)
        assert case["error"].endswith(text)
        return
    obj, entries = written(case)
    wanted = deepcopy(case["object"])
    assert untimed(entries) == untimed(wanted["metadata"].pop("managedFields"))
    message = schema.message(case["apiVersion"], case["kind"])
    assert message is not None
    found, _ = conform_object(obj, message)
    assert as_written(found, shape_of_kind(case["apiVersion"], case["kind"])) == wanted
