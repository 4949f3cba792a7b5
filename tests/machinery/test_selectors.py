"""Selectors against client-go's own answers (k8s.io/apimachinery 0.36.3)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamark.machinery import selectors
from seamark.machinery.status import StatusError


@pytest.mark.parametrize(
    ("text", "labels", "expected"),
    [
        ("", {}, True),
        ("app=web", {"app": "web"}, True),
        ("app==web", {"app": "web"}, True),
        ("app=web", {"app": "db"}, False),
        ("app=web", {}, False),
        ("app!=web", {}, True),
        ("app!=web", {"app": "web"}, False),
        ("app=", {"app": ""}, True),
        ("app", {"app": ""}, True),
        ("app", {}, False),
        ("!app", {}, True),
        ("!app", {"app": "x"}, False),
        ("tier in (a, b)", {"tier": "b"}, True),
        ("tier in (a,b)", {"tier": "c"}, False),
        ("tier notin (a,b)", {}, True),
        ("tier notin (a,b)", {"tier": "a"}, False),
        ("in in (in,notin)", {"in": "notin"}, True),
        ("x in ()", {"x": ""}, True),
        ("n>3", {"n": "4"}, True),
        ("n<3", {"n": "4"}, False),
        ("n>3", {"n": "many"}, False),
        ("app=web,!old,tier in (a)", {"app": "web", "tier": "a"}, True),
        ("app=web,!old", {"app": "web", "old": "1"}, False),
        ("!service.kubernetes.io/headless", {"app": "web"}, True),
    ],
)
def test_matches(text: str, labels: dict[str, str], expected: bool) -> None:
    assert selectors.parse_label_selector(text).matches(labels) is expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a=b,", "found '', expected: identifier after ','"),
        (",a", "found ',', expected: !, identifier, or 'end of string'"),
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("a in (b c)", "unable to parse requirement: found 'c', expected: ',' or ')'"),
        ("a=b=c", "found '=', expected: ',' or 'end of string'"),
        ("!", "unable to parse requirement: found '', expected: identifier"),
        ("a=(", "unable to parse requirement: found '(', expected: identifier"),
        (
            "n>x",
            "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, "
            "the value must be an integer",
        ),
        (
            "-a=b",
            'unable to parse requirement: <nil>: Invalid value: "-a": name part must consist of alphanumeric '
            "characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  "
            "or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
        ),
        (
            "a=-b",
            'unable to parse requirement: values[0][a]: Invalid value: "-b": a valid label must be an empty string or '
            "consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
            "character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
            "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
        ),
    ],
)
def test_errors_have_client_go_words(text: str, message: str) -> None:
    with pytest.raises(StatusError) as caught:
        selectors.parse_label_selector(text)
    assert (caught.value.code, caught.value.reason, caught.value.message) == (400, "BadRequest", message)


def test_text_form_is_sorted_and_parses_to_itself() -> None:
    selector = selectors.parse_label_selector("z notin (b,a),!y , x,w==1,v!=2,u>3")
    assert str(selector) == "u>3,v!=2,w==1,x,!y,z notin (a,b)"
    assert selectors.parse_label_selector(str(selector)) == selector


@given(st.text(alphabet="ab1/.-_=!(),<> in", max_size=20))
def test_any_text_parses_or_is_a_bad_request(text: str) -> None:
    try:
        selector = selectors.parse_label_selector(text)
    except selectors.SelectorError:
        return
    assert selectors.parse_label_selector(str(selector)) == selector


def test_selector_of_an_object() -> None:
    selector = selectors.selector_from(
        {
            "matchLabels": {"app": "web"},
            "matchExpressions": [
                {"key": "tier", "operator": "In", "values": ["b", "a"]},
                {"key": "old", "operator": "DoesNotExist"},
                {"key": "new", "operator": "Exists"},
            ],
        }
    )
    assert str(selector) == "app=web,new,!old,tier in (a,b)"
    assert selector.matches({"app": "web", "tier": "a", "new": ""})
    assert not selector.matches({"app": "web", "tier": "c", "new": ""})


def test_absent_selects_nothing_and_empty_everything() -> None:
    assert not selectors.selector_from(None).matches({"a": "b"})
    assert selectors.selector_from({}).matches(None)
    assert not selectors.selector_from_labels({}).matches({"a": "b"})
    assert selectors.selector_from_labels({"a": "b"}).matches({"a": "b", "c": "d"})


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ({"key": "a", "operator": "Gt", "values": ["1"]}, '"Gt" is not a valid label selector operator'),
        (
            {"key": "a", "operator": "In"},
            "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty",
        ),
        (
            {"key": "a", "operator": "Exists", "values": ["x"]},
            'values: Invalid value: ["x"]: values set must be empty for exists and does not exist',
        ),
    ],
)
def test_bad_expression(expression: dict[str, object], message: str) -> None:
    with pytest.raises(selectors.SelectorError) as caught:
        selectors.selector_from({"matchExpressions": [expression]})
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("", []),
        ("metadata.name=web", [("metadata.name", "=", "web")]),
        ("b!=x,a==y", [("a", "=", "y"), ("b", "!=", "x")]),
        ("status.phase!=", [("status.phase", "!=", "")]),
        (r"a=b\,c\=d\\", [("a", "=", "b,c=d\\")]),
        (",,a=b,", [("a", "=", "b")]),
        ("=", []),
    ],
)
def test_field_selectors(text: str, terms: list[tuple[str, str, str]]) -> None:
    assert [tuple(term) for term in selectors.parse_field_selector(text)] == terms


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a", "invalid selector: 'a'; can't understand 'a'"),
        (r"a=\b", "invalid field selector: invalid escape sequence: \\b"),
        ("a=b=c", "invalid field selector: unescaped character in value: 61"),
        ("a=b\\", "invalid field selector: invalid escape sequence: \\"),
    ],
)
def test_bad_field_selectors(text: str, message: str) -> None:
    with pytest.raises(selectors.SelectorError) as caught:
        selectors.parse_field_selector(text)
    assert caught.value.message == message
