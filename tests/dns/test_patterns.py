"""Go's regular expressions match here what they match there (recorded), or are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamark.dns.patterns import compile_go


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (r"^abc\..*\.example\.com\.$", "abc.x.example.com.", "abc.x.example.com."),
        (r"[[:alpha:]]+", "1web2", "web"),
        (r"[[:^alpha:]]+", "ab12.c", "12."),
        (r"[^[:digit:].]", "1.a", "a"),
        (r"[]a]+", "x]a]", "]a]"),
        (r"[a&&b]+", "a&&b", "a&&b"),
        (r"a$", "a\n", None),
        (r"(?m)a$", "a\nb", "a"),
        (r"a\z", "a\n", None),
        (r"\Qa.b\E+", "a.bbb", "a.bbb"),
        (r"\x61\x{62}\143", "abc", "abc"),
        (r"(?<name>w)e", "we", "we"),
        (r"a(?i)b|c", "C", "C"),
        (r"(a(?i)B|C)D", "abD", "abD"),
        (r"(a(?i)B|C)D", "abd", None),
        (r"(?i:W)e", "We", "We"),
        (r"(?U)a+", "aaa", "a"),
        (r"(?U)a+?", "aaa", "aaa"),
        (r"(?s).", "\n", "\n"),
        (r"\d", "٣", None),
        (r"x{,3}", "x{,3}", "x{,3}"),
        (r"\p{Lu}\pN", "aA1", "A1"),
        (r"", "abc", ""),
    ],
)
def test_a_pattern_of_go_finds_what_go_finds(pattern: str, text: str, found: str | None) -> None:
    match = compile_go(pattern).search(text)
    assert (match[0] if match else None) == found


@pytest.mark.parametrize(
    "pattern",
    [
        "(",
        ")",
        "[",
        "a**",
        "a++",
        "*",
        r"\1",
        r"\Z",
        r"\K",
        "(?=a)",
        "(?!a)",
        "(?<=a)",
        "a{1001}",
        "[z-a]",
        "[[:x:]]",
        "\\",
    ],
)
def test_what_go_refuses_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="is not a regular expression"):
        compile_go(pattern)


@given(st.text(alphabet=r"ab\().[]{}*+?|^$:-P<>iUm1,Qz", max_size=20))
def test_any_text_is_a_pattern_or_a_reason(text: str) -> None:
    try:
        compile_go(text).search("ab.ba")
    except ValueError as error:
        assert "is not a regular expression" in str(error)
