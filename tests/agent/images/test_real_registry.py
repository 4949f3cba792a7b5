"""Pulling from Debian's docker-registry, started on loopback with its data in a directory of the test."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import os
import shutil
import socket
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urljoin

import pytest

from seamark.agent.images.registry import Registries
from seamark.agent.images.store import ImageStore
from seamark.linux.clock import SystemClock
from seamark.linux.runtime import RuntimeFault

PROGRAM = shutil.which("docker-registry")
pytestmark = [
    pytest.mark.skipif(PROGRAM is None, reason="Debian's docker-registry is not installed"),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to unpack layers"),
]
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


@asynccontextmanager
async def running(directory: Path) -> AsyncIterator[str]:
    """HOST:PORT once it answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    config = {"version": "0.1", "http": {"addr": address}, "log": {"level": "error", "accesslog": {"disabled": True}}}
    config["storage"] = {"filesystem": {"rootdirectory": str(directory / "data")}}
    (directory / "config.yml").write_text(json.dumps(config))  # YAML, too
    null = asyncio.subprocess.DEVNULL
    assert PROGRAM is not None
    environment = {"OTEL_TRACES_EXPORTER": "none", "PATH": os.environ["PATH"]}
    process = await asyncio.create_subprocess_exec(
        PROGRAM, "serve", str(directory / "config.yml"), stdout=null, stderr=null, env=environment
    )
    try:
        async with asyncio.timeout(20):
            await _answers(address)
        yield address
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _answers(address: str) -> None:
    host, _, port = address.partition(":")
    while True:
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except OSError:
            await asyncio.sleep(0.02)
            continue
        writer.close()
        await writer.wait_closed()
        return


def push(address: str, name: str, tag: str, layers: list[bytes]) -> str:
    """By the protocol, as docker push does; the manifest's digest."""
    config = {"config": {}, "rootfs": {"diff_ids": [_digest(layer) for layer in layers]}}
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": _push_blob(
            address, name, "application/vnd.docker.container.image.v1+json", json.dumps(config).encode()
        ),
        "layers": [
            _push_blob(address, name, "application/vnd.docker.image.rootfs.diff.tar.gzip", gzip.compress(layer))
            for layer in layers
        ],
    }
    body = json.dumps(manifest).encode()
    _ask("PUT", f"http://{address}/v2/{name}/manifests/{tag}", body, MANIFEST)
    return _digest(body)


def _push_blob(address: str, name: str, kind: str, data: bytes) -> dict[str, object]:
    start = f"http://{address}/v2/{name}/blobs/uploads/"
    location = urljoin(start, _ask("POST", start, b"", "application/octet-stream"))
    joint = "&" if "?" in location else "?"
    _ask("PUT", f"{location}{joint}digest={_digest(data)}", data, "application/octet-stream")
    return {"mediaType": kind, "digest": _digest(data), "size": len(data)}


def _ask(method: str, url: str, body: bytes, kind: str) -> str:
    request = urllib.request.Request(url, data=body, method=method, headers={"Content-Type": kind})
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
        return str(answer.headers["Location"])


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


async def test_pushed_pulled_changed_and_gone(tmp_path: Path, layer: Callable[..., bytes]) -> None:
    store = ImageStore(tmp_path / "images", SystemClock(), registries=Registries())
    base, one, two = (layer({"name": name, "data": name.encode() * 50_000}) for name in ("base", "one", "two"))
    async with running(tmp_path) as address:
        name = f"{address}/k8s/web:v1"
        digest = await asyncio.to_thread(push, address, "k8s/web", "v1", [base, one])
        first = await store.resolve(name, policy="IfNotPresent")
        assert [os.listdir(path) for path in first.rootfs] == [["base"], ["one"]]
        by_digest = await store.resolve(f"{address}/k8s/web@{digest}", policy="IfNotPresent")
        assert by_digest.rootfs == first.rootfs
        await asyncio.to_thread(push, address, "k8s/web", "v1", [base, two])
        assert (await store.resolve(name, policy="IfNotPresent")).rootfs == first.rootfs
        second = await store.resolve(name, policy="Always")
        assert [os.listdir(path) for path in second.rootfs] == [["base"], ["two"]]
        # A download that was cut short is gone on with at the registry's own hand.
        blob = gzip.compress(three := layer({"name": "three", "data": os.urandom(300_000)}))
        await asyncio.to_thread(push, address, "k8s/web", "v3", [three])
        part = store.directory / "downloads" / f"{_digest(blob).removeprefix('sha256:')}.part"
        part.write_bytes(blob[:100_000])
        assert os.listdir((await store.resolve(f"{address}/k8s/web:v3", policy="Always")).rootfs[0]) == ["three"]
        with pytest.raises(RuntimeFault, match="404 MANIFEST_UNKNOWN: manifest unknown"):
            await store.resolve(f"{address}/k8s/web:none", policy="IfNotPresent")
    with pytest.raises(RuntimeFault) as gone:
        await store.resolve(name, policy="Always")
    assert gone.value.reason == "ErrImagePull"
