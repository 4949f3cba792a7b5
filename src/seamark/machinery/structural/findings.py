"""What validation finds, in kube-openapi's words: each finding once, and how much of a schema did fit."""

from __future__ import annotations

from typing import Any

from seamark.machinery import fielderrors
from seamark.machinery.status import Cause

_NOWHERE = "<nil>"  # how Go prints the path of the object itself


class Result:
    """``fitted`` counts checks; of alternatives that all fail, the one with the most tells why."""

    __slots__ = ("errors", "fitted")

    def __init__(self) -> None:
        self.errors: dict[str, Cause] = {}
        self.fitted = 0

    @property
    def is_valid(self) -> bool:
        return not self.errors

    def add(self, text: str, cause: Cause) -> None:
        self.errors.setdefault(text, cause)

    def merge(self, other: Result) -> None:
        for text, cause in other.errors.items():
            self.errors.setdefault(text, cause)
        self.fitted += other.fitted


def go_number(value: float) -> str:
    """A number as Go's ``%v`` prints it."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    return str(value)


class Place:
    """Where a value stands. ``base`` is the field around the validated value: empty for a whole object."""

    __slots__ = ("base", "path")

    def __init__(self, base: str, path: str = "") -> None:
        self.base = base
        self.path = path

    def inside(self, step: str) -> Place:
        return Place(self.base, self.path + step)

    def member(self, name: str) -> Place:
        return Place(self.base, f"{self.path}.{name}" if self.path else name)

    @property
    def field(self) -> str:
        inner = self.path.removeprefix(".")
        if self.base and inner:
            return f"{self.base}.{inner}"
        return self.base or inner or _NOWHERE

    def invalid(self, result: Result, text: str, value: Any = "") -> None:
        result.add(text, fielderrors.invalid(self.field, value, text))

    def wrong_type(self, result: Result, wanted: str, shown: str) -> None:
        text = f"{self.path} in body must be of type {wanted}: {fielderrors.quote(shown)}"
        result.add(text, fielderrors.type_invalid(self.field, shown, text))

    def whole(self, result: Result, text: str) -> None:
        """A finding that Kubernetes tells of the validated value as a whole."""
        result.add(text, fielderrors.invalid(self.base or _NOWHERE, "", text))
