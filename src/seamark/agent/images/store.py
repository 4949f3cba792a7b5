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
import logging
import os
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from seamark.agent.images.archive import (
    ArchivedImage,
    ArchiveError,
    open_layer,
    own_architecture,
    read_images,
    read_layer,
)
from seamark.agent.images.builtin import HOST, SEAMARK, builtin_image
from seamark.agent.images.collecting import DEFAULT_POLICY, Collector, GarbagePolicy, Held
from seamark.agent.images.distribution import Credentials, ManifestError, registry_host
from seamark.agent.images.layers import LayerError
from seamark.agent.images.layerstore import DAMAGED, LayerStore, parse_diff_ids
from seamark.agent.images.logins import select_credentials
from seamark.agent.images.names import ImageName, InvalidNameError, parse_image_name
from seamark.agent.images.pull import Progress, Pull
from seamark.agent.images.registry import Registries, Registry, RegistryError, UnreachableError
from seamark.agent.images.saving import pack_layer, render_config, save_image
from seamark.linux.runtime import Image, RuntimeFault
from seamark.machinery.clock import Clock

logger = logging.getLogger(__name__)

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

    def __init__(
        self,
        directory: Path,
        clock: Clock,
        *,
        registries: Registries | None = None,
        garbage: GarbagePolicy = DEFAULT_POLICY,
    ) -> None:
        self.directory = directory.absolute()
        self._manifests = self.directory / "manifests"
        self._layers = LayerStore(self.directory / "layers")
        self._clock = clock
        self._registries = registries
        self._collector = Collector(self, garbage, clock)
        self._pulls: dict[tuple[str, Credentials | None], _Running] = {}

    async def resolve(
        self,
        name: str,
        *,
        policy: Literal["Always", "IfNotPresent", "Never"],
        logins: tuple[bytes, ...] = (),
        pulling: Callable[[], None] = lambda: None,
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
        self._collector.used[str(parsed)] = self._clock.time()
        image = self._find(parsed, name)
        if image and (policy != "Always" or self._registries is None):
            return image
        if policy == "Never":
            message = f'container image "{name}" is not present with pull policy of Never'
            raise RuntimeFault("ErrImageNeverPull", message)
        if self._registries is not None:
            pulling()
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
            work = self._pull_from_any(name, self._registries, credentials, tell)
            running = _Running(asyncio.create_task(work, name=f"pull of {name}"))
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

    async def _pull_from_any(
        self, name: ImageName, registries: Registries, credentials: Credentials | None, tell: Callable[[Progress], None]
    ) -> None:
        """The mirrors first, as anybody: credentials are the registry's own. Whatever one lacks, the next may have."""
        host, _ = registry_host(name.repository)
        for mirror in (url for of, url in registries.mirrors if of == host):
            try:
                registry = Registry(name, registries=registries, clock=self._clock, mirror=mirror)
                return await self._pull(name, registry, tell)
            except (RegistryError, ManifestError) as error:
                logger.warning("mirror of %s did not give image=%s error=%s", host, name, error)
        registry = Registry(name, registries=registries, clock=self._clock, credentials=credentials)
        return await self._pull(name, registry, tell)

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
        self._write_manifest(name, image, pulled.layers, source=source, digests=pulled.digests, size=pulled.size)

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
            size=int(manifest.get("size", 0)),
        )

    async def collect_garbage(self, node: str, named: frozenset[str], *, everything: bool = False) -> None:
        self._collector.named[node] = named
        if self.directory.is_dir():
            await asyncio.to_thread(self._collector.collect, everything=everything)

    def held(self) -> Iterator[Held]:
        """What ``collect_garbage`` judges; built-in images are nobody's to remove."""
        for path in self._manifests.glob("*.json"):
            manifest = json.loads(path.read_text())
            layers = frozenset(self._layers.path(layer).name for layer in manifest["layers"])
            yield Held(manifest["name"], manifest["created"], layers, str(manifest["source"]).startswith(PULLED))

    def save(self, name: ImageName, path: Path) -> None:
        """An archive of the image. Raises LookupError where it is not here, OSError."""
        manifest = self._read_manifest(name)
        if manifest is None or not self._is_whole(manifest):
            raise LookupError(str(name))
        layers = [self._layers.path(layer) for layer in manifest["layers"]]
        save_image(path, name=str(name), config=manifest["config"], layers=layers)

    def build(self, name: ImageName, folder: Path, *, base: ImageName | None, changes: dict[str, Any]) -> str:
        """An image whose uppermost layer holds what is in ``folder``, as root's; its digest. ``base`` gives the layers
        below and the config that ``changes`` are made to. Raises LookupError for a base that is not here, OSError.
        """
        found = self._read_manifest(base) if base is not None else None
        if base is not None and (found is None or not self._is_whole(found)):
            raise LookupError(str(base))
        self.directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="building-", dir=self.directory) as directory:
            layer = Path(directory, "layer.tar")
            pack_layer(folder, layer, owner=(0, 0))
            with layer.open("rb") as file:
                diff_id = "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
                file.seek(0)
                if not self._layers.has(diff_id):
                    self._layers.add(diff_id, read_layer(file, "built", diff_id), name="built")
        layers = (*(found["layers"] if found else ()), diff_id)
        own = {"architecture": own_architecture(), "os": "linux"}
        config = render_config(found["config"] if found else own, **changes)
        config["rootfs"] = {"type": "layers", "diff_ids": list(layers)}
        image = ArchivedImage((), json.dumps(config, sort_keys=True).encode(), layers)
        self._write_manifest(name, image, layers, source=f"folder {folder}")
        return image.digest

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

        A folder is taken as an OCI image layout. Raises ArchiveError, LayerError, InvalidNameError or OSError; then
        nothing of the failing image is stored.
        """
        if path.is_dir():
            with tempfile.TemporaryDirectory() as temporary:
                with tarfile.open(Path(temporary, path.name), "w") as archive:
                    archive.add(path, ".")
                return self.load_archive(Path(temporary, path.name), name=name, source=source)
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
        size: int = 0,
    ) -> None:
        manifest = {
            "name": str(name),
            "digest": image.digest,
            "config": json.loads(image.config),
            "layers": layers,
            "created": self._clock.time(),
            "source": source,
            "digests": digests,
            "size": size,
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
