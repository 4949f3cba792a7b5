"""Expressions about a query: the part of expr-lang that routing needs. Pure.

``parse_expression`` checks names, counts and types of everything before a query comes, so that an evaluation cannot
fail for the expression's sake; one that fails for its operands' (``incidr`` of no address) is ``ValueError``.

    or, ||   and, &&   not, !   == != < <= > >=   in, not in, matches, contains, startsWith, endsWith   ?:
    'text' "text" 12 true false [a, b] ( ) and the functions of ``FUNCTIONS``
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

Evaluate = Callable[[Any], Any]
"""From the environment (a query) to a value."""

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")|(?P<number>\d+)|(?P<word>[A-Za-z_]\w*)"""
    r"""|(?P<sign>\|\||&&|==|!=|<=|>=|[<>!?:()\[\],]))"""
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_LIMIT = 64
"""How deep parentheses may stand in one another."""


@dataclass(frozen=True, slots=True)
class Function:
    takes: tuple[str, ...]
    gives: str
    call: Callable[..., Any]
    """With the environment in front of the arguments."""


@dataclass(frozen=True, slots=True)
class Expression:
    """``kind`` is string, int, bool, or ``list of`` one of them."""

    kind: str
    evaluate: Evaluate


def parse_expression(text: str, functions: Mapping[str, Function]) -> Expression:
    """A whole expression, which has to be a condition. Raises ValueError."""
    parser = _Parser(_tokens(text), functions)
    found = parser.choice()
    if parser.kind != "end":
        raise ValueError(f"unexpected '{parser.word}'")
    return _expect(found, "bool", "the expression")


def _tokens(text: str) -> list[tuple[str, str]]:
    found, at = [], 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"'{text[at:].strip()[:12]}' is no part of an expression")
        found.append((str(match.lastgroup), str(match[match.lastgroup or 0])))
        at = match.end()
    return found


def _expect(found: Expression, kind: str, where: str) -> Expression:
    if found.kind != kind:
        raise ValueError(f"{where} has to be a {kind}, not a {found.kind}")
    return found


def _constant(kind: str, value: Any) -> Expression:
    return Expression(kind, lambda env: value)


def _binary(kind: str, left: Expression, right: Expression, do: Callable[[Any, Any], Any]) -> Expression:
    a, b = left.evaluate, right.evaluate
    return Expression(kind, lambda env: do(a(env), b(env)))


_ORDERED = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_EQUAL = {"==": operator.eq, "!=": operator.ne}
_OF_TEXT: Mapping[str, Callable[[str, str], bool]] = {
    "contains": lambda text, part: part in text,
    "startsWith": str.startswith,
    "endsWith": str.endswith,
}


