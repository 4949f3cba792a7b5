"""Functions that every template may call. Pure."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from seamark.dns.gotemplate.formatting import go_format
from seamark.dns.gotemplate.values import MISSING, TemplateError, inner_text, is_array, is_true, kind_of, printed

_COMPARABLE = ("bool", "int", "float", "string")
_HTML = {"\0": "\ufffd", '"': "&#34;", "'": "&#39;", "&": "&amp;", "<": "&lt;", ">": "&gt;"}
_JS = {
    "\\": "\\\\",
    "'": "\\'",
    '"': '\\"',
    "<": "\\u003C",
    ">": "\\u003E",
    "&": "\\u0026",
    "=": "\\u003D",
    "\n": "\\u000A",
    "\r": "\\u000D",
    "\t": "\\u0009",
}


@dataclass(frozen=True, slots=True)
class Called:
    """``most`` None = any number of arguments. ``lazy``: it looks at its arguments itself (nodes.value_of)."""

    name: str
    call: Callable[..., Any]
    least: int = 0
    most: int | None = None
    lazy: bool = False

    def __call__(self, arguments: Sequence[Any]) -> Any:
        """Raises TemplateError."""
        number = len(arguments)
        if number < self.least or (self.most is not None and number > self.most):
            wanted = f"at least {self.least}" if self.most is None else f"{self.least}"
            raise TemplateError(f"wrong number of arguments for {self.name}: want {wanted} got {number}")
        return self.call(*arguments)


def _decide(wanted: bool) -> Callable[..., Any]:  # noqa: FBT001 - the one thing that tells and from or
    def decide(*arguments: Any) -> Any:
        """The first that decides, else the last."""
        found: Any = None
        for argument in arguments:
            found = argument.value() if hasattr(argument, "value") else argument
            if is_true(found) is wanted:
                break
        return found

    return decide


def _length(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if is_array(value) or isinstance(value, dict):
        return len(value)
    raise TemplateError(f"len of type {kind_of(value)}")


def _index(value: Any, *places: Any) -> Any:
    for place in places:
        if isinstance(value, dict):
            if not isinstance(place, str):
                raise TemplateError(f"a map is indexed by a string, not a {kind_of(place)}")
            value = value.get(place, "" if all(isinstance(each, str) for each in value.values()) else None)
        elif is_array(value) or isinstance(value, str):
            at = _place(place, len(value) - 1)
            value = value.encode()[at] if isinstance(value, str) else value[at]
        else:
            raise TemplateError(f"can't index item of type {kind_of(value)}")
    return value


def _place(place: Any, most: int) -> int:
    if isinstance(place, bool) or not isinstance(place, int):
        raise TemplateError(f"cannot index slice/array with type {kind_of(place)}")
    if not 0 <= place <= most:
        raise TemplateError(f"index out of range: {place}")
    return place


def _slice(value: Any, *places: Any) -> Any:
    if not (isinstance(value, str) or is_array(value)) or len(places) > 2:
        raise TemplateError(f"can't slice item of type {kind_of(value)}")
    found = [_place(place, len(value)) for place in places]
    start, end = (found[0] if found else 0), (found[1] if len(found) > 1 else len(value))
    if start > end:
        raise TemplateError(f"invalid slice index: {start} > {end}")
    return value[start:end]


def _print(*values: Any) -> str:
    """A space between two values that are no text."""
    out: list[str] = []
    for at, value in enumerate(values):
        if at and not isinstance(value, str) and not isinstance(values[at - 1], str):
            out.append(" ")
        out.append(inner_text(value))
    return "".join(out)


def _println(*values: Any) -> str:
    return " ".join(map(inner_text, values)) + "\n"


def _escaped(escapes: Mapping[str, str]) -> Callable[..., str]:
    def escape(*values: Any) -> str:
        text = _joined(values)
        return "".join(escapes.get(char, char) for char in text)

    return escape


def _joined(values: Sequence[Any]) -> str:
    return printed(values[0]) if len(values) == 1 else _print(*values)


def _urlquery(*values: Any) -> str:
    return quote(_joined(values), safe="-_.~ ").replace(" ", "+")


def _kind(value: Any) -> str:
    kind = kind_of(value)
    if kind not in _COMPARABLE:
        raise TemplateError(
            "non-comparable type" if value is not None and value is not MISSING else "incompatible types"
        )
    return kind


def _equal(first: Any, *others: Any) -> bool:
    if not others:
        raise TemplateError("missing argument for comparison")
    if first is None or first is MISSING:
        return any(other is None or other is MISSING for other in others)
    for other in others:
        if other is None or other is MISSING:
            continue
        if _kind(first) != _kind(other):
            raise TemplateError("incompatible types for comparison")
        if first == other:
            return True
    return False


def _less(compare: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compared(left: Any, right: Any) -> bool:
        if _kind(left) != _kind(right):
            raise TemplateError("incompatible types for comparison")
        if isinstance(left, bool):
            raise TemplateError("invalid type for comparison")
        return compare(left, right)

    return compared


def _format(form: Any, *values: Any) -> str:
    if not isinstance(form, str):
        raise TemplateError(f"wrong type for value; expected string; got {kind_of(form)}")
    return go_format(form, values)


BUILTINS: Mapping[str, Called] = {
    each.name: each
    for each in (
        Called("and", _decide(False), 1, lazy=True),
        Called("or", _decide(True), 1, lazy=True),
        Called("not", lambda value: not is_true(value), 1, 1),
        Called("len", _length, 1, 1),
        Called("index", _index, 1),
        Called("slice", _slice, 1),
        Called("print", _print),
        Called("println", _println),
        Called("printf", _format, 1),
        Called("html", _escaped(_HTML)),
        Called("js", _escaped(_JS)),
        Called("urlquery", _urlquery),
        Called("eq", _equal, 1),
        Called("ne", lambda left, right: not _equal(left, right), 2, 2),
        Called("lt", _less(operator.lt), 2, 2),
        Called("le", _less(operator.le), 2, 2),
        Called("gt", _less(operator.gt), 2, 2),
        Called("ge", _less(operator.ge), 2, 2),
    )
}
