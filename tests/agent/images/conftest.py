"""Layers and archives made in memory."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Entry = dict[str, Any]


def make_layer(*entries: Entry) -> bytes:
    """Each entry: ``name`` and what differs from a plain empty file (``type``, ``data``, ``linkname``, ``mode``…)."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for entry in entries:
            member = tarfile.TarInfo(entry["name"])
            for field, value in entry.items():
                if field not in {"name", "data"}:
                    setattr(member, field, value)
            data = entry.get("data", b"")
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return buffer.getvalue()


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def make_docker_archive(path: Path, layers: list[bytes], *, tags: list[str], config: Entry | None = None) -> str:
    """As ``docker save`` writes it; returns the image's digest."""
    full = {"config": config or {}, "rootfs": {"type": "layers", "diff_ids": [digest_of(layer) for layer in layers]}}
    text = json.dumps(full).encode()
    with tarfile.open(path, "w") as tar:
        files = {f"{n}/layer.tar": layer for n, layer in enumerate(layers)} | {"config.json": text}
        names = [f"{n}/layer.tar" for n in range(len(layers))]
        files["manifest.json"] = json.dumps([{"Config": "config.json", "RepoTags": tags, "Layers": names}]).encode()
        for name, data in files.items():
            add(tar, name, data)
    return digest_of(text)


def make_oci_archive(path: Path, layer: bytes, *, architecture: str, name: str = "", compress: bool = True) -> None:
    """An image layout whose index holds an index of platforms, as ``docker buildx`` writes it."""
    blobs: dict[str, bytes] = {}

    def blob(kind: str, data: bytes) -> Entry:
        digest = digest_of(data)
        blobs["blobs/" + digest.replace(":", "/")] = data
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": digest, "size": len(data)}

    config = blob("config.v1+json", json.dumps({"rootfs": {"diff_ids": [digest_of(layer)]}, "config": {}}).encode())
    stored = gzip.compress(layer) if compress else layer
    manifest = {"schemaVersion": 2, "config": config, "layers": [blob("layer.v1.tar+gzip", stored)]}
    platform = blob("manifest.v1+json", json.dumps(manifest).encode())
    platform["platform"] = {"os": "linux", "architecture": architecture}
    foreign = {"mediaType": platform["mediaType"], "digest": digest_of(b"absent"), "size": 1}
    foreign["platform"] = {"os": "windows", "architecture": architecture}
    index = blob("index.v1+json", json.dumps({"schemaVersion": 2, "manifests": [foreign, platform]}).encode())
    index["annotations"] = {"org.opencontainers.image.ref.name": name} if name else {}
    with tarfile.open(path, "w") as tar:
        add(tar, "./index.json", json.dumps({"schemaVersion": 2, "manifests": [index]}).encode())
        for member, data in blobs.items():
            add(tar, "./" + member, data)


def add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


@pytest.fixture
def layer() -> Callable[..., bytes]:
    return make_layer


@pytest.fixture
def docker_archive() -> Callable[..., str]:
    return make_docker_archive


@pytest.fixture
def oci_archive() -> Callable[..., None]:
    return make_oci_archive
