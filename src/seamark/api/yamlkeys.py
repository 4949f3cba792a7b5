"""Keys that stand twice in a YAML (or JSON) body, in the words of the YAML reader that apiserver uses."""

from __future__ import annotations

import yaml

from seamark.machinery.fielderrors import quote
from seamark.machinery.strict import find_duplicates


def find_repeated_keys(body: bytes) -> tuple[str, ...]:
    """``line 4: key "k" already set in map`` for each. The body has been read without an error before."""
    try:
        if not find_duplicates(body):
            return ()
    except (ValueError, RecursionError):
        pass  # no JSON
    found: list[str] = []
    seen: set[int] = set()  # an alias leads to a node that was looked at already
    waiting = [yaml.compose(body.decode(), Loader=yaml.CSafeLoader)]
    while waiting:
        node = waiting.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            found += _repeated(node)
            waiting += [value for _, value in reversed(node.value)]
        elif isinstance(node, yaml.SequenceNode):
            waiting += reversed(node.value)
    return tuple(found)


def _repeated(node: yaml.MappingNode) -> list[str]:
    found: list[str] = []
    keys: set[str] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        if key.value in keys:
            found.append(f"line {key.start_mark.line + 1}: key {quote(key.value)} already set in map")
        keys.add(key.value)
    return found
