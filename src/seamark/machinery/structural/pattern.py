"""Patterns in schemas: Go's regular expressions (RE2), in linear time whatever the pattern and the text.

The library is loaded with the first pattern. Its errors are worded as Go words them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

_GO_WORDS = {
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "missing )": "missing closing )",
    "missing ]": "missing closing ]",
    "invalid repetition size": "invalid repeat count",
    "no argument for repetition operator": "missing argument to repetition operator",
    "bad repetition operator": "invalid nested repetition operator",
    "trailing \\": "trailing backslash at end of expression",
    "invalid named capture group": "invalid named capture",
}


class PatternError(ValueError):
    """Not a regular expression of Go's."""


@lru_cache(maxsize=1024)
def compile_pattern(pattern: str) -> Any:
    """Raises PatternError."""
    import re2  # type: ignore[import-not-found,import-untyped,unused-ignore]

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options=options)
    except re2.error as error:
        text = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error.args[0])
        what, _, where = text.partition(": ")
        shown = f": `{where}`" if where else ""
        raise PatternError(f"error parsing regexp: {_GO_WORDS.get(what, what)}{shown}") from None


def matches(pattern: str, text: str) -> bool:
    """Whether the pattern fits somewhere in the text. Raises PatternError."""
    return compile_pattern(pattern).search(text) is not None
