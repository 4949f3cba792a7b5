"""What a user's mistake becomes: one line on standard error and exit status 1, never a traceback."""

from __future__ import annotations

import errno

_MEDIUM = {
    errno.ENOSPC: "free some space and run this again; what was acknowledged is kept",
    errno.EDQUOT: "free some space and run this again; what was acknowledged is kept",
    errno.EROFS: "mount it writable and run this again",
    errno.EIO: "the medium is damaged or gone; see the kernel's log",
}


class UserError(Exception):
    """The message says what is wrong and how to mend it, in one line."""


def medium_error(error: OSError) -> UserError | None:
    """For a medium that takes no more writes; None for what is no such thing, and so a fault of ours."""
    hint = _MEDIUM.get(error.errno or 0)
    if hint is None:
        return None
    where = f" ({error.filename})" if error.filename else ""
    return UserError(f"data directory: {error.strerror}{where}; {hint}")
