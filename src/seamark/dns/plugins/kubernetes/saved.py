"""The last state of the registry on disk, for a start while the API server is away (``snapshot FILE``).

The file holds the projections that the table is made of, not the objects: enough to answer as before, and nothing
secret. It is written beside itself and renamed, so it is whole or not there. What was written under other selectors, or
by another version of this format, is not taken.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from seamark.model import codec
from seamark.model.meta import Object

FORMAT = "seamark-dns-snapshot/1"


class SnapshotError(Exception):
    """The file cannot be used. Says why."""


class Snapshot(msgspec.Struct):
    """``selectors`` are those under which it was made; ``objects`` by resource, as JSON."""

    format: str
    saved: float
    selectors: list[str]
    objects: dict[str, list[msgspec.Raw]]


_SNAPSHOTS = msgspec.json.Decoder(Snapshot)


def render_snapshot(objects: Mapping[str, Iterable[Object]], *, selectors: list[str], now: float) -> bytes:
    encoded = {kind: [msgspec.Raw(msgspec.json.encode(item)) for item in items] for kind, items in objects.items()}
    return msgspec.json.encode(Snapshot(FORMAT, now, selectors, encoded))


def parse_snapshot(data: bytes, *, selectors: list[str]) -> Snapshot:
    """Raises SnapshotError."""
    try:
        found = _SNAPSHOTS.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SnapshotError(f"not a snapshot: {error}") from error
    if found.format != FORMAT:
        raise SnapshotError(f"format {found.format!r} is not {FORMAT}")
    if found.selectors != selectors:
        raise SnapshotError(f"it was made with the selectors {found.selectors}, not {selectors}")
    return found


def parse_objects(raw: Iterable[msgspec.Raw], kind: type[Object]) -> Iterable[Object]:
    """Those that decode: one bad object costs its own name only."""
    for item in raw:
        try:
            yield codec.decode(item, kind)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue


def write_snapshot(path: Path, data: bytes) -> None:
    """Raises OSError, and then what was there stays."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as beside:
        try:
            beside.write(data)
            beside.flush()
            Path(beside.name).replace(path)
        except OSError:
            Path(beside.name).unlink(missing_ok=True)
            raise
