from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamark.machinery.patch import apply_merge_patch
from seamark.machinery.status import StatusError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
    max_leaves=8,
)
OBJECT = st.dictionaries(st.text("ab", max_size=2), JSON, max_size=4)


@pytest.mark.parametrize(
    ("obj", "patch", "expected"),
    [  # RFC 7386, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_the_examples_of_the_rfc(obj: dict[str, Any], patch: dict[str, Any], expected: dict[str, Any]) -> None:
    assert apply_merge_patch(obj, patch) == expected


@pytest.mark.parametrize(("patch", "kind"), [([], "array"), ("x", "string"), (None, "null"), (1, "number")])
def test_a_patch_is_an_object(patch: Any, kind: str) -> None:
    with pytest.raises(StatusError) as caught:
        apply_merge_patch({}, patch)
    assert caught.value.code == 400
    assert f"cannot unmarshal {kind} into" in caught.value.message


@given(OBJECT, OBJECT)
def test_inputs_stay_and_a_second_time_changes_nothing(obj: dict[str, Any], patch: dict[str, Any]) -> None:
    before = copy.deepcopy((obj, patch))
    once = apply_merge_patch(obj, patch)
    assert (obj, patch) == before
    assert apply_merge_patch(once, patch) == once
    assert apply_merge_patch(obj, {}) == obj


def test_the_result_shares_nothing() -> None:
    obj, patch = {"a": {"b": [1]}}, {"c": {"d": [2]}}
    result = apply_merge_patch(obj, patch)
    result["a"]["b"].append(2)
    result["c"]["d"].append(3)
    assert (obj, patch) == ({"a": {"b": [1]}}, {"c": {"d": [2]}})


def test_depth_is_bounded() -> None:
    patch: dict[str, Any] = {}
    for _ in range(50_000):
        patch = {"a": patch}
    with pytest.raises(StatusError, match="nested deeper than 200 levels") as caught:
        apply_merge_patch({}, patch)
    assert caught.value.code == 400
