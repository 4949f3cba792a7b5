"""What holds for every schema and every value: judged once is judged, and what Kubernetes takes stays as it is."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from seamark.machinery.structural.default import apply_defaults
from seamark.machinery.structural.listtype import validate_lists
from seamark.machinery.structural.prune import drop_nulls, prune, prune_value
from seamark.machinery.structural.publish import publish_v2, publish_v3
from seamark.machinery.structural.schema import parse_structural
from seamark.machinery.structural.shape import shape_of_schema
from seamark.machinery.structural.validate import Old, validate_schema

Raw = dict[str, Any]
NAMES = st.sampled_from("abcd")
SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "a", "5", "1.5"])
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3))
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=4)
LEAVES: st.SearchStrategy[Raw] = st.sampled_from(
    [
        {"type": "string", "minLength": 1},
        {"type": "string", "default": "x", "enum": ["x", "a"]},
        {"type": "integer", "default": 3, "maximum": 4},
        {"type": "boolean", "nullable": True},
        {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        {"x-kubernetes-int-or-string": True},
        {"type": "object", "additionalProperties": {"type": "integer", "default": 1}},
        {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
    ]
)


def _nested(inner: st.SearchStrategy[Raw]) -> st.SearchStrategy[Raw]:
    return st.builds(
        lambda properties, required: {"type": "object", "properties": properties, "required": required},
        st.dictionaries(NAMES, inner, max_size=3),
        st.lists(NAMES, max_size=1),
    ) | st.builds(lambda items: {"type": "array", "items": items}, inner)


SCHEMAS = st.recursive(LEAVES, _nested, max_leaves=8)


@given(SCHEMAS, VALUES)
def test_pruning_twice_is_pruning_once(raw: Raw, value: Any) -> None:
    schema = parse_structural(raw)
    prune_value(value, schema)
    before = deepcopy(value)
    assert prune_value(value, schema) == []
    assert value == before


@given(SCHEMAS, OBJECTS)
def test_a_resource_keeps_its_name_and_says_what_went(raw: Raw, obj: Raw) -> None:
    obj |= {"apiVersion": "v1", "kind": "A", "metadata": {"name": "a", "other": 1}}
    before = deepcopy(obj)
    gone = prune(obj, parse_structural(raw))
    assert {name: obj[name] for name in ("apiVersion", "kind", "metadata")} == {
        name: before[name] for name in ("apiVersion", "kind", "metadata")
    }
    assert (obj == before) == (not gone)


@given(SCHEMAS, VALUES)
def test_defaulting_twice_is_defaulting_once(raw: Raw, value: Any) -> None:
    schema = parse_structural(raw)
    drop_nulls(value, schema)
    apply_defaults(value, schema)
    before = deepcopy(value)
    drop_nulls(value, schema)
    apply_defaults(value, schema)
    assert value == before


@given(SCHEMAS, VALUES)
def test_an_unchanged_value_is_never_refused_again(raw: Raw, value: Any) -> None:
    schema = parse_structural(raw)
    prune_value(value, schema)
    assert validate_schema(value, raw, old=Old(deepcopy(value), schema)) == []


@given(SCHEMAS, VALUES)
def test_judging_changes_nothing_and_never_fails(raw: Raw, value: Any) -> None:
    before = deepcopy((raw, value))
    validate_schema(value, raw)
    validate_lists(value, parse_structural(raw))
    assert (raw, value) == before


@given(SCHEMAS)
def test_every_schema_is_published_and_has_a_shape(raw: Raw) -> None:
    before = deepcopy(raw)
    common = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"$ref": "#/x"}}
    for published in (publish_v2(raw, common), publish_v3(raw, common)):
        assert json.loads(json.dumps(published)) == published
    assert shape_of_schema(parse_structural(raw)).kind
    assert raw == before
