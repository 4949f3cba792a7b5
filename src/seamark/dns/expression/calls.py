"""A function and its arguments. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from seamark.dns.expression.kinds import Function, Node, expect


def called(name: str, function: Function, arguments: Sequence[Node], *, of_environment: bool = False) -> Node:
    """Raises ValueError for arguments that are too few, too many or of a wrong kind."""
    patterns = list(_patterns(function.takes, len(arguments)))
    least = sum(not pattern.endswith(("?", "*")) for pattern in function.takes)
    if len(arguments) < least or len(patterns) < len(arguments):
        wanted = f"{least} or more" if len(function.takes) > least else str(least)
        raise ValueError(f"{name} takes {wanted} arguments, not {len(arguments)}")
    checked = [
        expect(argument, pattern, f"argument {number} of {name}")
        for number, (argument, pattern) in enumerate(zip(arguments, patterns, strict=False), start=1)
    ]
    call, runs = function.call, [argument.run for argument in checked]
    kind = function.gives if isinstance(function.gives, str) else function.gives(*(each.kind for each in arguments))
    if of_environment:
        return Node(kind, lambda frame: call(frame.env, *[run(frame) for run in runs]))
    return Node(kind, lambda frame: call(*[run(frame) for run in runs]))


def _patterns(takes: Sequence[str], number: int) -> Iterator[str]:
    """One for each argument there may be."""
    for pattern in takes:
        for _ in range(number if pattern.endswith("*") else 1):
            yield pattern.rstrip("?*")
