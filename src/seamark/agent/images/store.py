"""``ImageStore``: the images of a data directory, and the pull policy's decisions.

    images/manifests/NAME.json   name, digest, config and the digests of its layers; written last, atomically
    images/layers/DIGEST/        a layer, unpacked once, shared by all images that have it
    images/downloads/            what is on its way from a registry

Several processes may use one store: every file appears by rename, nothing is changed in place, and each ``resolve``
looks at the disk. Without ``registries`` no registry is ever asked.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from seamark.agent.images.archive import ArchivedImage, ArchiveError, open_layer, read_images
from seamark.agent.images.builtin import HOST, SEAMARK, builtin_image
from seamark.agent.images.distribution import Credentials, ManifestError
from seamark.agent.images.layers import LayerError
from seamark.agent.images.layerstore import DAMAGED, LayerStore, parse_diff_ids
from seamark.agent.images.logins import select_credentials
from seamark.agent.images.names import ImageName, InvalidNameError, parse_image_name
from seamark.agent.images.pull import Progress, Pull
from seamark.agent.images.registry import Registries, Registry, RegistryError, UnreachableError
from seamark.linux.runtime import Image, RuntimeFault
from seamark.machinery.clock import Clock

YOUNG = 600.0
"""Seconds for which a layer that no image has is not collected."""

PULLED = "registry "
"""How ``source`` begins of an image that came from one; its host follows."""


@dataclass(frozen=True, slots=True)
class StoredImage:
    """One row of ``seamark image list``. ``size`` is that of its layers, unpacked; 0 for a built-in image."""

    name: str
    digest: str
    size: int
    created: float


@dataclass(slots=True, eq=False)
class _Running:
    """A pull, and how many wait for it."""

    task: asyncio.Task[None]
    waiting: int = 0


class ImageStore:
    """``directory`` is DATA/images; made when the first image is stored."""

    def __init__(self, directory: Path, clock: Clock, *, registries: Registries | None = None) -> None:
        self.directory = directory.absolute()
        self._manifests = self.directory / "manifests"
        self._layers = LayerStore(self.directory / "layers")
        self._clock = clock
        self._registries = registries
        self._pulls: dict[tuple[str, Credentials | None], _Running] = {}

    async def resolve(
        self, name: str, *, policy: Literal["Always", "IfNotPresent", "Never"], logins: tuple[bytes, ...] = ()
    ) -> Image:
        """``Always`` asks the registry, where registries may be asked. An image that never came from one (loaded or
        built here) serves, too, when its registry cannot be reached.
        """
        try:
            parsed = parse_image_name(name)
        except InvalidNameError as error:
            raise RuntimeFault("InvalidImageName", str(error)) from None
        image = builtin_image(parsed.repository, name, data=self.directory.parent)
        if image:
            return image
        image = self._find(parsed, name)
        if image and (policy != "Always" or self._registries is None):
            return image
        if policy == "Never":
            message = f'container image "{name}" is not present with pull policy of Never'
            raise RuntimeFault("ErrImageNeverPull", message)
        credentials = select_credentials(logins, parsed.repository)
        return await self._resolve_at_registry(parsed, name, image, credentials)

    async def _resolve_at_registry(
        self, parsed: ImageName, name: str, image: Image | None, credentials: Credentials | None
    ) -> Image:
        fault = f'failed to pull image "{name}": '
        if self._registries is None:
            raise RuntimeFault(
                "ErrImagePull",
                f"{fault}not found on this node, and this cluster asks no registries; "
                "load it with `seamark image load FILE`, or start the cluster with `seamark up --pull`",
            )
        try:
            await self.pull(parsed, credentials=credentials)
        except UnreachableError as error:
            if image is not None and not self.source_of(str(parsed)).startswith(PULLED):
                return image
            raise RuntimeFault("ErrImagePull", f"{fault}{error}") from None
        except (RegistryError, ManifestError, ArchiveError, LayerError, OSError) as error:
            hint = "; it is on this node, which imagePullPolicy: IfNotPresent would use" if image else ""
            raise RuntimeFault("ErrImagePull", f"{fault}{error}{hint}") from None
        found = self._find(parsed, name)
        if found is None:
            raise RuntimeFault("ErrImagePull", f"{fault}it was removed while it was pulled")
        return found

    async def pull(
        self,
        name: ImageName,
        *,
        credentials: Credentials | None = None,
        tell: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        """Brings the image up to what its registry has now; equal pulls at one time are one, which ends when nobody
        waits for it any more. Raises RegistryError, ManifestError, ArchiveError, LayerError or OSError.
        """
        if self._registries is None:
            raise RegistryError("registries are not to be asked")
        key = (str(name), credentials)
        running = self._pulls.get(key)
        if running is None:
            registry = Registry(name, registries=self._registries, clock=self._clock, credentials=credentials)
            running = _Running(asyncio.create_task(self._pull(name, registry, tell), name=f"pull of {name}"))
            self._pulls[key] = running
        running.waiting += 1
        try:
            await asyncio.wait((running.task,))
        finally:
            running.waiting -= 1
            if running.waiting == 0 or running.task.done():
                running.task.cancel()
                if self._pulls.get(key) is running:
                    del self._pulls[key]
        running.task.result()

    async def _pull(self, name: ImageName, registry: Registry, tell: Callable[[Progress], None]) -> None:
        reference = name.digest or name.tag
        known = self._read_manifest(name)
        if known is not None and self._is_whole(known):
            digests = known.get("digests", ())
            if name.digest in digests or await registry.has_manifest(reference) in digests:
                return
        pulled = await Pull(registry, self._layers, self.directory / "downloads", tell=tell).run(reference)
        image = ArchivedImage((), pulled.config, pulled.layers)
        source = f"{PULLED}{registry.host}"
        self._write_manifest(name, image, pulled.layers, source=source, digests=pulled.digests)

    def _is_whole(self, manifest: dict[str, Any]) -> bool:
        return all(self._layers.has(layer) for layer in manifest["layers"])

    def _find(self, parsed: ImageName, name: str) -> Image | None:
        manifest = self._read_manifest(parsed)
        if manifest is None or not self._is_whole(manifest):
            return None
        config = manifest["config"].get("config") or {}
        return Image(
            name=name,
            digest=manifest["digest"],
            rootfs=tuple(str(self._layers.path(layer)) for layer in manifest["layers"]),
            entrypoint=tuple(config.get("Entrypoint") or ()),
            command=tuple(config.get("Cmd") or ()),
            env=tuple(_split_variable(variable) for variable in config.get("Env") or ()),
            working_dir=config.get("WorkingDir") or "/",
            user=config.get("User") or "",
        )

    def remove(self, name: ImageName) -> bool:
        """Forgets the image under this very name; whether it was known. Its layers stay for ``collect_layers``."""
        try:
            self._manifest_path(name).unlink()
        except FileNotFoundError:
            return False
        return True

    def collect_layers(self, in_use: frozenset[str]) -> tuple[int, int]:
        """Removes layers of no image; how many layers went, and how many stay for now: those of
        ``in_use`` (names of their directories), and those so young that their image may be on its way.
        """
        named = {
            self._layers.path(layer).name
            for path in self._manifests.glob("*.json")
            for layer in json.loads(path.read_text())["layers"]
        }
        return self._layers.collect(named, in_use, before=self._clock.time() - YOUNG)

    def source_of(self, name: str) -> str:
        """What the image was made from, as ``load_archive`` was told; empty when it is not there."""
        manifest = self._read_manifest(parse_image_name(name))
        return str(manifest["source"]) if manifest else ""

    def list_images(self) -> tuple[StoredImage, ...]:
        found = []
        for repository in (HOST, SEAMARK):
            image = builtin_image(repository, repository, data=self.directory.parent)
            if image:
                found.append(StoredImage(repository, image.digest, 0, 0.0))
        for path in sorted(self._manifests.glob("*.json")) if self._manifests.is_dir() else ():
            manifest = json.loads(path.read_text())
            size = sum(_directory_size(self._layers.path(layer)) for layer in manifest["layers"])
            found.append(StoredImage(manifest["name"], manifest["digest"], size, manifest["created"]))
        return tuple(found)

    def load_archive(self, path: Path, *, name: str = "", source: str = "") -> tuple[str, ...]:
        """Stores every image of the archive under the names it gives them (or ``name``, for a single image).

        Raises ArchiveError, LayerError, InvalidNameError or OSError; then nothing of the failing image is stored.
        """
        try:
            archive = tarfile.open(path, "r:*")  # noqa: SIM115  closed below
        except tarfile.TarError:
            raise ArchiveError("not a tar archive, plain or compressed with gzip, bzip2 or xz") from None
        with archive:
            try:
                return self._load(archive, name, source or f"archive {path.name}")
            except DAMAGED as error:
                raise ArchiveError(f"the archive is damaged: {error}") from None

    def _load(self, archive: tarfile.TarFile, name: str, source: str) -> tuple[str, ...]:
        loaded: list[str] = []
        for image in read_images(archive):
            names = (name,) if name else image.names
            if not names:
                raise ArchiveError("the archive gives its image no name; give one")
            parsed = [parse_image_name(text) for text in names]
            layers = self._unpack(archive, image)
            for target in parsed:
                self._write_manifest(target, image, layers, source=source)
            loaded += [str(target) for target in parsed]
        return tuple(loaded)

    def _unpack(self, archive: tarfile.TarFile, image: ArchivedImage) -> tuple[str, ...]:
        diff_ids = parse_diff_ids(image.config, image.digest, layers=len(image.layers))
        for member, diff_id in zip(image.layers, diff_ids, strict=True):
            if not self._layers.has(diff_id):
                self._layers.add(diff_id, open_layer(archive, member, diff_id), name=member)
        return diff_ids

    def _write_manifest(
        self,
        name: ImageName,
        image: ArchivedImage,
        layers: tuple[str, ...],
        *,
        source: str,
        digests: tuple[str, ...] = (),
    ) -> None:
        manifest = {
            "name": str(name),
            "digest": image.digest,
            "config": json.loads(image.config),
            "layers": layers,
            "created": self._clock.time(),
            "source": source,
            "digests": digests,
        }
        self._manifests.mkdir(mode=0o755, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=self._manifests, prefix="new-", delete=False) as file:
            json.dump(manifest, file)
        os.replace(file.name, self._manifest_path(name))

    def _read_manifest(self, name: ImageName) -> dict[str, Any] | None:
        """A name with a digest is known under itself, as pulled so, or under its tag when the digest is the same."""
        for path in dict.fromkeys((self._manifest_path(name), self._manifest_path(replace(name, digest="")))):
            try:
                manifest: dict[str, Any] = json.loads(path.read_text())
            except FileNotFoundError:
                continue
            if not name.digest or name.digest in (manifest["digest"], *manifest.get("digests", ())):
                return manifest
        return None

    def _manifest_path(self, name: ImageName) -> Path:
        text = f"{name.repository}:{name.tag or 'latest'}" + (f"@{name.digest}" if name.digest else "")
        file = quote(text, safe="")
        return self._manifests / (f"{file if len(file) < 200 else hashlib.sha256(text.encode()).hexdigest()}.json")


def _split_variable(variable: str) -> tuple[str, str]:
    name, _, value = variable.partition("=")
    return name, value


def _directory_size(directory: Path) -> int:
    return sum(path.lstat().st_size for path in directory.rglob("*") if not path.is_dir())