class _Parser:
    """One method for each level of binding, the loosest first."""

    def __init__(self, tokens: list[tuple[str, str]], functions: Mapping[str, Function]) -> None:
        self._tokens = tokens
        self._functions = functions
        self._at = 0
        self._depth = 0

    @property
    def kind(self) -> str:
        return self._tokens[self._at][0] if self._at < len(self._tokens) else "end"

    @property
    def word(self) -> str:
        return self._tokens[self._at][1] if self._at < len(self._tokens) else "the end"

    def _take(self, *words: str) -> str:
        """The next token if it is one of these words, else nothing."""
        if self.kind in ("word", "sign") and self.word in words:
            self._at += 1
            return self._tokens[self._at - 1][1]
        return ""

    def _need(self, sign: str) -> None:
        if not self._take(sign):
            raise ValueError(f"'{sign}' is missing before {self.word}")

    def choice(self) -> Expression:
        self._depth += 1
        if self._depth > _LIMIT:
            raise ValueError(f"more than {_LIMIT} expressions in one another")
        found = self._either()
        if self._take("?"):
            test = _expect(found, "bool", "what stands before '?'").evaluate
            yes = self.choice()
            self._need(":")
            no = _expect(self.choice(), yes.kind, "what stands behind ':'").evaluate
            then = yes.evaluate
            found = Expression(yes.kind, lambda env: then(env) if test(env) else no(env))
        self._depth -= 1
        return found

    def _either(self) -> Expression:
        return self._joined(self._both, ("or", "||"), lambda a, b: lambda env: a(env) or b(env))

    def _both(self) -> Expression:
        return self._joined(self._compared, ("and", "&&"), lambda a, b: lambda env: a(env) and b(env))

    def _joined(
        self, side: Callable[[], Expression], signs: tuple[str, ...], join: Callable[[Evaluate, Evaluate], Evaluate]
    ) -> Expression:
        found = side()
        while sign := self._take(*signs):
            before = _expect(found, "bool", f"what stands before '{sign}'").evaluate
            behind = _expect(side(), "bool", f"what stands behind '{sign}'").evaluate
            found = Expression("bool", join(before, behind))
        return found

    def _compared(self) -> Expression:
        found = self._single()
        negated = bool(self._take("not"))
        sign = self._take("in", "matches", *_OF_TEXT, *([] if negated else [*_EQUAL, *_ORDERED]))
        if not sign:
            if negated:
                raise ValueError(f"'in' is missing before {self.word}")
            return found
        compared = self._compare(sign, found, self._single())
        return _negated(compared) if negated else compared

    def _compare(self, sign: str, left: Expression, right: Expression) -> Expression:
        if sign == "in":
            _expect(right, f"list of {left.kind}", "what stands behind 'in'")
            return _binary("bool", left, right, lambda value, values: value in values)
        _expect(right, left.kind, f"what stands behind '{sign}'")
        if sign in _EQUAL:
            return _binary("bool", left, right, _EQUAL[sign])
        if sign in _ORDERED:
            if left.kind not in ("int", "string"):
                raise ValueError(f"'{sign}' compares numbers or strings, not a {left.kind}")
            return _binary("bool", left, right, _ORDERED[sign])
        _expect(left, "string", f"what stands before '{sign}'")
        if sign == "matches":
            return _binary("bool", left, right, _matches)
        return _binary("bool", left, right, _OF_TEXT[sign])

    def _single(self) -> Expression:
        if sign := self._take("not", "!"):
            self._depth += 1
            if self._depth > _LIMIT:
                raise ValueError(f"more than {_LIMIT} expressions in one another")
            found = _negated(_expect(self._single(), "bool", f"what stands behind '{sign}'"))
            self._depth -= 1
            return found
        if self._take("("):
            found = self.choice()
            self._need(")")
            return found
        if self._take("["):
            return self._list()
        kind, word = self.kind, self.word
        self._at += 1
        if kind == "number":
            return _constant("int", int(word))
        if kind == "text":
            return _constant(
                "string", re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), word[1:-1], flags=re.DOTALL)
            )
        if kind == "word":
            return _constant("bool", word == "true") if word in ("true", "false") else self._call(word)
        raise ValueError(f"unexpected {word}")

    def _list(self) -> Expression:
        items: list[Expression] = []
        while not self._take("]"):
            if items:
                self._need(",")
            items.append(self.choice())
            _expect(items[-1], items[0].kind, "each item of a list")
        values = [item.evaluate for item in items]
        kind = items[0].kind if items else "string"
        return Expression(f"list of {kind}", lambda env: [value(env) for value in values])

    def _call(self, name: str) -> Expression:
        function = self._functions.get(name)
        if function is None:
            raise ValueError(f"'{name}' is not known (known: {', '.join(sorted(self._functions))})")
        self._need("(")
        given: list[Evaluate] = []
        for kind in function.takes:
            if given:
                self._need(",")
            given.append(_expect(self.choice(), kind, f"argument {len(given) + 1} of {name}").evaluate)
        self._need(")")
        call = function.call
        return Expression(function.gives, lambda env: call(env, *(value(env) for value in given)))


def _negated(found: Expression) -> Expression:
    evaluate = found.evaluate
    return Expression("bool", lambda env: not evaluate(env))


def _matches(text: str, pattern: str) -> bool:
    try:
        return re.search(pattern, text) is not None
    except re.error as error:
        raise ValueError(f"'{pattern}' is not a regular expression: {error}") from None


def within(env: Any, address: str, cidr: str) -> bool:
    """``incidr``: IPv6 addresses may stand in brackets."""
    found, network = ip_address(address.strip("[]")), ip_network(cidr, strict=False)
    return found.version == network.version and found in network
