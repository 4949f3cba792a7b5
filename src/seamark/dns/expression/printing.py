"""Values as Go prints them (``%v``): what ``string()`` of an expression and a template's ``{{ }}`` show. Pure."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

_SMALL, _LARGE = -4, 6
"""Below and from which power of ten on a number has an exponent."""


def go_text(value: Any) -> str:
    match value:
        case None:
            return "<nil>"
        case bool():
            return "true" if value else "false"
        case float():
            return _float(value)
        case dict():
            return f"map[{' '.join(f'{go_text(key)}:{go_text(value[key])}' for key in sorted(value, key=str))}]"
        case list() | range() | tuple():
            return f"[{' '.join(map(go_text, value))}]"
    return str(value)


def _float(value: float) -> str:
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else f"{'+' if value > 0 else '-'}Inf"
    shortest = Decimal(repr(value)).normalize()
    power = shortest.adjusted()
    if not value or _SMALL <= power < _LARGE:
        return f"{shortest:f}"
    return f"{shortest.scaleb(-power):f}e{power:+03d}"
