"""Image archives: a docker-archive (``docker save``) or an OCI image layout, as one tar file. Reading and writing.

Layers are tar files, plain or compressed with gzip or zstd. Encrypted layers and schema 1 are refused by name.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib
import io
import json
import platform
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "riscv64": "riscv64", "s390x": "s390x"}
INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


def own_architecture() -> str:
    return ARCHITECTURES.get(platform.machine(), platform.machine())


class ArchiveError(ValueError):
    """Names the archive's part and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class ArchivedImage:
    """``config`` are the exact bytes whose digest is the image's; ``layers`` the archive's members, lowest first."""

    names: tuple[str, ...]
    config: bytes
    layers: tuple[str, ...]

    @property
    def digest(self) -> str:
        return "sha256:" + hashlib.sha256(self.config).hexdigest()


def read_images(archive: tarfile.TarFile) -> tuple[ArchivedImage, ...]:
    """Raises ArchiveError for anything that is not built as either format says."""
    try:
        return _read_images(archive)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ArchiveError(f"the archive's manifests are not built as such: {type(error).__name__} {error}") from None


def _read_images(archive: tarfile.TarFile) -> tuple[ArchivedImage, ...]:
    members = {member.name.removeprefix("./"): member.name for member in archive.getmembers()}
    if "manifest.json" in members:
        entries = _read_json(archive, members["manifest.json"])
        return tuple(_docker_image(archive, members, entry) for entry in entries)
    if "index.json" in members:
        return tuple(_oci_images(archive, members, _read_json(archive, members["index.json"])))
    raise ArchiveError("the archive holds neither manifest.json (docker save) nor index.json (OCI image layout)")


def _docker_image(archive: tarfile.TarFile, members: dict[str, str], entry: dict[str, Any]) -> ArchivedImage:
    config = _read(archive, _member(members, entry["Config"]))
    layers = tuple(_member(members, layer) for layer in entry["Layers"])
    return ArchivedImage(tuple(entry.get("RepoTags") or ()), config, layers)


def _oci_images(archive: tarfile.TarFile, members: dict[str, str], index: dict[str, Any]) -> Iterator[ArchivedImage]:
    for descriptor in index.get("manifests", ()):
        annotations = descriptor.get("annotations") or {}
        name = annotations.get("io.containerd.image.name") or annotations.get("org.opencontainers.image.ref.name") or ""
        manifest = _manifest(archive, members, descriptor)
        config = _read(archive, _blob(members, manifest["config"]["digest"]))
        layers = tuple(_blob(members, layer["digest"]) for layer in manifest["layers"])
        yield ArchivedImage((name,) if name else (), config, layers)


def _manifest(archive: tarfile.TarFile, members: dict[str, str], descriptor: dict[str, Any]) -> dict[str, Any]:
    """The image manifest; of an index the entry for this machine's architecture."""
    data: dict[str, Any] = _read_json(archive, _blob(members, descriptor["digest"]))
    if descriptor.get("mediaType") not in INDEX_TYPES and "manifests" not in data:
        return data
    wanted = own_architecture()
    for entry in data["manifests"]:
        target = entry.get("platform") or {}
        if (target.get("os"), target.get("architecture")) == ("linux", wanted):
            return _manifest(archive, members, entry)
    raise ArchiveError(f"the archive holds no image for linux/{wanted}")


def _blob(members: dict[str, str], digest: str) -> str:
    return _member(members, "blobs/" + digest.replace(":", "/", 1))


def _member(members: dict[str, str], name: str) -> str:
    if name not in members:
        raise ArchiveError(f"the archive has no member {name}")
    return members[name]


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    if file is None:
        raise ArchiveError(f"{name}: not a file")
    with file:
        return file.read()


def _read_json(archive: tarfile.TarFile, name: str) -> Any:
    try:
        return json.loads(_read(archive, name))
    except ValueError as error:
        raise ArchiveError(f"{name}: {error}") from None


class _Hashed(io.RawIOBase):
    """Reads on, and keeps the digest of what went through."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self.hash = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._source.read(len(buffer))
        buffer[: len(data)] = data
        self.hash.update(data)
        return len(data)


@contextmanager
def open_layer(archive: tarfile.TarFile, name: str, diff_id: str) -> Iterator[tarfile.TarFile]:
    """The layer's own tar, read once from front to end. Raises ArchiveError when its content is not ``diff_id``."""
    raw = archive.extractfile(name)
    if raw is None:
        raise ArchiveError(f"{name}: not a file")
    with raw, read_layer(raw, name, diff_id) as layer:
        yield layer


@contextmanager
def read_layer(raw: IO[bytes], name: str, diff_id: str) -> Iterator[tarfile.TarFile]:
    """The same of a file that holds nothing but the layer."""
    plain, damaged = _decompressed(raw)
    hashed = _Hashed(plain)
    buffered = io.BufferedReader(hashed, 1 << 20)
    try:
        with tarfile.open(fileobj=buffered, mode="r|") as layer:
            yield layer
        while buffered.read(1 << 20):
            pass
    except damaged as error:
        raise ArchiveError(f"layer {name}: {error}") from None
    found = "sha256:" + hashed.hash.hexdigest()
    if found != diff_id:
        raise ArchiveError(f"layer {name}: its content is {found}, the image says {diff_id}")


def _decompressed(raw: IO[bytes]) -> tuple[IO[bytes], tuple[type[Exception], ...]]:
    """And what reading raises, beyond what the caller knows, where the content is damaged."""
    magic = raw.read(4)
    raw.seek(0)
    if magic == ZSTD:
        zstd = _zstd()
        return zstd.ZstdFile(raw), (zstd.ZstdError,)
    return (gzip.GzipFile(fileobj=raw) if magic.startswith(GZIP) else raw), ()  # type: ignore[return-value]


def _zstd() -> Any:
    """Few images need it, and every node would carry it."""
    try:
        return importlib.import_module("compression.zstd")
    except ImportError:  # before Python 3.14
        return importlib.import_module("backports.zstd")


def write_oci_archive(path: Path, *, name: str, config: dict[str, Any], layers: Sequence[Path]) -> None:
    """An OCI image layout of plain tar ``layers``, which is a docker-archive, too; ``config`` is completed with their
    digests.
    """
    digests = [_file_digest(layer) for layer in layers]
    config = config | {"rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]}}
    with tarfile.open(path, "w") as archive:
        _add(archive, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        described = []
        for layer, digest in zip(layers, digests, strict=True):
            archive.add(layer, f"blobs/sha256/{digest}")
            described.append(_descriptor("layer.v1.tar", digest, layer.stat().st_size))
        manifest: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": _add_blob(archive, "config.v1+json", config),
            "layers": described,
        }
        entry = _add_blob(archive, "manifest.v1+json", manifest)
        entry["annotations"] = {"org.opencontainers.image.ref.name": name}
        _add(archive, "index.json", json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode())
        blobs = [f"blobs/sha256/{digest}" for digest in digests]
        config_blob = "blobs/" + manifest["config"]["digest"].replace(":", "/")
        saved = [{"Config": config_blob, "RepoTags": [name], "Layers": blobs}]
        _add(archive, "manifest.json", json.dumps(saved).encode())


def _add_blob(archive: tarfile.TarFile, kind: str, value: dict[str, Any]) -> dict[str, Any]:
    data = json.dumps(value, sort_keys=True).encode()
    digest = hashlib.sha256(data).hexdigest()
    _add(archive, f"blobs/sha256/{digest}", data)
    return _descriptor(kind, digest, len(data))


def _descriptor(kind: str, digest: str, size: int) -> dict[str, Any]:
    return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": size}


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
