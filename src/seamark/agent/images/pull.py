"""Pulling one image: its manifest, its config, and the layers that are not there yet, several at a time.

A layer is downloaded to ``downloads/DIGEST.part``, which a later attempt goes on with, also after a restart, and is
unpacked once its digest is right. The file is locked while somebody works on it; a second process downloads the same
layer to a nameless file instead of waiting.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from seamark.agent.images.archive import ArchiveError, own_architecture, read_layer
from seamark.agent.images.distribution import Descriptor, Manifest, read_manifest
from seamark.agent.images.layers import LayerError
from seamark.agent.images.layerstore import LayerStore, parse_diff_ids
from seamark.agent.images.registry import MAX_TEXT, BusyError, Registry, RegistryError, UnreachableError

PARALLEL = 3
FRUITLESS = 5
"""Attempts in a row that bring not one byte more, after which a download is given up."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Of one layer, compressed; ``done`` equals ``size`` when all of it is here."""

    digest: str
    done: int
    size: int


@dataclass(frozen=True, slots=True)
class Pulled:
    """``digests`` are those by which the registry knows it: the manifest's, and the list's it was in."""

    config: bytes
    digest: str
    layers: tuple[str, ...]
    digests: tuple[str, ...]
    size: int = 0  # of the compressed layers


Tell = Callable[[Progress], None]


class Pull:
    """``tell`` is called for every piece that arrives."""

    def __init__(self, registry: Registry, layers: LayerStore, downloads: Path, *, tell: Tell) -> None:
        self._registry = registry
        self._layers = layers
        self._downloads = downloads
        self._tell = tell
        self._slots = asyncio.Semaphore(PARALLEL)

    async def run(self, reference: str) -> Pulled:
        """``reference``: a tag or a digest. Raises RegistryError, ManifestError, ArchiveError, LayerError, OSError."""
        manifest, digests = await self._manifest(reference)
        config = await self._config(manifest.config)
        diff_ids = parse_diff_ids(config, manifest.config.digest, layers=len(manifest.layers))
        missing = {
            diff_id: layer
            for diff_id, layer in zip(diff_ids, manifest.layers, strict=True)
            if not self._layers.has(diff_id)
        }
        try:
            async with asyncio.TaskGroup() as group:
                for diff_id, layer in missing.items():
                    group.create_task(self._fetch(diff_id, layer))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        size = sum(layer.size for layer in manifest.layers)
        return Pulled(config, manifest.config.digest, diff_ids, digests, size)

    async def _manifest(self, reference: str) -> tuple[Manifest, tuple[str, ...]]:
        digests: tuple[str, ...] = ()
        for _ in range(3):  # a list of lists of manifests is the deepest anybody makes
            body, digest = await self._registry.manifest(reference)
            digests = (*digests, digest)
            found = read_manifest(body, own_architecture())
            if isinstance(found, Manifest):
                return found, digests
            reference = found.digest
        raise RegistryError(f"manifest {reference}: lists of manifests within each other")

    async def _config(self, wanted: Descriptor) -> bytes:
        if wanted.size > MAX_TEXT:
            raise RegistryError(f"image config {wanted.digest}: {wanted.size} bytes; at most {MAX_TEXT}")
        config = await self._registry.patiently(f"blobs/{wanted.digest}", accept="*/*")
        found = "sha256:" + hashlib.sha256(config).hexdigest()
        if found != wanted.digest:
            raise RegistryError(f"image config {wanted.digest}: its content is {found}")
        return config

    async def _fetch(self, diff_id: str, wanted: Descriptor) -> None:
        async with self._slots:
            file, path = _open_part(self._downloads, wanted.digest)
            with file:
                await self._download(file, wanted)
                try:
                    await asyncio.to_thread(self._unpack, file, diff_id, wanted)
                except (LayerError, ArchiveError):  # the very blob that was asked for: nothing will ever come of it
                    _discard(path)
                    raise
                _discard(path)

    def _unpack(self, file: IO[bytes], diff_id: str, wanted: Descriptor) -> None:
        file.seek(0)
        if not self._layers.has(diff_id):
            self._layers.add(diff_id, read_layer(file, wanted.digest, diff_id), name=wanted.digest)

    async def _download(self, file: IO[bytes], wanted: Descriptor) -> None:
        """Until the file is the blob. What has the wrong digest is downloaded once more from its beginning."""
        for last in (False, True):
            await self._complete(file, wanted)
            found = await asyncio.to_thread(_digest, file)
            if found == wanted.digest:
                return
            file.truncate(0)
            if last:
                raise RegistryError(f"blob {wanted.digest}: its content is {found}")

    async def _complete(self, file: IO[bytes], wanted: Descriptor) -> None:
        fruitless = best = 0
        while (before := file.seek(0, os.SEEK_END)) < wanted.size:
            after: float | None = None
            try:
                await self._append(file, wanted, before)
                problem: RegistryError = UnreachableError(f"blob {wanted.digest}: the answer ended early")
            except UnreachableError as error:
                problem = error
            except BusyError as error:
                problem, after = error, error.after
            if (now := file.seek(0, os.SEEK_END)) > max(best, before):
                fruitless, best = 0, now
                continue
            fruitless += 1
            if fruitless == FRUITLESS:
                raise problem
            await self._registry.wait(fruitless - 1, after)

    async def _append(self, file: IO[bytes], wanted: Descriptor, before: int) -> None:
        async with self._registry.blob(wanted, before) as (start, body):
            if start != before:
                file.truncate(start)
            done = file.seek(start)
            async for chunk in body:
                done += len(chunk)
                if done > wanted.size:
                    file.truncate(0)
                    raise RegistryError(f"blob {wanted.digest}: longer than the {wanted.size} bytes of the manifest")
                file.write(chunk)
                self._tell(Progress(wanted.digest, done, wanted.size))


def _open_part(downloads: Path, digest: str) -> tuple[IO[bytes], Path | None]:
    downloads.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = downloads / f"{digest.removeprefix('sha256:')}.part"
    while True:
        file = open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+b", buffering=0)  # noqa: SIM115
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return tempfile.TemporaryFile(dir=downloads, buffering=0), None
        if _is_same(file, path):
            return file, path
        file.close()  # its last owner was done with it and removed it


def _discard(path: Path | None) -> None:
    if path is not None:
        path.unlink(missing_ok=True)


def _is_same(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def _digest(file: IO[bytes]) -> str:
    file.seek(0)
    found = hashlib.sha256()
    while data := file.read(1 << 20):
        found.update(data)
    return "sha256:" + found.hexdigest()
