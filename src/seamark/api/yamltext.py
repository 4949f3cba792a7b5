"""YAML as Kubernetes reads and writes it: what JSON can say, by Go's rules of what a plain scalar means.

``yes`` is true, ``1:30`` and a date stay text, ``1e3`` is a number; a key that is no text becomes one. Of several
documents the first counts. Aliases may not blow a small body up.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any, ClassVar

import yaml

from seamark.machinery.duplicates import has_duplicates
from seamark.machinery.fielderrors import quote

_EXPANDED_MAX = 1_000_000  # values in one body
_DEPTH_MAX = 500

_PLAIN = (  # tag, what it looks like, what it begins with
    ("bool", r"y|Y|yes|Yes|YES|true|True|TRUE|on|On|ON|n|N|no|No|NO|false|False|FALSE|off|Off|OFF", "yYtToOnNfF"),
    ("int", r"[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0o?[0-7_]+|0|[1-9][0-9_]*)", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("float", r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", "-+."),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("merge", r"<<", "<"),
)


class _Loader(yaml.CSafeLoader):
    bool_values: ClassVar[dict[str, bool]] = {**yaml.CSafeLoader.bool_values, "y": True, "n": False}


class _Dumper(yaml.CSafeDumper):
    """Quotes as Go does, and writes everything out: what is read again has no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


_Loader.yaml_implicit_resolvers = {}
_Dumper.yaml_implicit_resolvers = {}
for _tag, _shape, _first in _PLAIN:
    for _kind in (_Loader, _Dumper):
        _kind.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_shape})$"), list(_first))
_Dumper.add_implicit_resolver("tag:yaml.org,2002:timestamp", re.compile(r"^\d{4}-\d\d?-\d\d?"), list("0123456789"))


def _construct_binary(loader: _Loader, node: yaml.ScalarNode) -> str:
    return loader.construct_yaml_binary(node).decode()


def _represent_text(dumper: _Dumper, text: str) -> yaml.Node:
    tag = "tag:yaml.org,2002:str"
    plain = dumper.resolve(yaml.ScalarNode, text, (True, False))  # type: ignore[no-untyped-call]
    style = '"' if plain != tag else "|" if "\n" in text else None
    return dumper.represent_scalar(tag, text, style=style)


_Loader.add_constructor("tag:yaml.org,2002:binary", _construct_binary)
_Dumper.add_representer(str, _represent_text)


def decode_yaml(body: bytes) -> Any:
    """Raises YAMLError, UnicodeDecodeError and RecursionError."""
    text = body.decode()
    _check_depth(text)
    loader = _Loader(text)
    try:
        value = loader.get_data()
        if b"*" in body and _size(value, {}) > _EXPANDED_MAX:
            raise yaml.YAMLError("document contains excessive aliasing")
        return _as_json(value)
    except (ValueError, KeyError) as error:  # a scalar whose tag promised what it is not
        raise yaml.YAMLError(str(error)) from None
    finally:
        loader.dispose()


def _check_depth(text: str) -> None:
    """The reader composes nodes by recursion in C, which no limit of Python's stops: depth is counted beforehand.

    Only where there are marks enough to be deep at all; by indentation alone a body of this size cannot be.
    """
    if sum(map(text.count, "[{-?")) < _DEPTH_MAX:
        return
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEPTH_MAX:
            raise yaml.YAMLError(f"exceeded max depth of {_DEPTH_MAX}")
        if isinstance(event, yaml.DocumentEndEvent):
            return


def render_yaml(value: Any) -> bytes:
    dumped: bytes = yaml.dump(value, Dumper=_Dumper, allow_unicode=True, sort_keys=True, encoding="utf-8")
    return dumped


def explain(error: Exception) -> str:
    """A reader's error in one line, as Go's says it: ``yaml: line 3: did not find expected key``."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    return f"yaml: line {mark.line + 1}: {problem}" if mark is not None else f"yaml: {problem}"


def find_repeated_keys(body: bytes) -> tuple[str, ...]:
    """``line 4: key "k" already set in map`` for each. The body has been read without an error before."""
    try:
        if not has_duplicates(body):
            return ()
    except (ValueError, RecursionError):
        pass  # no JSON
    loader = _Loader(body.decode())
    found: list[tuple[int, str]] = []
    seen: set[int] = set()  # an alias leads to a node that was looked at already
    waiting = [loader.get_node() if loader.check_node() else None]
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
    loader.dispose()
    return tuple(f"line {line}: key {quote(key)} already set in map" for line, key in sorted(found))


def _repeated(node: yaml.MappingNode) -> list[tuple[int, str]]:
    """Line and name of each key that stood in the map before."""
    found: list[tuple[int, str]] = []
    keys: set[str] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        if key.value in keys:
            found.append((key.start_mark.line + 1, key.value))
        keys.add(key.value)
    return found


def _size(value: Any, known: dict[int, int]) -> int:
    """How many values there are once every alias is written out, long texts as several; a circle has no end."""
    if not isinstance(value, dict | list):
        return 1 + len(value) // 16 if isinstance(value, str) else 1
    found = known.get(id(value))
    if found is None:
        known[id(value)] = _EXPANDED_MAX + 1  # seen again before it is done: it holds itself
        found = known[id(value)] = 1 + sum(_size(one, known) for one in _inner(value))
    return found


def _inner(value: dict[Any, Any] | list[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def _as_json(value: Any) -> Any:
    """With keys that are texts, in the order in which Go's maps are written."""
    if isinstance(value, dict):
        return {_key(name): _as_json(value[name]) for name in sorted(value, key=_key)}
    if isinstance(value, list):
        return [_as_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise yaml.YAMLError(f"{value} is no JSON number")
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _key(name: Any) -> str:
    if isinstance(name, str):
        return name
    if isinstance(name, bool):
        return "true" if name else "false"
    return "null" if name is None else f"{name:g}" if isinstance(name, float) else str(name)
