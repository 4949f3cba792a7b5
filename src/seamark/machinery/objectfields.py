"""Reading decoded objects: a ``null`` or absent object, list or map reads as an empty one, as Go's decoder leaves it.

Nothing here inserts anything; ``resources/access.py`` has what does, for defaults.
"""

from __future__ import annotations

from typing import Any

Obj = dict[str, Any]


def section(obj: Obj, *path: str) -> Obj:
    """The object at ``path``; a fresh empty one where it is missing (not put in place)."""
    found: Any = obj
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
        if found is None:
            return {}
    return found if isinstance(found, dict) else {}


def entries(obj: Obj, *path: str) -> list[Any]:
    """The list at ``path``; empty where it is missing."""
    found = section(obj, *path[:-1]).get(path[-1])
    return found if isinstance(found, list) else []


def text(obj: Obj, *path: str) -> str:
    """The string at ``path``; empty where it is missing."""
    found = section(obj, *path[:-1]).get(path[-1])
    return found if isinstance(found, str) else ""


def number(obj: Obj, *path: str) -> int:
    """The integer at ``path``; 0 where it is missing."""
    found = section(obj, *path[:-1]).get(path[-1])
    return found if isinstance(found, int) else 0
