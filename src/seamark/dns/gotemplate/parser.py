"""A template's pieces into its tree. Pure.

Unknown functions and variables are refused here, and fields of the root that nobody knows: Go tells of those with every
query.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from seamark.dns.expression.tokens import number_of, unescape
from seamark.dns.gotemplate.functions import BUILTINS, Called
from seamark.dns.gotemplate.nodes import (
    Action,
    Body,
    Branch,
    Command,
    Included,
    Loop,
    Node,
    Operand,
    Pipeline,
    Template,
    Text,
    through,
    value_of,
)
from seamark.dns.gotemplate.tokens import Piece, Token, pieces_of
from seamark.dns.gotemplate.values import TemplateError

MAX_DEPTH = 50
KEYWORDS = frozenset({"if", "else", "end", "range", "with", "define", "template", "block", "break", "continue"})


def parse_template(text: str, functions: Mapping[str, Called], fields: Collection[str]) -> Template:
    """``fields`` are the root's. Raises TemplateError."""
    parser = _Parser(list(pieces_of(text)), {**BUILTINS, **functions}, fields)
    try:
        return Template(parser.whole())
    except ValueError as error:
        raise error if isinstance(error, TemplateError) else TemplateError(str(error)) from error


class _Words:
    """A place among the words of one action."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens
        self._at = 0

    @property
    def next(self) -> Token:
        return self._tokens[self._at]

    def sees(self, *texts: str) -> bool:
        return self.next.kind in ("word", "sign") and self.next.text in texts

    def behind(self) -> str:
        return self._tokens[min(self._at + 1, len(self._tokens) - 1)].text

    def take(self) -> Token:
        found = self.next
        self._at += found.kind != "end"
        return found

    def taken(self, text: str) -> bool:
        if self.sees(text):
            self._at += 1
            return True
        return False

    def need_end(self, where: str) -> None:
        if self.next.kind != "end":
            raise TemplateError(f"unexpected '{self.next.text}' in {where}")


class _Parser:
    def __init__(self, pieces: list[Piece], functions: Mapping[str, Called], fields: Collection[str]) -> None:
        self._pieces = pieces
        self._at = 0
        self._functions = functions
        self._fields = fields
        self._variables = ["$"]
        self._defined: dict[str, Body] = {}
        self._loops = self._depth = 0
        self._rooted = True

    def whole(self) -> Body:
        body, ending = self._body()
        if ending is not None:
            raise TemplateError(f"unexpected '{ending.take().text}'")
        return body

    @contextmanager
    def _within(self, *, rooted: bool, loop: bool = False) -> Iterator[None]:
        """A block: its variables end with it, and its dot may not be the root."""
        known, was, loops = len(self._variables), self._rooted, self._loops
        self._rooted, self._loops = rooted, loops + loop
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise TemplateError(f"more than {MAX_DEPTH} blocks in one another")
        yield
        self._depth -= 1
        del self._variables[known:]
        self._rooted, self._loops = was, loops

    def _body(self) -> tuple[Body, _Words | None]:
        """Up to an ``end`` or ``else``, the words of which are given, or to the end of all."""
        nodes: list[Node] = []
        while self._at < len(self._pieces):
            piece = self._pieces[self._at]
            self._at += 1
            if piece.action is None:
                nodes += [Text(piece.text)] if piece.text else []
                continue
            words = _Words(piece.action)
            if words.sees("end", "else"):
                return Body(tuple(nodes)), words
            nodes += self._action(words)
        return Body(tuple(nodes)), None

    def _action(self, words: _Words) -> list[Node]:
        word = words.next.text if words.next.kind == "word" else ""
        if word in ("if", "with", "range"):
            words.take()
            return [self._branch(word, words)]
        if word in ("break", "continue"):
            words.take()
            words.need_end(word)
            if not self._loops:
                raise TemplateError(f"{word} outside of a range")
            return [Loop(word)]
        if word == "define":
            self._define(words)
            return []
        if word in ("template", "block"):
            words.take()
            return [self._included(word, words)]
        pipeline = self._pipeline(words, "an action")
        words.need_end("an action")
        return [Action(pipeline)]

    def _branch(self, word: str, words: _Words) -> Branch:
        rooted = self._rooted
        with self._within(rooted=rooted):
            pipeline = self._pipeline(words, word, most=2 if word == "range" else 1)
            words.need_end(word)
            with self._within(rooted=rooted and word == "if", loop=word == "range"):
                body, ending = self._body()
            otherwise = None
            if ending is not None and ending.taken("else"):
                if word != "range" and ending.sees("if", "with"):
                    otherwise = Body((self._branch(ending.take().text, ending),))
                    return Branch(word, pipeline, body, otherwise)
                ending.need_end("else")
                with self._within(rooted=rooted):
                    otherwise, ending = self._body()
            self._close(ending, word)
            return Branch(word, pipeline, body, otherwise)

    def _close(self, ending: _Words | None, word: str) -> None:
        if ending is None or not ending.taken("end"):
            raise TemplateError(f"'{{{{end}}}}' is missing behind '{word}'")
        ending.need_end("end")

    def _define(self, words: _Words) -> None:
        if self._depth:
            raise TemplateError("define stands within something else")
        words.take()
        name = self._name(words, "define")
        words.need_end("define")
        self._inner(name, "define")

    def _inner(self, name: str, word: str) -> None:
        """The body of another template."""
        outer, self._variables = self._variables, ["$"]
        with self._within(rooted=False):
            self._defined[name], ending = self._body()
        self._variables = outer
        self._close(ending, word)

    def _included(self, word: str, words: _Words) -> Included:
        shown = words.next.text
        name = self._name(words, word)
        pipeline = self._pipeline(words, word) if words.next.kind != "end" else None
        words.need_end(word)
        if word == "block":
            self._inner(name, word)
        return Included(shown, name, pipeline, self._defined)

    def _name(self, words: _Words, word: str) -> str:
        token = words.take()
        if token.kind != "text":
            raise TemplateError(f"{word} takes a name in quotes")
        return _text(token.text)

    def _pipeline(self, words: _Words, where: str, *, most: int = 1) -> Pipeline:
        names, declares = self._declared(words, most)
        commands = [self._command(words, where, piped=False)]
        while words.taken("|"):
            commands.append(self._command(words, where, piped=True))
        self._variables += names if declares else ()
        return Pipeline(tuple(names), declares, tuple(commands))

    def _declared(self, words: _Words, most: int) -> tuple[list[str], bool]:
        """Variables in front of ``:=`` or ``=``."""
        names: list[str] = []
        while words.next.kind == "variable" and words.behind() in (":=", "=", ","):
            names.append(words.take().text)
            if not words.taken(","):
                break
        if not names:
            return names, False
        declares = words.take().text == ":="
        if len(names) > most:
            raise TemplateError(f"too many variables before '{':=' if declares else '='}'")
        for name in names:
            if not declares and name not in self._variables:
                raise TemplateError(f"undefined variable '{name}'")
        return names, declares

    def _command(self, words: _Words, where: str, *, piped: bool) -> Command:
        operands: list[Operand] = []
        while not (words.next.kind == "end" or words.sees("|", ")")):
            operands.append(self._operand(words))
        if not operands:
            raise TemplateError(f"missing value for {where}")
        if operands[0].shown == "nil":
            raise TemplateError("nil is not a command")
        if operands[0].call is None and (piped or (len(operands) > 1)):
            raise TemplateError(f"can't give argument to non-function {operands[0]}")
        return Command(tuple(operands))

    def _operand(self, words: _Words) -> Operand:
        token = words.take()
        names: list[str] = []
        start: Operand
        if token.kind == "field":
            names.append(token.text[1:])
            start = Operand("", lambda frame: frame.dot)
        else:
            start = self._term(token, words)
        while words.next.kind == "field" and words.next.close:
            names.append(words.take().text[1:])
        if not names:
            return start
        if (start.shown == "$" or (token.kind == "field" and self._rooted)) and names[0] not in self._fields:
            raise TemplateError(
                f"there is no field '.{names[0]}' (known: {', '.join(f'.{name}' for name in self._fields)})"
            )
        if token.kind in ("text", "number", "char"):
            raise TemplateError(f"unexpected '.{names[0]}' behind {token.text}")
        return through("".join([start.shown, *(f".{name}" for name in names)]), start.get, names)

    def _term(self, token: Token, words: _Words) -> Operand:
        text = token.text
        if token.kind == "text":
            return _constant(text, _text(text))
        if token.kind == "char":
            return _constant(text, ord(_text(f'"{text[1:-1]}"')))
        if token.kind == "number":
            sign = -1 if text.startswith("-") else 1
            return _constant(text, sign * number_of(text.lstrip("+-")))
        if token.kind == "variable":
            if text not in self._variables:
                raise TemplateError(f"undefined variable '{text}'")
            return Operand(text, lambda frame: frame.find(text))
        if text == ".":
            return Operand(text, lambda frame: frame.dot)
        if text == "(":
            with self._within(rooted=self._rooted):
                inner = self._pipeline(words, "parentheses")
            if not words.taken(")"):
                raise TemplateError("')' is missing")
            return Operand(f"({inner})", inner.run)
        if token.kind == "word":
            return self._function(text)
        raise TemplateError(f"unexpected '{text}'" if text else "a value is missing")

    def _function(self, name: str) -> Operand:
        if name in ("true", "false", "nil"):
            return _constant(name, {"true": True, "false": False}.get(name))
        function = self._functions.get(name)
        if function is None or name in KEYWORDS:
            raise TemplateError(f"function '{name}' is not defined (known: {', '.join(sorted(self._functions))})")
        if function.lazy:
            return Operand(name, lambda frame: function([]), lambda frame, given: function(given))
        return Operand(name, lambda frame: function([]), lambda frame, given: function([*map(value_of, given)]))


def _constant(shown: str, value: object) -> Operand:
    return Operand(shown, lambda frame: value)


def _text(quoted: str) -> str:
    return quoted[1:-1] if quoted[0] == "`" else unescape(quoted[1:-1])
