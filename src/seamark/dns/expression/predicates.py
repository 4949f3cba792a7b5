"""Functions that look at each item of an array: ``all(ARRAY, PREDICATE)`` and its like. Pure.

Inside a predicate ``#`` is the item, ``#index`` its place and ``#acc`` what ``reduce`` has so far; the parser gives
each a slot of the frame (``Places``), and here is what walks over the array and fills them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from seamark.dns.expression.builtins import ordered
from seamark.dns.expression.kinds import Frame, Node, checked, expect, item_kind


@dataclass(frozen=True, slots=True)
class Places:
    """Slots of what a predicate may name."""

    item: int
    index: int
    acc: int


@dataclass(frozen=True, slots=True)
class Predicate:
    """``knows`` are the names it may use besides ``#``; ``needs`` is the pattern of its value. The predicate and
    ``extra`` may be left out where ``optional`` and ``extra`` say so.
    """

    make: Callable[[Walk], Callable[[Frame], Any]]
    gives: str | Callable[[str, str], str]
    """A kind, or one made of those of array and predicate."""
    needs: str = "bool"
    knows: tuple[str, ...] = ()
    optional: bool = False
    extra: bool = False


@dataclass(frozen=True, slots=True)
class Walk:
    """One call: the array, the predicate, and a third argument, where there are any."""

    array: Callable[[Frame], Any]
    test: Callable[[Frame], Any] | None
    extra: Callable[[Frame], Any] | None
    places: Places

    def __call__(self, frame: Frame) -> Iterator[tuple[Any, Any]]:
        """Each item and what the predicate says of it."""
        for index, item in self.items(frame):
            yield item, self.say(frame, index, item)

    def items(self, frame: Frame) -> Iterator[tuple[int, Any]]:
        array = self.array(frame)
        frame.spend(len(array))
        return iter(enumerate(array))

    def say(self, frame: Frame, index: int, item: Any) -> Any:
        if self.test is None:
            return item
        frame.slots[self.places.item] = item
        frame.slots[self.places.index] = index
        return self.test(frame)


def call(name: str, array: Node, test: Node | None, extra: Node | None, places: Places) -> Node:
    """Raises ValueError."""
    predicate = PREDICATES[name]
    run = None
    if test is not None:
        run = expect(test, predicate.needs, f"the predicate of {name}").run
    elif not predicate.optional:
        raise ValueError(f"{name} takes an array and a predicate")
    expect(array, "array", f"argument 1 of {name}")
    walk = Walk(expect(array, "array", f"argument 1 of {name}").run, run, extra.run if extra else None, places)
    gives = predicate.gives
    kind = gives if isinstance(gives, str) else gives(array.kind, test.kind if test else item_kind(array.kind))
    return Node(kind, predicate.make(walk))


def _told(walk: Walk, decide: Callable[[Iterator[bool]], Any]) -> Callable[[Frame], Any]:
    return lambda frame: decide(said for _, said in walk(frame))


def _sum(walk: Walk) -> Callable[[Frame], Any]:
    def run(frame: Frame) -> Any:
        values = [checked(said, "number", "each of the numbers of sum") for _, said in walk(frame)]
        return sum(values)

    return run


def _count(walk: Walk) -> Callable[[Frame], Any]:
    return lambda frame: sum(1 for _, said in walk(frame) if checked(said, "bool", "each item that count looks at"))


def _find(*, last: bool, place: bool) -> Callable[[Walk], Callable[[Frame], Any]]:
    def make(walk: Walk) -> Callable[[Frame], Any]:
        def run(frame: Frame) -> Any:
            items = list(walk.items(frame))
            for index, item in reversed(items) if last else items:
                if walk.say(frame, index, item):
                    return index if place else item
            return None

        return run

    return make


def _grouped(walk: Walk) -> Callable[[Frame], Any]:
    def run(frame: Frame) -> Any:
        found: dict[Any, list[Any]] = {}
        for item, said in walk(frame):
            found.setdefault(said, []).append(item)
        return found

    return run


def _sorted(walk: Walk) -> Callable[[Frame], Any]:
    def run(frame: Frame) -> Any:
        order = "asc" if walk.extra is None else checked(walk.extra(frame), "string", "the order of sortBy")
        said = list(walk(frame))
        return [item for item, _ in ordered(said, order, key=lambda pair: pair[1])]

    return run


def _reduced(walk: Walk) -> Callable[[Frame], Any]:
    def run(frame: Frame) -> Any:
        items = walk.items(frame)
        if walk.extra is not None:
            found = walk.extra(frame)
        else:
            _, found = next(items, (0, None))
            if found is None:
                raise ValueError("reduce of an empty array takes a first value")
        for index, item in items:
            frame.slots[walk.places.acc] = found
            found = walk.say(frame, index, item)
        return found

    return run


def _same_array(array: str, said: str) -> str:
    return array if array.startswith("[]") else "[]any"


def _item(array: str, said: str) -> str:
    return item_kind(array)


def _said(array: str, said: str) -> str:
    return said


PREDICATES: Mapping[str, Predicate] = {
    "all": Predicate(lambda walk: _told(walk, all), "bool"),
    "any": Predicate(lambda walk: _told(walk, any), "bool"),
    "none": Predicate(lambda walk: _told(walk, lambda said: not any(said)), "bool"),
    "one": Predicate(lambda walk: _told(walk, lambda said: sum(said) == 1), "bool"),
    "filter": Predicate(lambda walk: lambda frame: [item for item, said in walk(frame) if said], _same_array),
    "map": Predicate(
        lambda walk: lambda frame: [said for _, said in walk(frame)],
        lambda array, said: f"[]{said}",
        needs="value",
        knows=("index",),
    ),
    "find": Predicate(_find(last=False, place=False), _item),
    "findIndex": Predicate(_find(last=False, place=True), "int"),
    "findLast": Predicate(_find(last=True, place=False), _item),
    "findLastIndex": Predicate(_find(last=True, place=True), "int"),
    "count": Predicate(_count, "int", optional=True),
    "sum": Predicate(_sum, _said, needs="value", optional=True),
    "groupBy": Predicate(_grouped, "any", needs="value"),
    "sortBy": Predicate(_sorted, _same_array, needs="value", extra=True),
    "reduce": Predicate(_reduced, _said, needs="value", knows=("index", "acc"), extra=True),
}
