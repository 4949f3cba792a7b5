"""Signs of an expression: between which kinds they may stand, and what they do. Pure.

A sign between values of kind ``any`` looks at them when a query comes; ``ValueError`` is that they do not fit.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from seamark.dns.expression.kinds import (
    MAX_WORK,
    Frame,
    Node,
    constant,
    equal,
    expect,
    fits,
    is_array,
    item_kind,
    kind_of,
    wrapped,
)
from seamark.dns.patterns import compile_go

BINARY: Mapping[str, int] = {
    **dict.fromkeys(("or", "||"), 10),
    **dict.fromkeys(("and", "&&"), 15),
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">=", "in", "matches", "contains", "startsWith", "endsWith"), 20),
    "..": 25,
    **dict.fromkeys("+-", 30),
    **dict.fromkeys("*/%", 60),
    **dict.fromkeys(("**", "^"), 100),
    "??": 500,
}
"""How tightly a sign binds."""
UNARY: Mapping[str, int] = {"not": 50, "!": 50, "-": 90, "+": 90}
RIGHT = frozenset({"**", "^"})
"""Those that begin with the last of a row."""
NEGATED = frozenset({"in", "matches", "contains", "startsWith", "endsWith"})
"""What may stand behind ``not``."""
JOINING = frozenset({"or", "||", "and", "&&"})
COMPARING = frozenset({"<", "<=", ">", ">="})


class Sign(NamedTuple):
    between: tuple[str, ...]
    """Patterns: both sides have to be of one of them."""
    gives: str
    """Empty = the kind of its sides."""
    do: Callable[[Any, Any], Any]


def _power(left: float, right: float) -> float:
    try:
        return math.pow(left, right)
    except OverflowError:
        return math.inf
    except ValueError:  # a root of less than nothing; nothing to a negative power
        return math.inf if left == 0 else math.nan


def _divide(left: float, right: float) -> float:
    if right:
        return float(left) / right
    return math.nan if left == 0 or math.isnan(left) else math.copysign(math.inf, left) * math.copysign(1, right)


def _remainder(left: int, right: int) -> int:
    """With the sign of what is divided."""
    found = abs(left) % abs(right)
    return -found if left < 0 else found


def _whole(do: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def arithmetic(left: Any, right: Any) -> Any:
        found = do(left, right)
        return wrapped(found) if isinstance(found, int) else found

    return arithmetic


def _range(first: int, last: int) -> range:
    if last - first >= MAX_WORK:
        raise ValueError(f"{first}..{last} is longer than {MAX_WORK}")
    return range(first, last + 1)


def _matches(text: str, pattern: str) -> bool:
    return compile_go(pattern).search(text) is not None


SIGNS: Mapping[str, Sign] = {
    "+": Sign(("number", "string"), "", _whole(operator.add)),
    "-": Sign(("number",), "", _whole(operator.sub)),
    "*": Sign(("number",), "", _whole(operator.mul)),
    "/": Sign(("number",), "float", _divide),
    "**": Sign(("number",), "float", _power),
    "^": Sign(("number",), "float", _power),
    "%": Sign(("int",), "int", _remainder),
    "..": Sign(("int",), "[]int", _range),
    "<": Sign(("number", "string"), "bool", operator.lt),
    "<=": Sign(("number", "string"), "bool", operator.le),
    ">": Sign(("number", "string"), "bool", operator.gt),
    ">=": Sign(("number", "string"), "bool", operator.ge),
    "contains": Sign(("string",), "bool", lambda text, part: part in text),
    "startsWith": Sign(("string",), "bool", str.startswith),
    "endsWith": Sign(("string",), "bool", str.endswith),
    "matches": Sign(("string",), "bool", _matches),
}


def binary(sign: str, left: Node, right: Node) -> Node:
    """Raises ValueError."""
    if sign in ("==", "!="):
        return _compared(sign, left, right)
    if sign == "in":
        return _contained(left, right)
    if sign == "??":
        return _coalesced(left, right)
    if sign == "matches" and right.constant and right.kind == "string":
        return _matched(left, right)
    between, gives, do = SIGNS[sign]
    if not any(fits(left.kind, pattern) and fits(right.kind, pattern) for pattern in between):
        raise ValueError(f"'{sign}' stands between two {' or '.join(between)}s, not {left.kind} and {right.kind}")
    known = "any" not in (left.kind, right.kind)
    kind = gives or ("any" if not known else "float" if "float" in (left.kind, right.kind) else left.kind)
    return _calculated(kind, left, right, do if known else _looking(sign, between, do))


def _looking(sign: str, between: Sequence[str], do: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def checking(left: Any, right: Any) -> Any:
        kinds = kind_of(left), kind_of(right)
        if not any(all(fits(kind, pattern) for kind in kinds) for pattern in between):
            raise ValueError(f"'{sign}' stands between {kinds[0]} and {kinds[1]}")
        return do(left, right)

    return checking


def _calculated(kind: str, left: Node, right: Node, do: Callable[[Any, Any], Any]) -> Node:
    a, b = left.run, right.run
    return Node(kind, lambda frame: do(a(frame), b(frame)), left.constant and right.constant)


def _compared(sign: str, left: Node, right: Node) -> Node:
    kinds = left.kind, right.kind
    comparable = (
        kinds[0] == kinds[1]
        or "any" in kinds
        or "nil" in kinds
        or all(fits(kind, "number") for kind in kinds)
        or all(fits(kind, "array") for kind in kinds)
    )
    if not comparable:
        raise ValueError(f"'{sign}' compares values of one kind, not {left.kind} and {right.kind}")
    same = operator.eq if kinds == ("string", "string") else equal
    return _calculated("bool", left, right, same if sign == "==" else lambda a, b: not same(a, b))


def _contained(left: Node, right: Node) -> Node:
    if right.kind == "map":
        expect(left, "string", "the key before 'in'")
    elif not fits(right.kind, "array"):
        raise ValueError(f"behind 'in' stands an array or a map, not a {right.kind}")
    items = item_kind(right.kind)
    alike = left.kind == items or {"any", "nil"} & {left.kind, items}
    if right.kind != "map" and not alike and not (fits(left.kind, "number") and fits(items, "number")):
        raise ValueError(f"a {left.kind} is not in an array of {items}s")
    if right.constant and left.kind == items == "string":
        known = frozenset(right.run(Frame(None, [])))
        a = left.run
        return Node("bool", lambda frame: a(frame) in known, left.constant)
    return _calculated("bool", left, right, _is_in)


def _is_in(value: Any, values: Any) -> bool:
    if isinstance(values, dict):
        return value in values
    if values is None:
        return False
    if not is_array(values):
        raise ValueError(f"'in' looks into arrays and maps, not into a {kind_of(values)}")
    return any(equal(each, value) for each in values)


def _coalesced(left: Node, right: Node) -> Node:
    a, b = left.run, right.run
    kind = right.kind if left.kind in ("nil", right.kind) else left.kind if right.kind == "nil" else "any"

    def run(frame: Frame) -> Any:
        found = a(frame)
        return b(frame) if found is None else found

    return Node(kind, run)


def _matched(left: Node, right: Node) -> Node:
    pattern: re.Pattern[str] = compile_go(right.run(Frame(None, [])))
    text = expect(left, "string", "what stands before 'matches'").run
    return Node("bool", lambda frame: pattern.search(text(frame)) is not None, left.constant)


def joined(sign: str, sides: Sequence[Node]) -> Node:
    """A whole row of ``or``, or of ``and``; those behind the one that decides are not looked at."""
    runs = [expect(side, "bool", f"what stands beside '{sign}'").run for side in sides]
    if sign in ("or", "||"):
        return Node("bool", lambda frame: any(run(frame) for run in runs))
    return Node("bool", lambda frame: all(run(frame) for run in runs))


def unary(sign: str, side: Node) -> Node:
    if sign in ("not", "!"):
        run = expect(side, "bool", f"what stands behind '{sign}'").run
        return Node("bool", lambda frame: not run(frame), side.constant)
    number = expect(side, "number", f"what stands behind '{sign}'")
    if sign == "+":
        return number
    run = number.run
    minus = Node(number.kind, lambda frame: _minus(run(frame)), side.constant)
    return constant(minus.run(Frame(None, []))) if side.constant else minus


def _minus(value: Any) -> Any:
    return wrapped(-value) if isinstance(value, int) else -value


def chosen(test: Node, yes: Node, no: Node) -> Node:
    """``TEST ? YES : NO``."""
    decides = expect(test, "bool", "what stands before '?'").run
    kind = yes.kind if no.kind in ("nil", yes.kind) else no.kind if yes.kind == "nil" else "any"
    then, other = yes.run, no.run
    return Node(kind, lambda frame: then(frame) if decides(frame) else other(frame))
