"""Schemas and objects against what Kubernetes 1.36.3 itself said of them, word for word (``recorded.json``)."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from seamark.machinery.status import Cause
from seamark.machinery.structural.check import validate_openapi
from seamark.machinery.structural.default import apply_defaults
from seamark.machinery.structural.listtype import validate_lists
from seamark.machinery.structural.objectmeta import (
    MetadataError,
    coerce_embedded,
    coerce_metadata,
    validate_embedded,
)
from seamark.machinery.structural.prune import drop_nulls, prune
from seamark.machinery.structural.schema import Structural, parse_structural
from seamark.machinery.structural.validate import Old, validate_schema

Obj = dict[str, Any]
RECORDED = json.loads((Path(__file__).parent / "recorded.json").read_text())


def texts(causes: list[Cause]) -> list[str]:
    return sorted(f"{cause.field}: {cause.message}" for cause in causes)


def decoded(obj: Obj, schema: Structural) -> tuple[Obj, list[str]]:
    """What becomes of a body before validation, and its unknown fields."""
    obj = deepcopy(obj)
    unknown = coerce_metadata(obj) + prune(obj, schema)
    drop_nulls(obj, schema)
    unknown += coerce_embedded(obj, schema)
    apply_defaults(obj, schema)
    return obj, sorted(set(unknown))


@pytest.mark.parametrize("case", RECORDED["refused"], ids=range(len(RECORDED["refused"])))
def test_refused_schema(case: Obj) -> None:
    assert texts(validate_openapi(case["schema"], "spec.validation", has_status=False)) == case["causes"]


@pytest.mark.parametrize("case", RECORDED["accepted"], ids=range(len(RECORDED["accepted"])))
def test_accepted_schema(case: Obj) -> None:
    raw = case["schema"]
    assert validate_openapi(raw, "spec.validation", has_status=False) == []
    schema, before = parse_structural(raw), None
    for recorded in case["objects"]:
        if "refused" in recorded:
            with pytest.raises(MetadataError) as refused:
                decoded(recorded["object"], schema)
            assert str(refused.value) == recorded["refused"]
            continue
        obj, unknown = decoded(recorded["object"], schema)
        assert unknown == recorded["unknown"]
        assert obj == recorded["result"]
        around = validate_embedded(obj, schema)
        assert texts(validate_schema(obj, raw) + around + validate_lists(obj, schema)) == recorded["causes"]
        if "causes after the one before" in recorded and before is not None:
            found = validate_schema(obj, raw, old=Old(before, schema)) + around
            found += [] if validate_lists(before, schema) else validate_lists(obj, schema)
            assert texts(found) == recorded["causes after the one before"]
        before = obj
