"""Zones and ports of server blocks, CIDR blocks, and the words of properties."""

from __future__ import annotations

import pytest

from seamark.dns.corefile.block import duration, integer
from seamark.dns.corefile.keys import match_zone, parse_key, parse_zones
from seamark.dns.corefile.lexer import CorefileError, Token


def token(text: str) -> Token:
    return Token(text, "Corefile", 3, 5)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (".", [(".", 53)]),
        (".:1053", [(".", 1053)]),
        ("dns://Example.ORG", [("example.org.", 53)]),
        ("example.org.:54", [("example.org.", 54)]),
        ("10.0.0.0/24", [("0.0.10.in-addr.arpa.", 53)]),
        ("10.0.0.0/15", [("0.10.in-addr.arpa.", 53), ("1.10.in-addr.arpa.", 53)]),
        ("10.1.2.3/32:99", [("3.2.1.10.in-addr.arpa.", 99)]),
        ("2001:db8::/32", [("8.b.d.0.1.0.0.2.ip6.arpa.", 53)]),
        ("2001:db8::/31", [("8.b.d.0.1.0.0.2.ip6.arpa.", 53), ("9.b.d.0.1.0.0.2.ip6.arpa.", 53)]),
    ],
)
def test_keys(text: str, expected: list[tuple[str, int]]) -> None:
    assert [(key.zone, key.port) for key in parse_key(token(text))] == expected


def test_the_default_port_is_an_option() -> None:
    assert parse_key(token("."), default_port=1053)[0].port == 1053


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("http://.", "is not a scheme"),
        (".:", "a port has to follow"),
        (".:70000", "70000 is not a port"),
        ("a..b", "is not a domain name"),
        ("x" * 64, "is not a domain name"),
        ("10.0.0/24", "neither a domain name nor an address block"),
    ],
)
def test_keys_that_are_refused(text: str, message: str) -> None:
    with pytest.raises(CorefileError, match=r"^Corefile:3:5: ") as caught:
        parse_key(token(text))
    assert message in str(caught.value)


def test_zones_of_a_plugin() -> None:
    assert parse_zones((), ("a.",)) == ("a.",)
    assert parse_zones((token("X.y"), token("10.0.0.0/8")), ("a.",)) == ("x.y.", "10.in-addr.arpa.")


@pytest.mark.parametrize(
    ("name", "zone"),
    [
        ("a.b.c.", "b.c."),
        ("b.c.", "b.c."),
        ("xb.c.", "c."),
        ("d.", "."),
        (".", "."),
        ("a\\.b.c.", "c."),
        ("a\\\\.b.c.", "b.c."),
    ],
)
def test_the_longest_zone_matches(name: str, zone: str) -> None:
    assert match_zone((".", "c.", "b.c."), name) == zone


def test_no_zone_matches() -> None:
    assert match_zone(("b.c.",), "xb.c.") is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5s", 5), ("1m30s", 90), ("500ms", 0.5), ("0", 0), ("1.5h", 5400), (".5s", 0.5), ("10us", 1e-5)],
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(token(text)) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["5", "s", "5 s", "-5s", "5sx", "", "1d"])
def test_durations_that_are_none(text: str) -> None:
    with pytest.raises(CorefileError, match="is not a duration"):
        duration(token(text))


def test_numbers_have_bounds() -> None:
    assert integer(token("5"), least=1, most=5) == 5
    for text in ("0", "6", "x", "1.5"):
        with pytest.raises(CorefileError):
            integer(token(text), least=1, most=5)
