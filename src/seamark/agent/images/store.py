"""``ImageStore``: the images of a data directory, and the pull policy's decisions.

    images/manifests/NAME.json   name, digest, config and the digests of its layers; written last, atomically
    images/layers/DIGEST/        a layer, unpacked once, shared by all images that have it

Several processes may use one store: every file appears by rename, nothing is changed in place, and each ``resolve``
looks at the disk. Pulling from registries is not there yet and says so.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import lzma
import os
import shutil
import tarfile
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from seamark.agent.images.archive import ArchivedImage, ArchiveError, open_layer, read_images
from seamark.agent.images.builtin import HOST, SEAMARK, builtin_image
from seamark.agent.images.layers import LayerError, unpack_layer
from seamark.agent.images.names import ImageName, InvalidNameError, parse_image_name
from seamark.linux.runtime import Image, RuntimeFault
from seamark.machinery.clock import Clock

DAMAGED = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile)
"""What reading a file raises that was cut short or changed."""


@dataclass(frozen=True, slots=True)
class StoredImage:
    """One row of ``seamark image list``. ``size`` is that of its layers, unpacked; 0 for a built-in image."""

    name: str
    digest: str
    size: int
    created: float


class ImageStore:
    """``directory`` is DATA/images; made when the first image is stored."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        self.directory = directory.absolute()
        self._manifests = self.directory / "manifests"
        self._layers = self.directory / "layers"
        self._clock = clock

    async def resolve(self, name: str, *, policy: Literal["Always", "IfNotPresent", "Never"]) -> Image:
        """``Always`` asks a registry where there is one; what is known here under the exact name serves until then."""
        try:
            parsed = parse_image_name(name)
        except InvalidNameError as error:
            raise RuntimeFault("InvalidImageName", str(error)) from None
        image = builtin_image(parsed.repository, name, data=self.directory.parent) or self._find(parsed, name)
        if image:
            return image
        if policy == "Never":
            message = f'container image "{name}" is not present with pull policy of Never'
            raise RuntimeFault("ErrImageNeverPull", message)
        raise RuntimeFault(
            "ErrImagePull",
            f'failed to pull image "{name}": not found on this node, and pulling from registries is not supported yet; '
            "load it with `seamark image load FILE`",
        )

    def _find(self, parsed: ImageName, name: str) -> Image | None:
        manifest = self._read_manifest(parsed)
        if manifest is None:
            return None
        config = manifest["config"].get("config") or {}
        return Image(
            name=name,
            digest=manifest["digest"],
            rootfs=tuple(str(self._layer_directory(layer)) for layer in manifest["layers"]),
            entrypoint=tuple(config.get("Entrypoint") or ()),
            command=tuple(config.get("Cmd") or ()),
            env=tuple(_split_variable(variable) for variable in config.get("Env") or ()),
            working_dir=config.get("WorkingDir") or "/",
            user=config.get("User") or "",
        )

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
            size = sum(_directory_size(self._layer_directory(layer)) for layer in manifest["layers"])
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
                self._write_manifest(target, image, layers, source)
            loaded += [str(target) for target in parsed]
        return tuple(loaded)

    def _unpack(self, archive: tarfile.TarFile, image: ArchivedImage) -> tuple[str, ...]:
        diff_ids = _parse_diff_ids(image)
        self._layers.mkdir(mode=0o711, parents=True, exist_ok=True)
        for member, diff_id in zip(image.layers, diff_ids, strict=True):
            target = self._layer_directory(diff_id)
            if target.is_dir():
                continue
            temporary = Path(tempfile.mkdtemp(prefix="unpacking-", dir=self._layers))
            try:
                temporary.chmod(0o755)
                with open_layer(archive, member, diff_id) as layer:
                    unpack_layer(layer, temporary)
                _rename_once(temporary, target)
            except DAMAGED as error:
                raise LayerError(f"layer {member}: {error}") from None
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
        return diff_ids

    def _write_manifest(self, name: ImageName, image: ArchivedImage, layers: tuple[str, ...], source: str) -> None:
        manifest = {
            "name": str(name),
            "digest": image.digest,
            "config": json.loads(image.config),
            "layers": layers,
            "created": self._clock.time(),
            "source": source,
        }
        self._manifests.mkdir(mode=0o755, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=self._manifests, prefix="new-", delete=False) as file:
            json.dump(manifest, file)
        os.replace(file.name, self._manifest_path(name))

    def _read_manifest(self, name: ImageName) -> dict[str, Any] | None:
        try:
            manifest: dict[str, Any] = json.loads(self._manifest_path(name).read_text())
        except FileNotFoundError:
            return None
        return None if name.digest and name.digest != manifest["digest"] else manifest

    def _manifest_path(self, name: ImageName) -> Path:
        text = f"{name.repository}:{name.tag or 'latest'}"
        file = quote(text, safe="")
        return self._manifests / (f"{file if len(file) < 200 else hashlib.sha256(text.encode()).hexdigest()}.json")

    def _layer_directory(self, digest: str) -> Path:
        return self._layers / digest.removeprefix("sha256:")


def _parse_diff_ids(image: ArchivedImage) -> tuple[str, ...]:
    try:
        diff_ids = tuple(str(digest) for digest in json.loads(image.config)["rootfs"]["diff_ids"])
    except (ValueError, KeyError, TypeError) as error:
        raise ArchiveError(f"image config {image.digest}: no rootfs.diff_ids: {error}") from None
    if len(diff_ids) != len(image.layers):
        raise ArchiveError(f"image config {image.digest}: {len(diff_ids)} diff_ids for {len(image.layers)} layers")
    for digest in diff_ids:
        kind, _, value = digest.partition(":")
        if kind != "sha256" or len(value) != 64 or set(value) - set("0123456789abcdef"):
            raise ArchiveError(f"image config {image.digest}: rootfs.diff_ids: {digest!r} is no sha256 digest")
    return diff_ids


def _rename_once(temporary: Path, target: Path) -> None:
    try:
        temporary.rename(target)
    except OSError:
        if not target.is_dir():  # else another process unpacked the same layer meanwhile
            raise


def _split_variable(variable: str) -> tuple[str, str]:
    name, _, value = variable.partition("=")
    return name, value


def _directory_size(directory: Path) -> int:
    return sum(path.lstat().st_size for path in directory.rglob("*") if not path.is_dir())
