"""resource.Quantity: parsed exactly, compared as a number, shown in canonical form.

The value is a whole number of nanos, which is the API's own precision: anything finer is rounded away from zero
(k8s.io/apimachinery/pkg/api/resource). Binary suffixes are capped at 2**63-1 as there. Refuses exponents whose
number nobody can mean (beyond 10**400), so that a short text cannot make a huge integer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

Format = Literal["DecimalSI", "BinarySI", "DecimalExponent"]

_SHAPE = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?([eEinumkKMGTP]*[-+]?[0-9]*)")
_PATTERN = "^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$"
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL_SUFFIX = {exponent: suffix for suffix, exponent in _DECIMAL.items()}
_BINARY_SUFFIX = {exponent: suffix for suffix, exponent in _BINARY.items()} | {0: ""}
_EXPONENT = re.compile(r"[eE]([+-]?[0-9]+)")
_NANO = 10**9
_BINARY_CAP = (2**63 - 1) * _NANO
_EXACT_DIGITS = 18  # what fits an int64, so that Go keeps the text as written
_MAX_EXPONENT = 400


class QuantityError(ValueError):
    """The text is no quantity."""


@dataclass(frozen=True, slots=True, eq=False)
class Quantity:
    """Equal and ordered by value: ``1`` and ``1000m`` are the same amount."""

    nanos: int
    format: Format
    text: str = ""  # as written, when the API would keep it so

    @property
    def value(self) -> Fraction:
        return Fraction(self.nanos, _NANO)

    @property
    def millis(self) -> int:
        """Rounded up to whole thousandths: CPU shares."""
        return -(-self.nanos // 10**6)

    def __int__(self) -> int:
        """Rounded up to whole units: bytes."""
        return -(-self.nanos // _NANO)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quantity) and self.nanos == other.nanos

    def __hash__(self) -> int:
        return hash(self.nanos)

    def __lt__(self, other: Quantity) -> bool:
        return self.nanos < other.nanos

    def __le__(self, other: Quantity) -> bool:
        return self.nanos <= other.nanos

    def __str__(self) -> str:
        return self.text or _canonical(self.nanos, self.format)


def parse_quantity(value: str | int | float) -> Quantity:
    """``"1536Mi"``, ``"250m"``, ``0.5``, ``"12e6"``; a JSON number is read by its digits."""
    text = str(value)
    if isinstance(value, bool) or not text:
        raise QuantityError(f"quantities must match the regular expression '{_PATTERN}'")
    found = _SHAPE.fullmatch(text)
    if found is None:
        raise QuantityError(f"quantities must match the regular expression '{_PATTERN}'")
    # No digits at all ("m", "-") is zero, as Go reads it.
    sign, whole, fraction, suffix = found[1], found[2].lstrip("0") or "0", found[3] or "", found[4]
    form, exponent = _read_suffix(suffix)
    if len(whole) + len(fraction) > _MAX_EXPONENT:
        raise QuantityError("unable to parse numeric part of quantity")
    nanos, form = _scale(int(whole + fraction), exponent, len(fraction), form)
    kept = _is_kept((whole, fraction), exponent, form)
    return Quantity(-nanos if sign == "-" else nanos, form, text if kept and nanos else "")


def canonical(value: str | int | float) -> str:
    """The text that the API gives back: ``0.5`` → ``500m``, ``1024Ki`` → ``1Mi``."""
    return str(parse_quantity(value))


def _read_suffix(suffix: str) -> tuple[Format, int]:
    if suffix in _DECIMAL:
        return "DecimalSI", _DECIMAL[suffix]
    if suffix in _BINARY:
        return "BinarySI", _BINARY[suffix]
    found = _EXPONENT.fullmatch(suffix)
    if found is None or len(found[1]) > 9 or abs(int(found[1])) > _MAX_EXPONENT:
        raise QuantityError("unable to parse quantity's suffix")
    return "DecimalExponent", int(found[1])


def _scale(digits: int, exponent: int, places: int, form: Format) -> tuple[int, Format]:
    """Digits with their suffix as whole nanos, rounded up; small binary amounts turn decimal."""
    if form == "BinarySI":
        amount = Fraction((digits << exponent) * _NANO, 10**places)
    else:
        amount = digits * Fraction(10) ** (exponent - places + 9)
    nanos = -(-amount.numerator // amount.denominator)
    if form != "BinarySI":
        return nanos, form
    return min(nanos, _BINARY_CAP), "DecimalSI" if 0 < nanos < _NANO else form


def _is_kept(number: tuple[str, str], exponent: int, form: Format) -> bool:
    """Whether Go's fast path keeps the text as written (``1.500`` stays, ``1.5`` becomes ``1500m``)."""
    whole, fraction = number
    if form == "BinarySI":
        fits = 15 - len(whole) - int(exponent * 0.3) - 1 >= 0
        return fits and not fraction and int(whole) & 7 != 0
    digits, scale = whole + fraction, exponent - len(fraction)
    fits = len(digits) <= _EXACT_DIGITS and scale >= -9
    return fits and scale % 3 == 0 and not digits.endswith("000") and digits[0] != "0"


def _canonical(nanos: int, form: Format) -> str:
    if nanos == 0:
        return "0"
    if form == "BinarySI" and abs(nanos) >= 1024 * _NANO and nanos % _NANO == 0:
        units, exponent = nanos // _NANO, 0
        while units % 1024 == 0 and exponent < 60:
            units, exponent = units // 1024, exponent + 10
        return f"{units}{_BINARY_SUFFIX[exponent]}"
    mantissa, exponent = nanos, -9
    while mantissa % 1000 == 0 and (form == "DecimalExponent" or exponent < 18):
        mantissa, exponent = mantissa // 1000, exponent + 3
    if form == "DecimalExponent":
        return f"{mantissa}e{exponent}" if exponent else str(mantissa)
    return f"{mantissa}{_DECIMAL_SUFFIX[exponent]}"
