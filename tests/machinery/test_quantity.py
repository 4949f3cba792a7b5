"""Quantities against k8s.io/apimachinery 0.36.3's String() and errors."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamark.machinery.quantity import QuantityError, canonical, parse_quantity


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", "0"),
        ("-0", "0"),
        ("1", "1"),
        ("0.5", "500m"),
        ("1.5", "1500m"),
        ("1.500", "1.500"),
        ("2.000", "2"),
        ("250m", "250m"),
        ("1000m", "1"),
        ("0.1m", "100u"),
        ("0.0000000001", "1n"),
        ("-0.00000000001", "-1n"),
        ("1000", "1k"),
        ("1500k", "1500k"),
        ("1Ki", "1Ki"),
        ("1024Ki", "1Mi"),
        ("1.5Gi", "1536Mi"),
        ("0.1Ki", "102400m"),
        (".5Ki", "512"),
        ("1536Mi", "1536Mi"),
        ("128Mi", "128Mi"),
        ("9Ei", "9223372036854775807"),
        ("12e6", "12e6"),
        ("1e3", "1e3"),
        ("1.", "1."),
        ("m", "0"),
    ],
)
def test_canonical(text: str, expected: str) -> None:
    assert canonical(text) == expected


@pytest.mark.parametrize("text", ["", "1.1.M", "1+1.0M", "abc", "1 Mi", "1Mib", "0x1", "٣"])
def test_wrong_format(text: str) -> None:
    with pytest.raises(QuantityError, match=r"^quantities must match the regular expression '\^\(\[\+-\]\?"):
        parse_quantity(text)


@pytest.mark.parametrize("text", ["1i", "1kk", "1e", "1e99999999999", "1mi"])
def test_wrong_suffix(text: str) -> None:
    with pytest.raises(QuantityError, match=r"^unable to parse quantity's suffix$"):
        parse_quantity(text)


def test_a_number_beyond_reason_is_refused() -> None:
    with pytest.raises(QuantityError, match=r"^unable to parse numeric part of quantity$"):
        parse_quantity("9" * 5000)


def test_numbers_of_json_are_quantities() -> None:
    assert str(parse_quantity(2)) == "2"
    assert str(parse_quantity(0.25)) == "250m"
    with pytest.raises(QuantityError):
        parse_quantity(True)


def test_amounts_compare_by_value() -> None:
    assert parse_quantity("1") == parse_quantity("1000m")
    assert hash(parse_quantity("1Ki")) == hash(parse_quantity("1024"))
    assert parse_quantity("1M") < parse_quantity("1Mi")
    assert int(parse_quantity("1.2")) == 2
    assert parse_quantity("0.0015").millis == 2
    assert parse_quantity("-1.5").value == Fraction(-3, 2)


@given(
    st.integers(-(10**6), 10**6),
    st.sampled_from(["n", "u", "m", "", "k", "M", "G", "T", "Ki", "Mi", "Gi", "Ti", "e3", "E-6"]),
)
def test_canonical_form_keeps_the_value(number: int, suffix: str) -> None:
    quantity = parse_quantity(f"{number}{suffix}")
    assert parse_quantity(str(quantity)) == quantity
