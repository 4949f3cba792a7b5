"""``LayerStore``: unpacked layers, each in a directory named by the digest of its plain content, shared by all images.

A layer appears by rename, whole or not at all; several processes may add the same one.
"""

from __future__ import annotations

import gzip
import json
import lzma
import os
import re
import shutil
import tarfile
import tempfile
import zlib
from contextlib import AbstractContextManager
from pathlib import Path

from seamark.agent.images.archive import ArchiveError
from seamark.agent.images.layers import LayerError, unpack_layer

DAMAGED = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)
"""What reading a file raises that was cut short or changed."""

LAYER = re.compile(r"/layers/([0-9a-f]{64})\b")


class LayerStore:
    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def path(self, diff_id: str) -> Path:
        return self._directory / diff_id.removeprefix("sha256:")

    def has(self, diff_id: str) -> bool:
        return self.path(diff_id).is_dir()

    def add(self, diff_id: str, opened: AbstractContextManager[tarfile.TarFile], *, name: str) -> None:
        """Raises LayerError or ArchiveError; then nothing is added."""
        self._directory.mkdir(mode=0o711, parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix="unpacking-", dir=self._directory))
        try:
            temporary.chmod(0o755)
            with opened as layer:
                unpack_layer(layer, temporary)
            _rename_once(temporary, self.path(diff_id))
        except DAMAGED as error:
            raise LayerError(f"layer {name}: {error}") from None
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def collect(self, named: set[str], in_use: frozenset[str], *, before: float) -> tuple[int, int]:
        """Removes directories of neither set that are older than ``before``: how many went, how many stay yet."""
        gone = stay = 0
        for directory in self._directory.iterdir() if self._directory.is_dir() else ():
            if directory.name in named:
                continue
            if directory.name in in_use or directory.stat().st_ctime >= before:
                stay += 1
                continue
            dying = directory.with_name(f"removing-{directory.name.removeprefix('removing-')}")
            directory.rename(dying)  # a layer is there whole, or not at all
            shutil.rmtree(dying)
            gone += 1
        return gone, stay


def layers_in_use() -> frozenset[str] | None:
    """Names of the layers any process of the machine has mounted; None for those who may not see that."""
    found: set[str] = set()
    seen: set[str] = set()
    if os.geteuid() != 0:
        return None
    for process in Path("/proc").glob("[0-9]*"):
        try:
            namespace = os.readlink(process / "ns" / "mnt")
            if namespace not in seen:
                found |= set(LAYER.findall((process / "mountinfo").read_text("utf-8", "replace")))
                seen.add(namespace)
        except OSError:  # it has ended meanwhile
            continue
    return frozenset(found)


def parse_diff_ids(config: bytes, digest: str, *, layers: int) -> tuple[str, ...]:
    """Of an image's config with so many layers. Raises ArchiveError."""
    try:
        diff_ids = tuple(str(layer) for layer in json.loads(config)["rootfs"]["diff_ids"])
    except (ValueError, KeyError, TypeError) as error:
        raise ArchiveError(f"image config {digest}: no rootfs.diff_ids: {error}") from None
    if len(diff_ids) != layers:
        raise ArchiveError(f"image config {digest}: {len(diff_ids)} diff_ids for {layers} layers")
    for layer in diff_ids:
        kind, _, value = layer.partition(":")
        if kind != "sha256" or len(value) != 64 or set(value) - set("0123456789abcdef"):
            raise ArchiveError(f"image config {digest}: rootfs.diff_ids: {layer!r} is no sha256 digest")
    return diff_ids


def _rename_once(temporary: Path, target: Path) -> None:
    try:
        temporary.rename(target)
    except OSError:
        if not target.is_dir():  # else another process unpacked the same layer meanwhile
            raise
