"""Field sets: their JSON, their algebra, their names."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamark.machinery.fieldset import (
    FieldSet,
    FieldSetError,
    Path,
    difference,
    has,
    intersect,
    key_element,
    make_set,
    parse_fields,
    paths_of,
    render_path,
    union,
    value_element,
    without_branches,
)

ELEMENTS = ["f:a", "f:b", 'k:{"name":"x"}', "v:1"]
PATHS = st.lists(st.sampled_from(ELEMENTS), min_size=1, max_size=4).map(tuple)
SETS = st.lists(PATHS, max_size=8).map(lambda paths: make_set(*paths))


def members(fields: FieldSet) -> set[Path]:
    return set(paths_of(fields))


def test_json_form() -> None:
    fields = make_set(("f:spec", "f:ports"), ("f:spec", "f:ports", 'k:{"port":80,"protocol":"TCP"}'), ("f:data",))
    assert fields == {"f:spec": {"f:ports": {".": {}, 'k:{"port":80,"protocol":"TCP"}': {}}}, "f:data": {}}
    assert parse_fields(fields) == fields


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        (("f:spec", "f:replicas"), ".spec.replicas"),
        (
            ("f:ports", key_element([("protocol", "TCP"), ("port", 80)]), "f:name"),
            '.ports[port=80,protocol="TCP"].name',
        ),
        (("f:finalizers", value_element('a"b')), '.finalizers[="a\\"b"]'),
        (("f:x", "i:3"), ".x[3]"),
        (("f:x", value_element(True)), ".x[=true]"),
        (("f:x", value_element(1e21), "f:y"), ".x[=1e+21].y"),
        (("f:x", key_element([("name", {"z": [True, None, 1.0]})])), ".x[name=z=[true,null,1]]"),
    ],
)
def test_paths_are_named_as_in_conflicts(path: Path, shown: str) -> None:
    assert render_path(path) == shown


def test_what_clients_send_becomes_canonical() -> None:
    assert parse_fields({'k:{ "protocol":"TCP", "port":80 }': {".": {}}}) == {'k:{"port":80,"protocol":"TCP"}': {}}


def test_go_escapes_what_html_would_read() -> None:
    assert value_element("a<b>&") == 'v:"a\\u003cb\\u003e\\u0026"'


@pytest.mark.parametrize("value", [[], {"x": {}}, {"f:a": 1}, {"k:[]": {}}, {"v:{": {}}, {"i:x": {}}, {"": {}}])
def test_what_is_no_fields_v1_is_refused(value: Any) -> None:
    with pytest.raises(FieldSetError):
        parse_fields(value)


def test_depth_is_bounded() -> None:
    value: dict[str, Any] = {}
    for _ in range(1000):
        value = {"f:a": value}
    with pytest.raises(FieldSetError, match="deeper"):
        parse_fields(value)


@given(SETS, SETS)
def test_algebra_is_that_of_sets_of_paths(left: FieldSet, right: FieldSet) -> None:
    for combine, wanted in (
        (union, members(left) | members(right)),
        (difference, members(left) - members(right)),
        (intersect, members(left) & members(right)),
    ):
        found = combine(left, right)
        assert members(found) == wanted
        assert found == make_set(*wanted) == parse_fields(found)


@given(SETS, SETS)
def test_branches_go_with_what_is_below(left: FieldSet, right: FieldSet) -> None:
    gone = members(right)
    wanted = {p for p in members(left) if not any(p[: i + 1] in gone for i in range(len(p)))}
    found = without_branches(left, right)
    assert members(found) == wanted and found == make_set(*wanted)


@given(SETS, PATHS)
def test_has(fields: FieldSet, path: Path) -> None:
    assert has(fields, path) == (path in members(fields))
