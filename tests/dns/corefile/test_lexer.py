"""Tokens of a Corefile and where they stand."""

from __future__ import annotations

import pytest

from seamark.dns.corefile.lexer import CorefileError, parse_tokens


def tokens(text: str, **environment: str) -> list[tuple[str, int, int]]:
    return [(t.text, t.line, t.column) for t in parse_tokens(text, file="Corefile", environment=environment)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(".:53 {\n  errors\n}\n", [(".:53", 1, 1), ("{", 1, 6), ("errors", 2, 3), ("}", 3, 1)], id="plain"),
        pytest.param("\ufeffa\r\n\tb\r\n", [("a", 1, 1), ("b", 2, 2)], id="byte order mark, CRLF, tab"),
        pytest.param("a # rest { of the line\nb#c\n", [("a", 1, 1), ("b", 2, 1)], id="comments"),
        pytest.param('x "two words" y', [("x", 1, 1), ("two words", 1, 3), ("y", 1, 15)], id="quotes"),
        pytest.param('"say \\"hi\\" \\n"', [('say "hi" \\n', 1, 1)], id="escaped quotes, nothing else"),
        pytest.param('"one\ntwo" three\nfour', [("one\ntwo", 1, 1), ("three", 2, 6), ("four", 3, 1)], id="over lines"),
        pytest.param('""', [("", 1, 1)], id="empty token"),
        pytest.param("{$ZONE} a{%PORT%}b {$NONE}", [("x.y", 1, 1), ("a53b", 1, 9), ("", 1, 20)], id="environment"),
        pytest.param("", [], id="nothing"),
    ],
)
def test_tokens(text: str, expected: list[tuple[str, int, int]]) -> None:
    assert tokens(text, ZONE="x.y", PORT="53") == expected


def test_what_a_variable_holds_is_one_token() -> None:
    assert tokens("{$A}", A="x y {") == [("x y {", 1, 1)]


def test_the_first_token_of_a_line_is_marked() -> None:
    found = parse_tokens('a b\n"c\nd" e\nf', file="Corefile", environment={})
    assert [t.text for t in found if t.first] == ["a", "c\nd", "f"]


def test_a_quote_that_is_never_closed() -> None:
    with pytest.raises(CorefileError, match=r"^Corefile:2:3: a quote is opened here and never closed$"):
        tokens('a\n  "b\n}')
