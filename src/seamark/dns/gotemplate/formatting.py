"""``printf``: Go's verbs for text and numbers. Pure. A value that does not fit shows as with Go: ``%!d(string=a)``."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from seamark.dns.gotemplate.values import TemplateError, inner_text, kind_of

_VERB = re.compile(r"%(?P<flags>[-+# 0]*)(?P<width>\d+)?(?:\.(?P<precision>\d*))?(?P<verb>.)?", re.DOTALL)
_WHOLE = {"d": "d", "b": "b", "o": "o", "x": "x", "X": "X"}
_GO_NAMES = {"float": "float64", "slice": "[]interface {}", "map": "map[string]interface {}"}


def go_format(form: str, values: Sequence[Any]) -> str:
    given = list(values)
    found = _VERB.sub(lambda match: _one(match, given), form)
    if not given:
        return found
    extra = ", ".join(f"{_type(value)}={inner_text(value)}" for value in given)
    return f"{found}%!(EXTRA {extra})"


def _one(match: re.Match[str], given: list[Any]) -> str:
    verb = match["verb"]
    if verb is None:
        return "%!(NOVERB)"
    if verb in "[*":
        raise TemplateError(f"printf: '{match[0]}': values are taken in their order, and widths are numbers")
    if verb == "%":
        return "%"
    if not given:
        return f"%!{verb}(MISSING)"
    value = given.pop(0)
    flags = match["flags"]
    precision = None if match["precision"] is None else int(match["precision"] or 0)
    text = _shown(value, verb, flags, precision)
    if text is None:
        return _unfit(value, verb)
    return _padded(text, flags, int(match["width"] or 0), number=kind_of(value) in ("int", "float"))


def _unfit(value: Any, verb: str) -> str:
    return f"%!{verb}({_type(value)}={inner_text(value)})" if value is not None else f"%!{verb}(<nil>)"


def _padded(text: str, flags: str, width: int, *, number: bool) -> str:
    if "-" in flags:
        return text.ljust(width)
    if "0" in flags and number:
        sign = text[:1] if text[:1] in "+- " and text else ""
        return sign + text[len(sign) :].rjust(width - len(sign), "0")
    return text.rjust(width, "0" if "0" in flags else " ")


def _shown(value: Any, verb: str, flags: str, precision: int | None) -> str | None:
    """None where the verb is not for such a value."""
    if verb == "T":
        return _type(value)
    if verb == "v":
        return _signed(inner_text(value), flags) if kind_of(value) in ("int", "float") else inner_text(value)
    match kind_of(value):
        case "string":
            return _of_text(value, verb, flags, precision)
        case "int":
            return _of_whole(value, verb, flags, precision)
        case "float":
            return _of_float(value, verb, flags, precision)
        case "bool":
            return inner_text(value) if verb == "t" else None
        case "slice":
            parts = [(_shown(each, verb, flags, precision), each) for each in value]
            return f"[{' '.join(_unfit(each, verb) if part is None else part for part, each in parts)}]"
    return None


def _of_text(value: str, verb: str, flags: str, precision: int | None) -> str | None:
    cut = value if precision is None else value[:precision]
    if verb == "s":
        return cut
    if verb == "q":
        return f"`{cut}`" if "#" in flags and "`" not in cut else json.dumps(cut, ensure_ascii=False)
    if verb in "xX":
        found = cut.encode().hex(" " if " " in flags else "") if " " in flags else cut.encode().hex()
        return found.upper() if verb == "X" else found
    return None


def _of_whole(value: int, verb: str, flags: str, precision: int | None) -> str | None:
    if verb == "c":
        return chr(value)
    if verb == "q":
        return f"'{chr(value)}'"
    if verb == "U":
        return f"U+{value:04X}"
    if verb not in _WHOLE:
        return None
    digits = f"{abs(value):{_WHOLE[verb]}}"
    digits = digits.rjust(precision or 0, "0")
    front = {"x": "0x", "X": "0X", "o": "0", "b": "0b"}.get(verb, "") if "#" in flags else ""
    return _signed(f"{'-' if value < 0 else ''}{front}{digits}", flags)


def _of_float(value: float, verb: str, flags: str, precision: int | None) -> str | None:
    if verb not in "eEfFgG":
        return None
    if verb in "gG" and precision is None:
        return _signed(inner_text(value), flags)
    found = f"{value:.{6 if precision is None else precision}{'f' if verb == 'F' else verb}}"
    return _signed(found, flags)


def _signed(text: str, flags: str) -> str:
    if text.startswith("-"):
        return text
    return f"+{text}" if "+" in flags else f" {text}" if " " in flags else text


def _type(value: Any) -> str:
    kind = kind_of(value)
    return _GO_NAMES.get(kind, kind)
