"""What hangs on a value: ``.name``, ``[place]``, ``[from:to]`` and ``?.name``. Pure."""

from __future__ import annotations

from typing import Any

from seamark.dns.expression.kinds import Frame, Node, checked, expect, fits, item_kind, kind_of


class _NothingError(Exception):
    """``?.`` of nothing: the whole chain is nothing."""


def member(holder: Node, key: Node) -> Node:
    """Raises ValueError."""
    if not (holder.kind in ("map", "any") or holder.kind.startswith("[]")):
        raise ValueError(f"a {holder.kind} has no members")
    if holder.kind == "map":
        expect(key, "string", "a key")
    elif holder.kind.startswith("[]"):
        expect(key, "int", "the place in an array")
    held, place = holder.run, key.run
    return Node(item_kind(holder.kind), lambda frame: _get(held(frame), place(frame)))


def _get(holder: Any, key: Any) -> Any:
    """A map has nothing for a key it has not; an array ends somewhere."""
    if isinstance(holder, dict):
        return holder.get(key)
    array = checked(holder, "array", "what has members")
    at = checked(key, "int", "the place in an array")
    if not -len(array) <= at < len(array):
        raise ValueError(f"an array of {len(array)} has no place {at}")
    return array[at]


def member_or_nothing(holder: Node, key: Node) -> Node:
    held = holder.run

    def run(frame: Frame) -> Any:
        found = held(frame)
        if found is None:
            raise _NothingError
        return found

    return member(Node(holder.kind if holder.kind != "nil" else "any", run), key)


def nothing_caught(chain: Node) -> Node:
    run = chain.run

    def caught(frame: Frame) -> Any:
        try:
            return run(frame)
        except _NothingError:
            return None

    return Node(chain.kind, caught)


def sliced(holder: Node, first: Node | None, last: Node | None) -> Node:
    """Places below zero count from the end; those beyond it are the end. Raises ValueError."""
    if not (fits(holder.kind, "array") or holder.kind == "string"):
        raise ValueError(f"a {holder.kind} has no parts")
    start = expect(first, "int", "where a part begins").run if first is not None else lambda frame: 0
    end = expect(last, "int", "where a part ends").run if last is not None else lambda frame: None
    held = holder.run
    return Node(holder.kind, lambda frame: _slice(held(frame), start(frame), end(frame)))


def _slice(holder: Any, start: int, end: int | None) -> Any:
    if kind_of(holder) not in ("string", "[]any", "[]int"):
        raise ValueError(f"a {kind_of(holder)} has no parts")
    return holder[start:end]
