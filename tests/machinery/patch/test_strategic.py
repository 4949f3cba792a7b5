"""Strategic merge; the expected results are those of k8s.io/apimachinery 0.36.3 for the same inputs."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamark.machinery import schema
from seamark.machinery.patch.strategic import apply_strategic_merge
from seamark.machinery.schema import Message
from seamark.machinery.status import StatusError

Obj = dict[str, Any]


def message(api_version: str, kind: str) -> Message:
    found = schema.message(api_version, kind)
    assert found is not None
    return found


def pod(**spec: Any) -> Obj:
    return {"spec": spec}


POD, SERVICE, DEPLOYMENT = message("v1", "Pod"), message("v1", "Service"), message("apps/v1", "Deployment")

CASES: dict[str, tuple[Message, Obj, Obj, Obj]] = {
    "a list merges by its key": (
        POD,
        pod(containers=[{"name": "a", "image": "x"}, {"name": "b", "image": "y"}]),
        pod(containers=[{"name": "b", "image": "z"}]),
        pod(containers=[{"name": "a", "image": "x"}, {"name": "b", "image": "z"}]),
    ),
    "a new element goes before those only here": (
        SERVICE,
        {"spec": {"ports": [{"port": 80}]}},
        {"spec": {"ports": [{"port": 443, "name": None}]}},
        {"spec": {"ports": [{"port": 443}, {"port": 80}]}},
    ),
    "setElementOrder orders": (
        SERVICE,
        {"spec": {"ports": [{"port": 80, "name": "a"}, {"port": 81, "name": "b"}]}},
        {
            "spec": {
                "$setElementOrder/ports": [{"port": 81}, {"port": 82}, {"port": 80}],
                "ports": [{"port": 82, "name": "c"}],
            }
        },
        {"spec": {"ports": [{"port": 81, "name": "b"}, {"port": 82, "name": "c"}, {"port": 80, "name": "a"}]}},
    ),
    "setElementOrder alone": (
        SERVICE,
        {"spec": {"ports": [{"port": 80}, {"port": 81}]}},
        {"spec": {"$setElementOrder/ports": [{"port": 81}, {"port": 80}]}},
        {"spec": {"ports": [{"port": 81}, {"port": 80}]}},
    ),
    "an element deletes": (
        POD,
        pod(volumes=[{"name": "a"}, {"name": "b"}]),
        pod(volumes=[{"$patch": "delete", "name": "a"}]),
        pod(volumes=[{"name": "b"}]),
    ),
    "a list is replaced": (
        POD,
        pod(volumes=[{"name": "a"}, {"name": "b"}]),
        pod(volumes=[{"name": "c"}, {"$patch": "replace"}]),
        pod(volumes=[{"name": "c"}]),
    ),
    "an atomic list is replaced whole": (
        POD,
        pod(tolerations=[{"key": "a"}]),
        pod(tolerations=[{"key": "b"}]),
        pod(tolerations=[{"key": "b"}]),
    ),
    "a map is replaced": (
        POD,
        pod(nodeSelector={"a": "1"}),
        pod(nodeSelector={"$patch": "replace", "b": "2"}),
        pod(nodeSelector={"b": "2"}),
    ),
    "a map is emptied": (
        POD,
        pod(nodeSelector={"a": "1"}),
        pod(nodeSelector={"$patch": "delete"}),
        pod(nodeSelector={}),
    ),
    "null removes": (POD, pod(nodeName="n", hostname="h"), pod(nodeName=None), pod(hostname="h")),
    "retainKeys drops the union's old member": (
        DEPLOYMENT,
        {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}},
        {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}},
        {"spec": {"strategy": {"type": "Recreate"}}},
    ),
    "primitives merge as a set": (
        POD,
        {"metadata": {"finalizers": ["a", "b"]}},
        {"metadata": {"finalizers": ["b", "c"]}},
        {"metadata": {"finalizers": ["a", "b", "c"]}},
    ),
    "primitives are deleted": (
        POD,
        {"metadata": {"finalizers": ["a", "b", "c"]}},
        {"metadata": {"$deleteFromPrimitiveList/finalizers": ["b"], "$setElementOrder/finalizers": ["c", "a"]}},
        {"metadata": {"finalizers": ["c", "a"]}},
    ),
    "nested lists merge in turn": (
        DEPLOYMENT,
        {"spec": {"template": pod(containers=[{"name": "a", "env": [{"name": "X", "value": "1"}]}])}},
        {"spec": {"template": pod(containers=[{"name": "a", "env": [{"name": "Y", "value": "2"}]}])}},
        {
            "spec": {
                "template": pod(
                    containers=[{"name": "a", "env": [{"name": "Y", "value": "2"}, {"name": "X", "value": "1"}]}]
                )
            }
        },
    ),
    "a new value loses nulls and directives": (
        POD,
        {"spec": {}},
        pod(
            affinity={"nodeAffinity": None},
            volumes=[{"name": "a", "emptyDir": None}, {"$patch": "delete", "name": "b"}],
        ),
        pod(affinity={}, volumes=[{"name": "a"}]),
    ),
    "an unknown field merges as JSON": (POD, {"x": {"a": [1]}}, {"x": {"a": [2], "b": 1}}, {"x": {"a": [2], "b": 1}}),
}


@pytest.mark.parametrize(("kind", "obj", "patch", "expected"), CASES.values(), ids=CASES.keys())
def test_merge(kind: Message, obj: Obj, patch: Obj, expected: Obj) -> None:
    before = copy.deepcopy((obj, patch))
    assert apply_strategic_merge(obj, patch, kind=kind) == expected
    assert (obj, patch) == before


@pytest.mark.parametrize(
    ("patch", "message_part"),
    [
        (pod(containers=[{"$patch": "frob", "name": "a"}]), "unknown patch type: frob in map"),
        (pod(nodeSelector={"$patch": "frob"}), "unknown patch type: frob in map"),
        (pod(containers=["x"]), "list element types are not identical: object, string"),
        ({"metadata": {"$deleteFromPrimitiveList/finalizers": "x"}}, "invalid patch format of primitive list"),
        (pod(**{"$setElementOrder/containers": {}}), "invalid patch format of setElementOrder list"),
        (pod(**{"$retainKeys": ["a"], "nodeName": "x"}), "invalid patch format of retainKeys"),
        (
            pod(**{"$setElementOrder/containers": [{"name": "b"}], "containers": [{"name": "a"}]}),
            "The order in patch list doesn't match $setElementOrder list",
        ),
        ([], "json: cannot unmarshal array into Go value of type map[string]any"),
    ],
)
def test_malformed_patches(patch: Any, message_part: str) -> None:
    obj = {"metadata": {"finalizers": ["a"]}, "spec": {"containers": [{"name": "a"}], "nodeSelector": {}}}
    with pytest.raises(StatusError) as caught:
        apply_strategic_merge(obj, patch, kind=POD)
    assert (caught.value.code, caught.value.message) == (400, message_part)


@pytest.mark.parametrize(
    ("item", "shown"), [({"image": "x"}, "map[image:x]"), ({"$patch": "delete"}, "map[$patch:delete]")]
)
def test_an_element_without_its_merge_key(item: Obj, shown: str) -> None:
    with pytest.raises(StatusError) as caught:
        apply_strategic_merge(pod(containers=[{"name": "a"}]), pod(containers=[item]), kind=POD)
    error = caught.value
    assert (error.code, error.message) == (500, f"map: {shown} does not contain declared merge key: name")
    assert "reason" not in error.as_dict()


def test_lists_of_lists_are_unprocessable() -> None:
    with pytest.raises(StatusError) as caught:
        apply_strategic_merge(pod(containers=[{"name": "a"}]), pod(containers=[[]]), kind=POD)
    assert caught.value.code == 422


NAMES = st.sampled_from("abcd")
CONTAINERS = st.lists(NAMES, unique=True, max_size=4).map(lambda names: [{"name": n, "image": n * 2} for n in names])


@given(CONTAINERS, CONTAINERS)
def test_every_element_of_both_is_there_once(present: list[Obj], patch: list[Obj]) -> None:
    merged = apply_strategic_merge(pod(containers=present), pod(containers=patch), kind=POD)["spec"]["containers"]
    names = [c["name"] for c in merged]
    assert sorted(names) == sorted({c["name"] for c in present + patch})
    assert [n for n in names if n in {c["name"] for c in patch}] == [c["name"] for c in patch]


JSON = st.recursive(
    st.none() | st.integers(0, 2) | st.sampled_from(["a", "replace", "delete"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "containers", "spec", "$patch", "finalizers"]), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(["spec", "metadata", "$retainKeys", "$setElementOrder/spec"]), JSON))
def test_any_patch_applies_or_is_refused(patch: Obj) -> None:
    obj = pod(containers=[{"name": "a"}]) | {"metadata": {"finalizers": ["a"]}}
    before = copy.deepcopy(obj)
    try:
        apply_strategic_merge(obj, patch, kind=POD)
    except StatusError as error:
        assert error.code in (400, 422)
    assert obj == before
    assert apply_strategic_merge(obj, {}, kind=POD) == obj


def test_depth_is_bounded() -> None:
    patch: dict[str, Any] = {}
    for _ in range(50_000):
        patch = {"a": patch}
    with pytest.raises(StatusError, match="nested deeper than 200 levels") as caught:
        apply_strategic_merge({}, patch, kind=POD)
    assert caught.value.code == 400


def test_long_lists_merge_in_linear_time() -> None:
    """A quadratic merge of these would take minutes and hold up every other request."""
    count = 20_000
    present = [{"name": str(i)} for i in range(count)]
    patch = [{"name": str(i + count // 2)} for i in range(count)]
    merged = apply_strategic_merge(
        pod(containers=present), pod(containers=patch, **{"$setElementOrder/containers": patch}), kind=POD
    )
    assert len(merged["spec"]["containers"]) == count * 3 // 2
