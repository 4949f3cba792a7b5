"""The tree of a template: nodes that write their part of the text, and print themselves as Go does. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from seamark.dns.gotemplate.values import MISSING, Method, TemplateError, is_array, is_true, kind_of, member, printed

MAX_DEPTH = 100
"""How many templates may be in one another."""
MAX_STEPS = 100_000


class LoopEnd(Exception):
    """``break`` and ``continue``."""

    def __init__(self, *, breaks: bool) -> None:
        super().__init__()
        self.breaks = breaks


@dataclass(slots=True)
class Frame:
    """One run. ``variables`` are found from behind; ``$`` is the first."""

    dot: Any
    variables: list[tuple[str, Any]]
    out: list[str] = field(default_factory=list)
    depth: int = 0
    steps: int = 0

    def find(self, name: str) -> Any:
        return next(value for known, value in reversed(self.variables) if known == name)

    def assign(self, name: str, value: Any) -> None:
        at = max(at for at, (known, _) in enumerate(self.variables) if known == name)
        self.variables[at] = (name, value)

    def step(self) -> None:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise TemplateError(f"more than {MAX_STEPS} steps")


class Node(Protocol):
    def write(self, frame: Frame) -> None: ...


@dataclass(frozen=True, slots=True)
class Operand:
    """A value. ``call`` is it with arguments, where it takes any."""

    shown: str
    get: Callable[[Frame], Any]
    call: Callable[[Frame, Sequence[Any]], Any] | None = None

    def __str__(self) -> str:
        return self.shown


def through(shown: str, start: Callable[[Frame], Any], names: Sequence[str]) -> Operand:
    """``start.name.name``, where the last may be a method."""

    def call(frame: Frame, arguments: Sequence[Any]) -> Any:
        found = start(frame)
        for at, name in enumerate(names):
            found = member(found, name)
            last = at == len(names) - 1
            if isinstance(found, Method):
                found = _called(found, name, [*map(value_of, arguments)] if last else [])
            elif last and arguments:
                raise TemplateError(f"{name} is not a method but has arguments")
        return found

    return Operand(shown, lambda frame: call(frame, ()), call if names else None)


def _called(method: Method, name: str, arguments: Sequence[Any]) -> Any:
    if len(arguments) != method.arguments or not all(isinstance(each, str) for each in arguments):
        raise TemplateError(f"{name} takes {method.arguments} argument of text, not {len(arguments)}")
    return method.call(*arguments)


@dataclass(frozen=True, slots=True)
class Command:
    operands: tuple[Operand, ...]

    def run(self, frame: Frame, *given: Any) -> Any:
        """``given`` is what the pipeline has so far."""
        first, *others = self.operands
        if not others and not given:
            return first.get(frame)
        if first.call is None:
            raise TemplateError(f"can't give argument to non-function {first}")
        return first.call(frame, [*(Lazy(each, frame) for each in others), *given])

    def __str__(self) -> str:
        return " ".join(map(str, self.operands))


class Lazy:
    """An argument that is not looked at yet (``and`` and ``or`` may not want to)."""

    __slots__ = ("_frame", "_operand")

    def __init__(self, operand: Operand, frame: Frame) -> None:
        self._operand = operand
        self._frame = frame

    def value(self) -> Any:
        return self._operand.get(self._frame)


def value_of(argument: Any) -> Any:
    return argument.value() if isinstance(argument, Lazy) else argument


@dataclass(frozen=True, slots=True)
class Pipeline:
    """``names`` are the variables that it declares, or assigns to."""

    names: tuple[str, ...]
    declares: bool
    commands: tuple[Command, ...]

    def value(self, frame: Frame) -> Any:
        frame.step()
        first, *others = self.commands
        found = first.run(frame)
        for command in others:
            found = command.run(frame, found)
        return found

    def run(self, frame: Frame) -> Any:
        """And sets its variables."""
        found = self.value(frame)
        for name in self.names:
            self.set(frame, name, found)
        return found

    def set(self, frame: Frame, name: str, value: Any) -> None:
        if self.declares:
            frame.variables.append((name, value))
        else:
            frame.assign(name, value)

    def __str__(self) -> str:
        front = f"{', '.join(self.names)} {':=' if self.declares else '='} " if self.names else ""
        return front + " | ".join(map(str, self.commands))


@dataclass(frozen=True, slots=True)
class Text:
    text: str

    def write(self, frame: Frame) -> None:
        frame.out.append(self.text)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Action:
    pipeline: Pipeline

    def write(self, frame: Frame) -> None:
        found = self.pipeline.run(frame)
        if not self.pipeline.names:
            frame.out.append(printed(found))

    def __str__(self) -> str:
        return f"{{{{{self.pipeline}}}}}"


@dataclass(frozen=True, slots=True)
class Body:
    nodes: tuple[Node, ...]

    def write(self, frame: Frame) -> None:
        """Variables declared here end here."""
        known = len(frame.variables)
        try:
            for node in self.nodes:
                node.write(frame)
        finally:
            del frame.variables[known:]

    def __str__(self) -> str:
        return "".join(map(str, self.nodes))


@dataclass(frozen=True, slots=True)
class Branch:
    """``word`` is if, with or range."""

    word: str
    pipeline: Pipeline
    body: Body
    otherwise: Body | None

    def write(self, frame: Frame) -> None:
        known, dot = len(frame.variables), frame.dot
        try:
            if self.word == "range":
                self._range(frame)
                return
            found = self.pipeline.run(frame)
            if is_true(found):
                frame.dot = found if self.word == "with" else dot
                self.body.write(frame)
            elif self.otherwise is not None:
                self.otherwise.write(frame)
        finally:
            del frame.variables[known:]
            frame.dot = dot

    def _range(self, frame: Frame) -> None:
        dot, some = frame.dot, False
        value = self.pipeline.value(frame)
        if isinstance(value, int) and len(self.pipeline.names) > 1:
            raise TemplateError(f"can't use {printed(value)} to iterate over more than one variable")
        for key, item in _items(value):
            some = True
            frame.dot = item
            known = len(frame.variables)
            values = (key, item) if len(self.pipeline.names) > 1 else (item,)
            for name, value in zip(self.pipeline.names, values, strict=False):
                self.pipeline.set(frame, name, value)
            try:
                self.body.write(frame)
            except LoopEnd as end:
                if end.breaks:
                    break
            finally:
                del frame.variables[known:]
                frame.step()
        frame.dot = dot
        if not some and self.otherwise is not None:
            self.otherwise.write(frame)

    def __str__(self) -> str:
        other = f"{{{{else}}}}{self.otherwise}" if self.otherwise is not None else ""
        return f"{{{{{self.word} {self.pipeline}}}}}{self.body}{other}{{{{end}}}}"


def _items(value: Any) -> Iterator[tuple[Any, Any]]:
    """What ``range`` goes through."""
    if isinstance(value, dict):
        return iter([(key, value[key]) for key in sorted(value)])
    if isinstance(value, int) and not isinstance(value, bool):
        return iter((at, at) for at in range(value))
    if value is None or value is MISSING:
        return iter(())
    if not is_array(value):
        raise TemplateError(f"range can't iterate over a {kind_of(value)}")
    return iter(list(enumerate(value)))


@dataclass(frozen=True, slots=True)
class Loop:
    """``break`` or ``continue``."""

    word: str

    def write(self, frame: Frame) -> None:
        raise LoopEnd(breaks=self.word == "break")

    def __str__(self) -> str:
        return f"{{{{{self.word}}}}}"


@dataclass(frozen=True, slots=True)
class Included:
    """``template "name" PIPELINE``. ``known`` has what is defined, in the end."""

    shown: str
    name: str
    pipeline: Pipeline | None
    known: Mapping[str, Body]

    def write(self, frame: Frame) -> None:
        body = self.known.get(self.name)
        if body is None:
            raise TemplateError(f"no template '{self.name}' is defined")
        if frame.depth >= MAX_DEPTH:
            raise TemplateError(f"more than {MAX_DEPTH} templates in one another")
        dot = self.pipeline.value(frame) if self.pipeline is not None else None
        inner = Frame(dot, [("$", dot)], frame.out, frame.depth + 1, frame.steps)
        body.write(inner)
        frame.steps = inner.steps

    def __str__(self) -> str:
        return f"{{{{template {self.shown}{f' {self.pipeline}' if self.pipeline is not None else ''}}}}}"


@dataclass(frozen=True, slots=True)
class Template:
    body: Body

    def render(self, dot: Any) -> str:
        """Raises TemplateError."""
        frame = Frame(dot, [("$", dot)])
        try:
            self.body.write(frame)
        except RecursionError as error:
            raise TemplateError("it goes too deep") from error
        return "".join(frame.out)

    def __str__(self) -> str:
        """As Go writes it, which metrics use as its name."""
        return str(self.body)
