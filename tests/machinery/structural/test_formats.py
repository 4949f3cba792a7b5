"""Formats and patterns, one by one; ``recorded.json`` has them in schemas."""

from __future__ import annotations

import pytest

from seamark.machinery.structural.formats import fits_format, is_known_format
from seamark.machinery.structural.pattern import PatternError, compile_pattern, matches


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("bsonobjectid", "507f1f77bcf86cd799439011", "507f"),
        ("uri", "https://example.com/a?b", "no scheme"),
        ("email", "a@example.com", "a@"),
        ("hostname", "a.example.com", "-a"),
        ("ipv4", "10.0.0.1", "10.0.0.256"),
        ("ipv6", "fd00::1", "10.0.0.1"),
        ("cidr", "10.0.0.0/8", "10.0.0.0"),
        ("mac", "01:23:45:67:89:ab", "01:23"),
        ("uuid", "a8098c1a-f86e-11da-bd1a-00112444be1e", "a8098c1a"),
        ("uuid4", "16fd2706-8baf-433b-82eb-8c7fada847da", "a8098c1a-f86e-11da-bd1a-00112444be1e"),
        ("isbn10", "0-306-40615-2", "0-306-40615-3"),
        ("isbn13", "978-3-16-148410-0", "978-3-16-148410-1"),
        ("creditcard", "4111 1111 1111 1111", "4111 1111 1111 1112"),
        ("ssn", "111-11-1111", "111-11-11112"),
        ("hexcolor", "#ff00ff", "#ff00f"),
        ("rgbcolor", "rgb(1, 2, 255)", "rgb(1, 2, 256)"),
        ("byte", "aGVsbG8=", "aGVsbG8"),
        ("password", "anything", None),
        ("date", "2024-02-29", "2023-02-29"),
        ("date-time", "2024-02-29T10:00:00Z", "2024-02-29"),
        ("duration", "1h30m", "soon"),
        ("k8s-short-name", "a-1", "a.1"),
        ("k8s-long-name", "a.b-1", "A.b"),
    ],
)
def test_formats(name: str, good: str, bad: str | None) -> None:
    assert is_known_format(name, "string")
    assert fits_format(name, good)
    assert bad is None or not fits_format(name, bad)


@pytest.mark.parametrize(
    ("name", "kind", "known"),
    [("int32", "integer", True), ("double", "number", True), ("int32", "string", False), ("foo", "", False)],
)
def test_formats_belong_to_types(name: str, kind: str, known: bool) -> None:
    assert is_known_format(name, kind) is known


def test_patterns_are_those_of_go() -> None:
    assert matches("b+", "abc")
    assert not matches("^b", "abc")
    assert matches(r"^\pL+$", "é")
    with pytest.raises(PatternError, match=r"error parsing regexp: invalid or unsupported Perl syntax: `\(\?=`"):
        compile_pattern("(?=a)")
    with pytest.raises(PatternError, match=r"error parsing regexp: missing closing \): `\(a`"):
        compile_pattern("(a")


def test_no_pattern_takes_long() -> None:
    """Python's own expressions would need longer than the world will last."""
    assert not matches("^(a+)+$", "a" * 5000 + "b")
