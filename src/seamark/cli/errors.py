"""What a user's mistake becomes: one line on standard error and exit status 1, never a traceback."""

from __future__ import annotations


class UserError(Exception):
    """The message says what is wrong and how to mend it, in one line."""
