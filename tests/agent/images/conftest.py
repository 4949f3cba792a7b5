"""Layers and archives made in memory."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import AsyncIterator, Callable
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


class FakeRegistry:
    """A registry on loopback that answers what ``blobs`` and ``manifests`` hold, unless a fault is scripted.

    ``faults``: part of a path → what to do the next times it is asked for: bytes are an answer sent as they are,
    ("cut", n) sends n bytes of the body, ("hang", n) sends n bytes and then nothing.
    """

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, tuple[str, bytes]] = {}
        self.faults: dict[str, list[bytes | tuple[str, int]]] = {}
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.token = ""
        self.ranges = True
        self.open = 0
        self.most = 0
        self.gate: asyncio.Event | None = None
        self.blob_asked = asyncio.Event()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.host = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    def push(self, tag: str, *layers: bytes, kind: str = "application/vnd.oci.image") -> Entry:
        """Stores an image of gzip layers; its manifest."""
        config = {"config": {"Cmd": ["x"]}, "rootfs": {"diff_ids": [digest_of(layer) for layer in layers]}}
        described = [self._blob(gzip.compress(layer, mtime=0), f"{kind}.layer.v1.tar+gzip") for layer in layers]
        manifest = {"schemaVersion": 2, "config": self._blob(json.dumps(config).encode(), kind), "layers": described}
        self.push_manifest(tag, f"{kind}.manifest.v1+json", manifest)
        return manifest

    def push_manifest(self, tag: str, media_type: str, manifest: Entry) -> Entry:
        body = json.dumps(manifest).encode()
        digest = digest_of(body)
        self.manifests[tag] = self.manifests[digest] = (media_type, body)
        return {"mediaType": media_type, "digest": digest, "size": len(body)}

    def paths(self, part: str = "") -> list[str]:
        return [path for _, path, _ in self.asked if part in path]

    def _blob(self, data: bytes, kind: str) -> Entry:
        self.blobs[digest_of(data)] = data
        return {"mediaType": kind, "digest": digest_of(data), "size": len(data)}

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            method, path, _ = lines[0].split(" ")
            headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines[1:])}
            self.asked.append((method, path, headers))
            if "/blobs/" in path:
                self.blob_asked.set()
                if self.gate is not None:
                    await self.gate.wait()
            scripted = next((faults.pop(0) for part, faults in self.faults.items() if part in path and faults), None)
            if isinstance(scripted, bytes):
                writer.write(scripted)
            else:
                await self._send(reader, writer, self._answer(method, path, headers), scripted)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def _send(self, reader: Any, writer: Any, answer: tuple[bytes, bytes], fault: Any) -> None:
        head, body = answer
        writer.write(head)
        writer.write(body if fault is None else body[: fault[1]])
        await writer.drain()
        if fault is not None and fault[0] == "hang":
            await reader.read()  # until the other side has enough

    def _answer(self, method: str, path: str, headers: dict[str, str]) -> tuple[bytes, bytes]:
        if path.startswith("/token"):
            return render(200, json.dumps({"token": self.token}).encode())
        if self.token and headers.get("authorization") != f"Bearer {self.token}":
            realm = f'Bearer realm="http://{self.host}/token",service="fake",scope="repository:web:pull"'
            return render(401, b"{}", f"WWW-Authenticate: {realm}")
        reference = path.partition("?")[0].rpartition("/")[2]
        if "/manifests/" in path and reference in self.manifests:
            media_type, body = self.manifests[reference]
            told = f"Content-Type: {media_type}\r\nDocker-Content-Digest: {digest_of(body)}"
            head, _ = render(200, body, told)
            return head, b"" if method == "HEAD" else body
        if "/blobs/" in path and reference in self.blobs:
            body = self.blobs[reference]
            start = int(headers.get("range", "bytes=0-")[6:-1]) if self.ranges else 0
            extra = f"Content-Range: bytes {start}-{len(body) - 1}/{len(body)}"
            return render(206, body[start:], extra) if start else render(200, body)
        text = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}
        return render(404, json.dumps(text).encode())


def render(status: int, body: bytes, *headers: str) -> tuple[bytes, bytes]:
    lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode(), body


@pytest.fixture
async def registry() -> AsyncIterator[FakeRegistry]:
    fake = FakeRegistry()
    await fake.start()
    yield fake
    await fake.stop()
