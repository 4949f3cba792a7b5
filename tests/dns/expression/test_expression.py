"""Expressions mean what they mean to CoreDNS (recorded); what is wrong with one is said before a query comes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamark.dns.expression import Function, go_text, parse_condition, parse_expression
from seamark.dns.plugin import Query
from seamark.dns.plugins.view.config import FUNCTIONS

LINES = (Path(__file__).parent / "recorded.tsv").read_text().splitlines()
RECORDED = [tuple(line.split("\t", 1)) for line in LINES if not line.startswith("# ")]


def query() -> Query:
    message = dns.message.make_query("Web.test.", "A", use_edns=0, payload=1232, want_dnssec=True)
    message.id = 7
    asked = message.question[0]
    size = len(message.to_wire())
    return Query(message, asked.name, asked.rdtype, "10.244.1.9", "udp", asked.name, 0.0, client_port=4021, size=size)


def value_of(text: str) -> str:
    try:
        expression = parse_expression(text, FUNCTIONS)
    except ValueError:
        return "refused"
    try:
        return go_text(expression.evaluate(query())).replace("\n", "\\n")
    except ValueError:
        return "no value"


@pytest.mark.parametrize(("text", "value"), RECORDED)
def test_an_expression_comes_to_what_it_comes_to_with_coredns(text: str, value: str) -> None:
    assert value_of(text) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "unexpected the end"),
        ("name()", "the expression has to be a bool, not a string"),
        ("name() == 1", "'==' compares values of one kind, not string and int"),
        ("name() in 'a'", "behind 'in' stands an array or a map, not a string"),
        ("1 in ['a']", "a int is not in an array of strings"),
        ("who()", "'who' is not known"),
        ("name(1)", "name takes 0 arguments, not 1"),
        ("trim()", "trim takes 1 or more arguments, not 0"),
        ("incidr(client_ip(), 1)", "argument 2 of incidr has to be a string, not a int"),
        ("true true", "unexpected 'true'"),
        ("do() + 1", "'+' stands between two number or strings, not bool and int"),
        ("do() or name()", "what stands beside 'or' has to be a bool, not a string"),
        ("name() not == 'a'", "unexpected 'not'"),
        ("[1, 2", "',' is missing before the end"),
        ("'a' contains", "unexpected the end"),
        ("name", "'(' is missing behind 'name'"),
        ("now().Hour() < 8", "'now' is not supported"),
        ("b'a' == b'a'", "byte strings (b'…') are not supported"),
        ("all([1], # + 1)", "the predicate of all has to be a bool, not a int"),
        ("# > 1", "unexpected '#'"),
        ("filter([1], #index > 0) == []", "'#index' is not known here"),
        ("let name = 1; true", "'name' is something else already"),
        ("name() matches '('", "'(' is not a regular expression: a '(' without its ')'"),
        ("'\\q' == ''", "'\\q' is no escape sequence"),
        ("?", "unexpected '?'"),
        ("1 § 2", "'§ 2' is no part of an expression"),
        ("(" * 100 + "true" + ")" * 100, "more than 64 expressions in one another"),
        ("!" * 2000 + "true", "more than 64 expressions in one another"),
        ("1 + " * 300 + "1 > 0", "more than 256 signs in a row"),
    ],
)
def test_what_is_wrong_with_a_condition_is_said_before_a_query_comes(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        parse_condition(text, FUNCTIONS)


@pytest.mark.parametrize(
    "text",
    ["len(repeat('abc', 1000000))", "len(map(0..999998, #)) + len(map(0..2, #))", "0..99999999 == []"],
)
def test_nobody_waits_for_an_expression_that_takes_too_much(text: str) -> None:
    assert value_of(text) == "no value"


def test_a_long_row_of_alternatives_is_no_depth() -> None:
    row = " or ".join(f"name() == 'a{number}.test.'" for number in range(5000))
    assert value_of(f"{row} or name() == 'web.test.'") == "true"


def test_those_behind_what_decides_are_not_looked_at() -> None:
    assert value_of("true or incidr('no address', '10.0.0.0/8')") == "true"
    assert value_of("false and incidr('no address', '10.0.0.0/8')") == "false"
    assert value_of("incidr('no address', '10.0.0.0/8') or true") == "no value"


def test_a_variable_is_as_fit_as_what_it_was_given() -> None:
    functions = {"number": Function((), "int", lambda env: env.variables["seven"])}

    class Env:
        variables: dict[str, Any] = {"seven": 7, "text": "abc"}  # noqa: RUF012

    kinds = {"seven": "int", "text": "string"}
    assert parse_expression("seven + number() * 2", functions, kinds).evaluate(Env()) == 21
    assert parse_expression("text + '!'", functions, kinds).evaluate(Env()) == "abc!"
    with pytest.raises(ValueError, match="stands between two number or strings, not int and string"):
        parse_expression("seven + text", functions, kinds)


WORDS = [
    "(",
    ")",
    "!",
    "and",
    "in",
    "[",
    "]",
    ",",
    "?",
    ":",
    "'a'",
    "1",
    "name()",
    "do()",
    "==",
    "..",
    "|",
    "len",
    "any",
]
MORE = [
    "{",
    "}",
    "#",
    "let",
    "x",
    "=",
    ";",
    "if",
    "else",
    ".",
    "?.",
    "??",
    "+",
    "-",
    "**",
    "not",
    "matches",
    "1.5",
    "nil",
]


@given(st.lists(st.sampled_from(WORDS + MORE)))
def test_any_words_are_an_expression_or_a_reason(words: list[str]) -> None:
    try:
        parse_expression(" ".join(words), FUNCTIONS).evaluate(query())
    except ValueError as error:
        assert str(error)


@given(st.text(alphabet="ab'\"\\`#()[]{}.,:;?|&=<>!+-*/%^ 019exb_$\n", max_size=30))
def test_any_text_is_an_expression_or_a_reason(text: str) -> None:
    try:
        parse_expression(text, FUNCTIONS).evaluate(query())
    except ValueError as error:
        assert str(error)


@given(st.integers(-(2**63), 2**63 - 1), st.integers(-(2**63), 2**63 - 1), st.sampled_from(["+", "-", "*"]))
def test_whole_numbers_are_of_64_bits(left: int, right: int, sign: str) -> None:
    functions = {"a": Function((), "int", lambda env: left), "b": Function((), "int", lambda env: right)}
    exact = {"+": left + right, "-": left - right, "*": left * right}[sign]
    found = parse_expression(f"a() {sign} b()", functions).evaluate(None)
    assert -(2**63) <= found < 2**63
    assert (found - exact) % 2**64 == 0


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_printed_so_that_it_can_be_read_again(value: float) -> None:
    assert float(go_text(value)) == value
