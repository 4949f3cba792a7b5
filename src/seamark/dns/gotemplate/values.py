"""What a template looks at: Python's values as Go would see them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from seamark.dns.expression import go_text


class TemplateError(ValueError):
    """What is wrong with a template, or with the values it got."""


class Missing:
    """What a map has for a key that it has not."""


MISSING: Final = Missing()


@dataclass(frozen=True, slots=True)
class Method:
    """A field that takes arguments: text, so many."""

    call: Callable[..., Any]
    arguments: int = 0


class Struct:
    """Named fields, which are functions of nothing, so that nothing is worked out that nobody asks for."""

    def __init__(self, fields: Mapping[str, Callable[[], Any] | Method], text: Callable[[], str] | None = None) -> None:
        """``text`` is how it is shown, where it says so itself."""
        self._fields = fields
        self._text = text

    def field(self, name: str) -> Any:
        """Raises TemplateError."""
        found = self._fields.get(name)
        if found is None:
            raise TemplateError(f"there is no field '{name}' (known: {', '.join(self._fields)})")
        return found if isinstance(found, Method) else found()

    def __str__(self) -> str:
        if self._text is not None:
            return self._text()
        shown = (printed(found()) for found in self._fields.values() if not isinstance(found, Method))
        return f"{{{' '.join(shown)}}}"


def member(value: Any, name: str) -> Any:
    """``value.name``. Raises TemplateError."""
    if isinstance(value, Struct):
        return value.field(name)
    if isinstance(value, dict):
        return value.get(name, MISSING)
    raise TemplateError(f"a {kind_of(value)} has no field '{name}'")


def is_true(value: Any) -> bool:
    """Nothing, zero and the empty are not."""
    return bool(value) and value is not MISSING


def is_array(value: Any) -> bool:
    return isinstance(value, list | range | tuple)


def kind_of(value: Any) -> str:
    names = ((bool, "bool"), (int, "int"), (float, "float"), (str, "string"), (dict, "map"), (Struct, "struct"))
    if is_array(value):
        return "slice"
    return next((name for kind, name in names if isinstance(value, kind)), "nil")


def printed(value: Any) -> str:
    """As ``{{ value }}`` shows it."""
    if value is None or value is MISSING:
        return "<no value>"
    return inner_text(value)


def inner_text(value: Any) -> str:
    """As it is shown within something else."""
    if isinstance(value, Struct):
        return str(value)
    if isinstance(value, Sequence) and not isinstance(value, str) and any(isinstance(each, Struct) for each in value):
        return f"[{' '.join(map(inner_text, value))}]"
    return go_text(None if value is MISSING else value)
