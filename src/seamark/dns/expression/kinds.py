"""What values of an expression may be, and the two things made of it: nodes of the tree, and functions. Pure.

A kind is ``bool``, ``int``, ``float``, ``string``, ``nil``, ``map``, ``[]`` and the kind of its items, or ``any``,
which is only known when a query comes. A pattern, which says what may stand somewhere, is a kind or ``number``,
``numbers`` (one or an array), ``array``, ``sized`` (has a length), ``scalar`` (a number or text), ``value`` (anything).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

MAX_WORK = 1_000_000
"""How many items one evaluation may go through, and how many a value may have."""
MAX_INT = 1 << 63
_GROUPS = {
    "number": ("int", "float"),
    "scalar": ("int", "float", "string"),
}


@dataclass(slots=True)
class Frame:
    """One evaluation: whom functions are asked about, and what variables stand for."""

    env: Any
    slots: list[Any]
    work: int = 0

    def spend(self, items: int) -> None:
        self.work += items
        if self.work > MAX_WORK:
            raise ValueError(f"more than {MAX_WORK} items")


@dataclass(frozen=True, slots=True)
class Node:
    """``constant``: what it gives is the same for everybody."""

    kind: str
    run: Callable[[Frame], Any]
    constant: bool = False


@dataclass(frozen=True, slots=True)
class Function:
    """``takes`` are patterns; those that end in ``?`` may be left out, and one in ``*`` may come any number of times.
    ``gives`` is a kind, or makes one of the arguments' kinds.
    """

    takes: tuple[str, ...]
    gives: str | Callable[..., str]
    call: Callable[..., Any]
    """With the environment in front of the arguments, where the environment gives the function."""


@dataclass(frozen=True, slots=True)
class Expression:
    kind: str
    _run: Callable[[Frame], Any]
    _slots: int = field(default=0)

    def evaluate(self, env: Any) -> Any:
        """Raises ValueError where it has no value for this environment."""
        try:
            return self._run(Frame(env, [None] * self._slots))
        except (ArithmeticError, AttributeError, LookupError, TypeError, RecursionError) as error:
            raise ValueError(str(error)) from error


def constant(value: Any) -> Node:
    return Node(kind_of(value), lambda frame: value, constant=True)


def kind_of(value: Any) -> str:
    match value:
        case None:
            return "nil"
        case bool():
            return "bool"
        case int():
            return "int"
        case float():
            return "float"
        case str():
            return "string"
        case dict():
            return "map"
        case range():
            return "[]int"
        case list():
            return "[]any"
    raise ValueError(f"a {type(value).__name__} is no value of an expression")


def fits(kind: str, pattern: str) -> bool:
    """Whether a value of that kind may stand where the pattern is; ``any`` may, until it is looked at."""
    if kind in ("any", pattern) or pattern in ("value", "any"):
        return True
    if pattern == "array":
        return kind.startswith("[]")
    if pattern == "numbers":
        return kind.startswith("[]") or kind in _GROUPS["number"]
    if pattern == "sized":
        return kind.startswith("[]") or kind in ("string", "map")
    return kind in _GROUPS.get(pattern, ())


def checked(value: Any, pattern: str, where: str) -> Any:
    """The value, if it is of that pattern. Raises ValueError."""
    kind = kind_of(value)
    if not fits(kind, pattern):
        raise ValueError(f"{where} has to be a {pattern}, not a {kind}")
    return value


def expect(node: Node, pattern: str, where: str) -> Node:
    """The node, if it is of that pattern; one that is only known later is looked at then. Raises ValueError."""
    if not fits(node.kind, pattern):
        raise ValueError(f"{where} has to be a {pattern}, not a {node.kind}")
    if node.kind != "any" or pattern in ("value", "any"):
        return node
    run = node.run
    kind = pattern if pattern in ("bool", "int", "string", "float", "map") else "any"
    return Node(kind, lambda frame: checked(run(frame), pattern, where), node.constant)


def item_kind(kind: str) -> str:
    """Of an array's items."""
    return kind[2:] if kind.startswith("[]") else "any"


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_array(value: Any) -> bool:
    return isinstance(value, list | range)


def wrapped(value: int) -> int:
    """As a whole number of 64 bits."""
    return (value + MAX_INT) % (2 * MAX_INT) - MAX_INT


def equal(left: Any, right: Any) -> bool:
    """Numbers compare with numbers, everything else with its own kind."""
    if is_number(left) and is_number(right):
        return bool(left == right)
    if is_array(left) and is_array(right):
        return len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equal(value, right[key]) for key, value in left.items())
    return type(left) is type(right) and bool(left == right)
