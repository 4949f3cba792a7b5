"""Reading a Corefile and what it imports from disk, and the fingerprint a reload compares."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from seamark.dns.corefile.parser import Corefile, parse_corefile

DEFAULT_NAME = "Corefile"
DEFAULT_TEXT = ".:{port} {{\nwhoami\nlog\n}}\n"


def read_imports(pattern: str, importing: str) -> Sequence[tuple[str, str]]:
    """Relative to the importing file. Raises OSError."""
    path = Path(pattern)
    base = Path("/") if path.is_absolute() else Path(importing).resolve().parent
    relative = str(path.relative_to("/")) if path.is_absolute() else pattern
    if not any(char in pattern for char in "*?["):
        file = base / relative
        return [(str(file), file.read_text())] if file.exists() else []
    return [(str(file), file.read_text()) for file in sorted(base.glob(relative)) if file.is_file()]


def load_corefile(path: Path | None, *, port: int, environment: Mapping[str, str]) -> Corefile:
    """The file; None = ``Corefile`` in the working directory if there is one, else CoreDNS's default.

    Raises CorefileError, OSError, UnicodeDecodeError.
    """
    if path is None:
        path = Path(DEFAULT_NAME)
        if not path.exists():
            text = DEFAULT_TEXT.format(port=port)
            return parse_corefile(text, file=DEFAULT_NAME, environment=environment)
    return parse_corefile(path.read_text(), file=str(path), environment=environment, read_imports=read_imports)


def stamp(files: Sequence[str]) -> tuple[tuple[int, int, int], ...]:
    """What a file looks like without reading it: inode, size, time of change (ns); zeros where there is none."""
    return tuple(_stamp(Path(file)) for file in files)


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_ino, found.st_size, found.st_mtime_ns)


def read_or_empty(file: str) -> str:
    """A file that is not there says nothing."""
    try:
        return Path(file).read_text(errors="replace")
    except OSError:
        return ""


def fingerprint(corefile: Corefile) -> str:
    """SHA512 over everything that was read."""
    digest = hashlib.sha512()
    for file, text in corefile.files:
        digest.update(f"{file}\0{text}\0".encode())
    return digest.hexdigest()
