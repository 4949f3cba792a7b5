"""Server-side apply and the ownership of fields, pure: who owns what after a write, and what an apply makes.

``managed`` keeps the entries of managedFields over a create or an update, ``applying`` lays a configuration over the
live object. The types come from the schema table (``shape``).
"""

from seamark.machinery.apply.applying import Applied, ApplyConflictError, apply_config
from seamark.machinery.apply.managed import (
    APPLY,
    UPDATE,
    Entry,
    Views,
    Writer,
    is_reset,
    parse_entries,
    same_but_times,
    track_update,
)
from seamark.machinery.apply.typed import TypedError

__all__ = [
    "APPLY",
    "UPDATE",
    "Applied",
    "ApplyConflictError",
    "Entry",
    "TypedError",
    "Views",
    "Writer",
    "apply_config",
    "is_reset",
    "parse_entries",
    "same_but_times",
    "track_update",
]
