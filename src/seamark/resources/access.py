"""Reading decoded objects: a ``null`` or absent object, list or map reads as an empty one, as Go's decoder leaves it.

``section`` and ``entries`` never insert anything; ``ensure`` does, for defaults.
"""

from __future__ import annotations

from typing import Any

from seamark.machinery.objectfields import entries, number, section, text
from seamark.resources.registry import Obj

__all__ = ["default", "default_pointer", "drop_empty", "ensure", "entries", "keep", "number", "section", "text"]


def ensure(obj: Obj, name: str) -> Obj:
    """The object ``name`` of ``obj``, put in place when missing."""
    found = obj.get(name)
    if not isinstance(found, dict):
        found = obj[name] = {}
    return found


def default(obj: Obj, name: str, value: Any) -> None:
    """Sets a field that is absent, null or the empty string; zero and false stay as given."""
    if obj.get(name) in (None, ""):
        obj[name] = value


def default_pointer(obj: Obj, name: str, value: Any) -> None:
    """The same for what is a pointer in Go: there an empty string is a value, for validation to refuse."""
    if obj.get(name) is None:
        obj[name] = value


def drop_empty(obj: Obj, *names: str) -> None:
    """Removes fields holding Go's zero value, which ``omitempty`` never writes."""
    for name in names:
        if name in obj and (obj[name] is None or obj[name] in ("", 0, [], {})) and obj[name] is not False:
            del obj[name]


def keep(new: Obj, old: Obj, name: str) -> None:
    """The field of ``new`` becomes what ``old`` has: how a write leaves alone what is not its to set."""
    if name in old:
        new[name] = old[name]
    else:
        new.pop(name, None)
