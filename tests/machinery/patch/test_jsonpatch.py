from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamark.machinery.jsonvalue import equal_json
from seamark.machinery.patch import apply_json_patch
from seamark.machinery.status import StatusError


@pytest.mark.parametrize(
    ("obj", "operations", "expected"),
    [  # RFC 6902, appendix A, as far as it speaks of objects
        ({"foo": "bar"}, [{"op": "add", "path": "/baz", "value": "qux"}], {"baz": "qux", "foo": "bar"}),
        (
            {"foo": ["bar", "baz"]},
            [{"op": "add", "path": "/foo/1", "value": "qux"}],
            {"foo": ["bar", "qux", "baz"]},
        ),
        ({"baz": "qux", "foo": "bar"}, [{"op": "remove", "path": "/baz"}], {"foo": "bar"}),
        ({"foo": [1, 2, 3]}, [{"op": "remove", "path": "/foo/1"}], {"foo": [1, 3]}),
        ({"baz": "qux"}, [{"op": "replace", "path": "/baz", "value": "boo"}], {"baz": "boo"}),
        ({"a": {"b": 1}, "c": {}}, [{"op": "move", "from": "/a/b", "path": "/c/d"}], {"a": {}, "c": {"d": 1}}),
        ({"l": [1, 2, 3]}, [{"op": "move", "from": "/l/0", "path": "/l/2"}], {"l": [2, 3, 1]}),
        (
            {"l": [1], "x": {"y": 2}},
            [{"op": "copy", "from": "/x", "path": "/l/-"}],
            {"l": [1, {"y": 2}], "x": {"y": 2}},
        ),
        ({"a": 1}, [{"op": "test", "path": "/a", "value": 1.0}], {"a": 1}),
        ({"a": 1}, [{"op": "add", "path": "/b", "value": None}], {"a": 1, "b": None}),
        ({"/": 9, "~1": 10}, [{"op": "test", "path": "/~01", "value": 10}], {"/": 9, "~1": 10}),
        ({"foo": ["bar"]}, [{"op": "add", "path": "/foo/-", "value": ["x"]}], {"foo": ["bar", ["x"]]}),
        ({"a": 1}, [{"op": "replace", "path": "", "value": {"b": 2}}], {"b": 2}),
        ({"a": {"b": 1}}, [{"op": "move", "from": "/a", "path": "/a"}], {"a": {"b": 1}}),
    ],
)
def test_operations(obj: dict[str, Any], operations: list[Any], expected: dict[str, Any]) -> None:
    before = copy.deepcopy((obj, operations))
    assert apply_json_patch(obj, operations) == expected
    assert (obj, operations) == before


@pytest.mark.parametrize(
    ("operation", "why"),
    [
        ({"op": "remove", "path": "/nope"}, "operation 0: path /nope does not exist"),
        ({"op": "replace", "path": "/nope", "value": 1}, "operation 0: path /nope does not exist"),
        ({"op": "add", "path": "/nope/x", "value": 1}, "operation 0: path /nope does not exist"),
        ({"op": "add", "path": "/list/3", "value": 1}, "operation 0: index '3' is outside the array of 2"),
        ({"op": "add", "path": "/list/01", "value": 1}, "operation 0: index '01' is outside the array of 2"),
        ({"op": "remove", "path": "/list/-"}, "operation 0: index '-' is outside the array of 2"),
        ({"op": "test", "path": "/a", "value": True}, "operation 0: testing value /a failed"),
        ({"op": "test", "path": "/a", "value": "1"}, "operation 0: testing value /a failed"),
        ({"op": "add", "path": "/a/b", "value": 1}, "operation 0: path /a/b does not exist"),
        ({"op": "move", "from": "/map", "path": "/map/x"}, "operation 0: a value cannot move into itself"),
        ({"op": "frob", "path": "/a"}, "operation 0: unknown op 'frob'"),
        ({"op": "add", "path": "/a"}, "operation 0: the operation has no value"),
        ({"op": "add", "path": "a", "value": 1}, "operation 0: path 'a' is no JSON pointer"),
        ({"op": "add", "path": "/a~2", "value": 1}, "operation 0: path '/a~2' has a ~ that is neither ~0 nor ~1"),
        ({"op": "remove", "path": ""}, "operation 0: the whole object cannot be removed"),
        ({"op": "replace", "path": "", "value": [1]}, "the patch leaves no object"),
        ({"op": ["add"], "path": "/a", "value": 1}, "operation 0: unknown op ['add']"),
    ],
)
def test_what_does_not_fit_is_unprocessable(operation: dict[str, Any], why: str) -> None:
    obj = {"a": 1, "list": [1, 2], "map": {"x": {}}}
    with pytest.raises(StatusError) as caught:
        apply_json_patch(obj, [operation])
    assert (caught.value.code, caught.value.reason) == (422, "Invalid")
    assert caught.value.message == "the server rejected our request due to an error in our request"
    assert caught.value.details["causes"][0]["message"] == why
    assert obj == {"a": 1, "list": [1, 2], "map": {"x": {}}}


@pytest.mark.parametrize("operations", [{}, "x", None, [1]])
def test_a_patch_is_a_list_of_operations(operations: Any) -> None:
    with pytest.raises(StatusError) as caught:
        apply_json_patch({}, operations)
    assert caught.value.code == 400


def test_ten_thousand_operations_are_enough() -> None:
    with pytest.raises(StatusError) as caught:
        apply_json_patch({}, [{"op": "add", "path": "/a", "value": 1}] * 10_001)
    assert caught.value.code == 413


def test_copies_into_themselves_end() -> None:
    operations = [{"op": "copy", "from": "/a", "path": "/a/-"}] * 100
    with pytest.raises(StatusError) as caught:
        apply_json_patch({"a": ["y" * 100]}, operations)
    assert caught.value.code == 422
    assert "the copies come to more than 3145728 bytes" in caught.value.details["causes"][0]["message"]


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"a": value}
    return value


def test_depth_is_bounded() -> None:
    deeper = [{"op": "add", "path": "/a" * (150 * n + 1), "value": nested(149)} for n in range(2)]
    assert apply_json_patch({}, deeper[:1])
    with pytest.raises(StatusError, match="the server rejected our request"):
        apply_json_patch({}, deeper)
    with pytest.raises(StatusError, match="nested deeper than 200 levels"):
        apply_json_patch({}, [{"op": "add", "path": "/a", "value": nested(50_000)}])


LEAF = st.none() | st.booleans() | st.integers(0, 3) | st.text("ab", max_size=1)
JSON = st.recursive(
    LEAF, lambda i: st.lists(i, max_size=3) | st.dictionaries(st.sampled_from("ab/~"), i, max_size=3), max_leaves=8
)
OBJECT = st.dictionaries(st.sampled_from("ab/~"), JSON, max_size=4)


def difference(old: Any, new: Any, path: str = "") -> list[dict[str, Any]]:
    """A patch from one value to another, member by member."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        return [] if equal_json(old, new) else [{"op": "replace", "path": path, "value": new}]
    operations: list[dict[str, Any]] = []
    for key in [*old, *(k for k in new if k not in old)]:
        at = f"{path}/{key.replace('~', '~0').replace('/', '~1')}"
        if key not in new:
            operations.append({"op": "remove", "path": at})
        elif key not in old:
            operations.append({"op": "add", "path": at, "value": new[key]})
        else:
            operations += difference(old[key], new[key], at)
    return operations


@given(OBJECT, OBJECT)
def test_the_difference_applied_gives_the_other(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert equal_json(apply_json_patch(old, difference(old, new)), new)
