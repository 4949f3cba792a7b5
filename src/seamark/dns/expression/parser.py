"""Words of an expression into a tree that was checked (``kinds.Node``). Pure.

One method for each form, in the grammar of expr-lang; how tightly signs bind is ``operators.BINARY``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seamark.dns.expression import predicates
from seamark.dns.expression.builtins import BUILTINS, NOT_HERE
from seamark.dns.expression.calls import called
from seamark.dns.expression.kinds import Expression, Frame, Function, Node, constant, expect, item_kind
from seamark.dns.expression.members import member, member_or_nothing, nothing_caught, sliced
from seamark.dns.expression.operators import (
    BINARY,
    COMPARING,
    JOINING,
    NEGATED,
    RIGHT,
    UNARY,
    binary,
    chosen,
    joined,
    unary,
)
from seamark.dns.expression.tokens import OPERATORS, Words, number_of

MAX_ROW = 256
"""How many signs may stand in one row, but for ``or`` and ``and``."""
CONSTANTS = {"true": True, "false": False, "nil": None}


def parse_expression(
    text: str, functions: Mapping[str, Function], variables: Mapping[str, str] | None = None
) -> Expression:
    """``functions`` ask the environment; of each of the ``variables`` the kind is given, and its value is
    ``env.variables[name]``. Raises ValueError.
    """
    words = Words(text)
    parser = _Parser(words, functions, variables or {})
    found = parser.sequence()
    if words.current.kind != "end":
        raise ValueError(f"unexpected {words.shown}")
    return Expression(found.kind, found.run, parser.slots)


def parse_condition(
    text: str, functions: Mapping[str, Function], variables: Mapping[str, str] | None = None
) -> Expression:
    """One that says yes or no; what is only known to be that when a query comes, is looked at then."""
    found = parse_expression(text, functions, variables)
    if found.kind not in ("bool", "any"):
        raise ValueError(f"the expression has to be a bool, not a {found.kind}")
    return found


def is_reserved(name: str) -> bool:
    """Whether the language has another meaning for the word."""
    known = (BUILTINS, predicates.PREDICATES, NOT_HERE, CONSTANTS, OPERATORS)
    return any(name in words for words in known)


@dataclass(frozen=True, slots=True)
class _Scope:
    """Of a predicate: the kind of ``#`` and of what else it may name, by name."""

    places: predicates.Places
    kinds: Mapping[str, str]

    def slot(self, name: str) -> int:
        return int(getattr(self.places, name or "item"))


