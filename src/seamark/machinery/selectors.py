"""Label and field selectors: parsed from a request's text or an object's selector, matched against labels.

The grammar and the wording of errors are those of k8s.io/apimachinery/pkg/{labels,fields}; a ``SelectorError`` is
the 400 that the API answers. ``selector_from(None)`` matches nothing, ``selector_from({})`` everything, as
metav1.LabelSelectorAsSelector has it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from seamark.machinery import fielderrors, names
from seamark.machinery.status import Cause, StatusError

_BINARY = ("in", "notin", "=", "==", "!=", "gt", "lt")
_SYMBOLS = {"=": "=", "==": "==", "!=": "!=", ">": "gt", "<": "lt", "in": "in", "notin": "notin"}
_EXPRESSION_OPERATORS = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}
_INTEGER = re.compile(r"[+-]?[0-9]+")


class SelectorError(StatusError):
    """A selector that cannot be read; ``message`` has client-go's words."""

    def __init__(self, message: str) -> None:
        super().__init__(400, "BadRequest", message)


@dataclass(frozen=True, slots=True)
class Requirement:
    """One term. ``operator`` is one of ``= == != in notin exists ! gt lt``; ``values`` are sorted and distinct."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case "exists":
                return value is not None
            case "!":
                return value is None
            case "notin" | "!=":
                return value not in self.values
            case "gt" | "lt":
                return value is not None and self._compares(value)
        return value is not None and value in self.values

    def _compares(self, value: str) -> bool:
        if not _INTEGER.fullmatch(value):
            return False
        left, right = int(value), int(self.values[0])
        return left > right if self.operator == "gt" else left < right

    def __str__(self) -> str:
        match self.operator:
            case "exists":
                return self.key
            case "!":
                return f"!{self.key}"
            case "in" | "notin":
                return f"{self.key} {self.operator} ({','.join(self.values)})"
            case "gt" | "lt":
                return f"{self.key}{'>' if self.operator == 'gt' else '<'}{self.values[0]}"
        return f"{self.key}{self.operator}{self.values[0]}"


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """All requirements must hold; none = everything, unless ``nothing`` (a selector that is absent)."""

    requirements: tuple[Requirement, ...] = ()
    nothing: bool = False

    def matches(self, labels: Mapping[str, str] | None) -> bool:
        labels = labels or {}
        return not self.nothing and all(requirement.matches(labels) for requirement in self.requirements)

    @property
    def everything(self) -> bool:
        return not self.nothing and not self.requirements

    def __str__(self) -> str:
        return ",".join(str(requirement) for requirement in self.requirements)


EVERYTHING = LabelSelector()
NOTHING = LabelSelector(nothing=True)


class FieldTerm(NamedTuple):
    """``op`` is ``=`` or ``!=``."""

    field: str
    op: str
    value: str


def make_requirement(key: str, operator: str, values: Iterable[str] = ()) -> Requirement:
    """A checked requirement, or SelectorError listing everything wrong with it."""
    wanted = tuple(sorted(set(values)))
    causes: list[Cause] = []
    if messages := names.validate_qualified_name(key):
        causes.append(fielderrors.invalid("key", key, "; ".join(messages)))
    causes += _value_count(operator, wanted)
    for index, value in enumerate(wanted):
        if messages := names.validate_label_value(value):
            causes.append(fielderrors.invalid(f"values[{index}][{key}]", value, "; ".join(messages)))
    if causes:
        texts = [f"{cause.field}: {cause.message}" for cause in causes]
        raise SelectorError(texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]")
    return Requirement(key, operator, wanted)


def _value_count(operator: str, values: Sequence[str]) -> list[Cause]:
    shown = list(values)
    if operator in ("in", "notin") and not values:
        return [fielderrors.invalid("values", shown, "for 'in', 'notin' operators, values set can't be empty")]
    if operator in ("=", "==", "!=") and len(values) != 1:
        return [fielderrors.invalid("values", shown, "exact-match compatibility requires one single value")]
    if operator in ("exists", "!") and values:
        return [fielderrors.invalid("values", shown, "values set must be empty for exists and does not exist")]
    if operator not in ("gt", "lt"):
        return []
    if len(values) != 1:
        return [fielderrors.invalid("values", shown, "for 'Gt', 'Lt' operators, exactly one value is required")]
    if not _INTEGER.fullmatch(values[0]):
        detail = "for 'Gt', 'Lt' operators, the value must be an integer"
        return [fielderrors.invalid("values[0]", values[0], detail)]
    return []


def parse_label_selector(text: str) -> LabelSelector:
    """``app=web,tier in (a,b),!old``: requirements sorted by key."""
    requirements = _Parser(text).selector()
    return LabelSelector(tuple(sorted(requirements, key=lambda r: r.key)))


def selector_from(obj: Mapping[str, Any] | None) -> LabelSelector:
    """A metav1.LabelSelector (matchLabels, matchExpressions). None selects nothing."""
    if obj is None:
        return NOTHING
    found = [make_requirement(key, "=", [value]) for key, value in (obj.get("matchLabels") or {}).items()]
    for expression in obj.get("matchExpressions") or ():
        operator = str(expression.get("operator", ""))
        if operator not in _EXPRESSION_OPERATORS:
            raise SelectorError(f"{fielderrors.quote(operator)} is not a valid label selector operator")
        values = expression.get("values") or ()
        found.append(make_requirement(str(expression.get("key", "")), _EXPRESSION_OPERATORS[operator], values))
    return LabelSelector(tuple(sorted(found, key=lambda r: r.key)))


def selector_from_labels(labels: Mapping[str, str] | None) -> LabelSelector:
    """A Service's or ReplicationController's plain map of labels; empty or absent selects nothing."""
    if not labels:
        return NOTHING
    return LabelSelector(tuple(Requirement(key, "=", (value,)) for key, value in sorted(labels.items())))


_TOKEN = re.compile(r"[ \t\r\n]*(?:(?P<symbol>==|!=|[=!(),<>])|(?P<word>[^=!(),<> \t\r\n]+)|$)")
_WORD, _END = "word", ""


class _Parser:
    """Recursive descent over (kind, text) tokens; kind is the symbol itself, ``word``, or ``""`` at the end."""

    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        for found in _TOKEN.finditer(text):
            symbol, word = found["symbol"], found["word"]
            self._tokens.append((symbol or (_WORD if word else _END), symbol or word or ""))
        self._position = 0

    def _peek(self) -> tuple[str, str]:
        return self._tokens[min(self._position, len(self._tokens) - 1)]

    def _next(self) -> tuple[str, str]:
        token = self._peek()
        self._position += 1
        return token

    def selector(self) -> list[Requirement]:
        found: list[Requirement] = []
        while True:
            kind, text = self._peek()
            if kind == _END:
                return found
            if kind not in (_WORD, "!"):
                raise SelectorError(f"found '{text}', expected: !, identifier, or 'end of string'")
            found.append(self._checked_requirement())
            kind, text = self._next()
            if kind == _END:
                return found
            if kind != ",":
                raise SelectorError(f"found '{text}', expected: ',' or 'end of string'")
            kind, text = self._peek()
            if kind not in (_WORD, "!"):
                raise SelectorError(f"found '{text}', expected: identifier after ','")

    def _checked_requirement(self) -> Requirement:
        try:
            return self._requirement()
        except SelectorError as error:
            raise SelectorError(f"unable to parse requirement: {error.message}") from None

    def _requirement(self) -> Requirement:
        kind, text = self._next()
        absent = kind == "!"
        if absent:
            kind, text = self._next()
        if kind != _WORD:
            raise SelectorError(f"found '{text}', expected: identifier")
        key = text
        if messages := names.validate_qualified_name(key):
            # A request's selector has no field path; Go prints that as <nil>.
            raise SelectorError(f"<nil>: Invalid value: {fielderrors.quote(key)}: {'; '.join(messages)}")
        if absent:
            return make_requirement(key, "!")
        if self._peek()[0] in (_END, ","):
            return make_requirement(key, "exists")
        _, text = self._next()
        if text not in _SYMBOLS:
            raise SelectorError(f"found '{text}', expected: {', '.join(_BINARY)}")
        operator = _SYMBOLS[text]
        return make_requirement(key, operator, self._set() if operator in ("in", "notin") else [self._exact()])

    def _exact(self) -> str:
        if self._peek()[0] in (_END, ","):
            return ""
        kind, text = self._next()
        if kind != _WORD:
            raise SelectorError(f"found '{text}', expected: identifier")
        return text

    def _set(self) -> list[str]:
        """``(a,b,)``: empty places are empty strings."""
        kind, text = self._next()
        if kind != "(":
            raise SelectorError(f"found '{text}' expected: '('")
        values = [""]
        if self._peek()[0] not in (_WORD, ",", ")"):
            raise SelectorError(f"found '{self._peek()[1]}', expected: ',', ')' or identifier")
        while True:
            kind, text = self._next()
            if kind == ")":
                return values
            if kind == ",":
                values.append("")
            elif kind == _WORD and not values[-1]:
                values[-1] = text
            else:
                raise SelectorError(f"found '{text}', expected: ',' or ')'")


def parse_field_selector(text: str) -> tuple[FieldTerm, ...]:
    """``metadata.name=web,status.phase!=Failed``; a backslash escapes ``,``, ``=`` and itself in a value."""
    terms = []
    for part in sorted(_split_terms(text)):
        if not part:
            continue
        operator = re.search("!=|==?", part)
        if operator is None:
            raise SelectorError(f"invalid selector: '{text}'; can't understand '{part}'")
        op = "!=" if operator[0] == "!=" else "="
        terms.append(FieldTerm(part[: operator.start()], op, _unescape(part[operator.end() :])))
    return tuple(term for term in terms if term.field or term.value)


def _split_terms(text: str) -> list[str]:
    return re.sub(r"(\\.)|,", lambda found: found[1] or "\0", text, flags=re.DOTALL).split("\0")


def _unescape(value: str) -> str:
    def one(found: re.Match[str]) -> str:
        if found[0] in ("\\\\", "\\,", "\\="):
            return found[0][1]
        if found[0].startswith("\\"):
            raise SelectorError(f"invalid field selector: invalid escape sequence: {found[0]}")
        raise SelectorError(f"invalid field selector: unescaped character in value: {ord(found[0])}")

    return re.sub(r"\\.|\\$|[,=]", one, value, flags=re.DOTALL)