class _Parser:
    def __init__(self, words: Words, functions: Mapping[str, Function], variables: Mapping[str, str]) -> None:
        self._words = words
        self._functions = functions
        self._given = variables
        self._variables: dict[str, tuple[int, str]] = {}
        self._scopes: list[_Scope] = []
        self.slots = 0

    def _slot(self) -> int:
        self.slots += 1
        return self.slots - 1

    def sequence(self) -> Node:
        """Expressions with ``;`` between them: the last one counts."""
        found = self.expression()
        while self._words.take(";"):
            if self._words.current.kind == "end":
                break
            found = self.expression()
        return found

    def expression(self) -> Node:
        with self._words.deeper():
            if self._words.take("let"):
                return self._let()
            if self._words.take("if"):
                return self._if()
            found = self._row(0)
            while self._words.take("?"):
                if self._words.take(":"):
                    yes = found
                else:
                    yes = self.expression()
                    self._words.need(":")
                found = chosen(found, yes, self.expression())
            return found

    def _let(self) -> Node:
        name = self._words.word("a variable's name")
        if name in self._functions or name in BUILTINS or name in self._variables or name in self._given:
            raise ValueError(f"'{name}' is something else already")
        self._words.need("=")
        value = self.expression()
        self._words.need(";")
        slot = self._slot()
        self._variables[name] = (slot, value.kind)
        body = self.sequence()
        del self._variables[name]
        assigned, run = value.run, body.run

        def let(frame: Frame) -> Any:
            frame.slots[slot] = assigned(frame)
            return run(frame)

        return Node(body.kind, let)

    def _if(self) -> Node:
        test = self.expression()
        yes = self._braced()
        self._words.need("else")
        return chosen(test, yes, self._if() if self._words.take("if") else self._braced())

    def _braced(self) -> Node:
        self._words.need("{")
        found = self.sequence()
        self._words.need("}")
        return found

    def _row(self, least: int) -> Node:
        """What is bound by signs at least that tight."""
        found = self._primary()
        before = ""
        for _ in range(MAX_ROW):
            sign = self._words.current.text if self._words.current.kind == "sign" else ""
            negated = sign == "not" and self._words.behind() in NEGATED
            sign = self._words.behind() if negated else sign
            if sign == "|" and least == 0:
                self._words.move()
                found = self._postfix(self._call(self._words.word("a function"), (found,)))
                before = sign
                continue
            binds = BINARY.get(sign, -1)
            if binds < max(least, 1):
                if sign == "not":
                    raise ValueError(f"unexpected {self._words.shown}")
                return found
            self._words.move(1 + negated)
            if before == "??" and sign != "??":
                raise ValueError(f"'??' and '{sign}' stand beside each other only with parentheses")
            found = self._behind(found, sign, binds)
            found = unary("not", found) if negated else found
            before = sign
        raise ValueError(f"more than {MAX_ROW} signs in a row")

    def _behind(self, left: Node, sign: str, binds: int) -> Node:
        if sign in JOINING:
            sides = [left, self._row(binds + 1)]
            same = ("or", "||") if sign in ("or", "||") else ("and", "&&")
            while self._words.take(*same):
                sides.append(self._row(binds + 1))
            return joined(sign, sides)
        if sign in RIGHT:
            with self._words.deeper():
                return binary(sign, left, self._row(binds))
        right = self._row(binds + 1)
        found = binary(sign, left, right)
        if sign not in COMPARING:
            return found
        links = [found]
        while following := self._words.take(*COMPARING):  # a < b < c is a < b and b < c
            left, right = right, self._row(binds + 1)
            links.append(binary(following, left, right))
        return joined("and", links) if len(links) > 1 else found

    def _primary(self) -> Node:
        if sign := self._words.take(*UNARY):
            with self._words.deeper():
                return self._postfix(unary(sign, self._row(UNARY[sign])))
        if self._words.take("("):
            found = self.sequence()
            self._words.need(")")
            return self._postfix(found)
        if self._scopes and self._words.current.kind == "item":
            name = self._words.current.text[1:]
            self._words.move()
            return self._postfix(self._item(name))
        if self._scopes and self._words.sees("."):
            return self._postfix(self._item(""))
        self._words.take("::")
        return self._postfix(self._secondary())

    def _item(self, name: str) -> Node:
        scope = self._scopes[-1]
        if name not in scope.kinds:
            raise ValueError(f"'#{name}' is not known here")
        slot = scope.slot(name)
        return Node(scope.kinds[name], lambda frame: frame.slots[slot])

    def _secondary(self) -> Node:
        kind, text = self._words.current
        if self._words.take("["):
            return self._array()
        if self._words.take("{"):
            return self._map()
        if kind not in ("number", "text", "word"):
            raise ValueError(f"unexpected {self._words.shown}")
        self._words.move()
        if kind == "number":
            return constant(number_of(text))
        if kind == "text":
            return constant(text)
        if text in CONSTANTS:
            return constant(CONSTANTS[text])
        return self._call(text, ()) if self._words.sees("(") else self._variable(text)

    def _variable(self, name: str) -> Node:
        if name in self._variables:
            slot, kind = self._variables[name]
            return Node(kind, lambda frame: frame.slots[slot])
        if name in self._given:
            return Node(self._given[name], lambda frame: frame.env.variables[name])
        if name in self._functions or name in BUILTINS:
            raise ValueError(f"'(' is missing behind '{name}'")
        raise self._unknown(name)

    def _unknown(self, name: str) -> ValueError:
        if name in NOT_HERE or name == "$env":
            return ValueError(f"'{name}' is not supported")
        known = ", ".join(sorted({*self._functions, *self._given}))
        return ValueError(f"'{name}' is not known (known: {known}, and the functions of expr-lang)")

    def _call(self, name: str, given: tuple[Node, ...]) -> Node:
        """``given`` is what a ``|`` put in front of the arguments."""
        self._words.need("(")
        if name not in self._functions and name in predicates.PREDICATES:
            return self._predicate(name, given)
        arguments = list(given)
        while not self._words.take(")"):
            if len(arguments) > len(given):
                self._words.need(",")
                if self._words.take(")"):
                    break
            arguments.append(self.expression())
        if name in self._functions:
            return called(name, self._functions[name], arguments, of_environment=True)
        if name in BUILTINS:
            return called(name, BUILTINS[name], arguments)
        raise self._unknown(name)

    def _predicate(self, name: str, given: tuple[Node, ...]) -> Node:
        about = predicates.PREDICATES[name]
        array = given[0] if given else self.expression()
        places = predicates.Places(self._slot(), self._slot(), self._slot())
        test = extra = None
        if not self._words.sees(")") and (given or self._words.take(",")):
            kinds = {"": item_kind(array.kind), "index": "int", "acc": "any"}
            self._scopes.append(_Scope(places, {key: kinds[key] for key in ("", *about.knows)}))
            test = self._braced() if self._words.sees("{") else self.expression()
            self._scopes.pop()
            if about.extra and self._words.take(",") and not self._words.sees(")"):
                extra = self.expression()
        self._words.take(",")
        self._words.need(")")
        return predicates.call(name, array, test, extra, places)

    def _array(self) -> Node:
        items: list[Node] = []
        while not self._words.take("]"):
            if items:
                self._words.need(",")
                if self._words.take("]"):
                    break
            items.append(self.expression())
        kinds = {item.kind for item in items}
        runs = [item.run for item in items]
        kind = kinds.pop() if len(kinds) == 1 else "any"
        return Node(f"[]{kind}", lambda frame: [run(frame) for run in runs], all(item.constant for item in items))

    def _map(self) -> Node:
        pairs: list[tuple[Node, Node]] = []
        while not self._words.take("}"):
            if pairs:
                self._words.need(",")
                if self._words.take("}"):
                    break
            key = self._key()
            self._words.need(":")
            pairs.append((key, self.expression()))
        runs = [(key.run, value.run) for key, value in pairs]
        return Node("map", lambda frame: {key(frame): value(frame) for key, value in runs})

    def _key(self) -> Node:
        kind, text = self._words.current
        if kind in ("number", "text", "word"):
            self._words.move()
            return constant(text)
        if not self._words.sees("("):
            raise ValueError(f"a key is a word, text, a number or something in parentheses, not {self._words.shown}")
        return expect(self.expression(), "string", "a key")

    def _postfix(self, found: Node) -> Node:
        """What hangs on a value: ``.name``, ``[place]``, ``[from:to]``, and the same with ``?.``."""
        chained = False
        while sign := self._words.take(".", "?.", "["):
            optional = sign == "?."
            chained = chained or optional
            if sign == "[" or (optional and self._words.take("[")):
                found = self._bracket(found, optional=optional)
                continue
            kind, name = self._words.current
            if kind not in ("word", "sign") or not name.isidentifier():
                raise ValueError(f"a name is missing behind '{sign}'")
            self._words.move()
            if self._words.sees("("):
                raise ValueError(f"a {found.kind} has no method '{name}'")
            key = constant(name)
            found = member_or_nothing(found, key) if optional else member(found, key)
        return nothing_caught(found) if chained else found

    def _bracket(self, found: Node, *, optional: bool) -> Node:
        first = None if self._words.sees(":") else self.expression()
        if self._words.take(":"):
            last = None if self._words.sees("]") else self.expression()
            self._words.need("]")
            return sliced(found, first, last)
        self._words.need("]")
        assert first is not None
        return member_or_nothing(found, first) if optional else member(found, first)
