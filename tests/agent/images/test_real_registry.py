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


BUSY = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"
DENIED = b'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\n\r\n'
FINE = ("", 0)  # the first blob that is asked for is the config, which is small
HEAD_ROOM = 2000  # bytes of an answer's head, at most


class BadLine:
    """A line to a registry that spoils the answers to what is asked for blobs, one fault for each.

    Bytes are an answer in the registry's place; ("cut", n) ends after n bytes, ("hang", n) says no more after n,
    ("flip", n) changes the byte at n.
    """

    def __init__(self, upstream: str, *faults: bytes | tuple[str, int]) -> None:
        self.faults = list(faults)
        self._host, _, port = upstream.partition(":")
        self._port = int(port)
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            fault = self.faults.pop(0) if b"/blobs/" in request.split(b"\r\n")[0] and self.faults else None
            if isinstance(fault, bytes):
                writer.write(fault)
                return
            answer = bytearray(await self._ask(request))
            kind, at = fault or FINE
            if kind == "flip":
                answer[at] ^= 1
            writer.write(answer if kind in ("", "flip") else answer[:at])
            await writer.drain()
            if kind == "hang":
                await reader.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _ask(self, request: bytes) -> bytes:
        upstream, writer = await asyncio.open_connection(self._host, self._port)
        writer.write(request)
        answer = await upstream.read(-1)
        writer.close()
        return answer


async def test_over_a_bad_line(tmp_path: Path, layer: Callable[..., bytes]) -> None:
    """What is cut short, held up, spoilt or put off arrives all the same; what is refused is said."""
    registries = Registries(connect=2.0, read=0.5)
    plain = layer({"name": "big", "data": os.urandom(300_000)})
    stories: dict[str, tuple[bytes | tuple[str, int], ...]] = {
        "truncated": (FINE, ("cut", 100_000), ("cut", 50_000)),
        "slow": (FINE, ("hang", 100_000)),
        "wrong digest": (FINE, ("flip", HEAD_ROOM + 100_000)),
        "busy": (BUSY, BUSY, BUSY),
    }
    async with running(tmp_path) as upstream:
        await asyncio.to_thread(push, upstream, "k8s/web", "v1", [plain])
        for name, faults in stories.items():
            line = BadLine(upstream, *faults)
            async with line as address:
                store = ImageStore(tmp_path / name, SystemClock(), registries=registries)
                image = await store.resolve(f"{address}/k8s/web:v1", policy="Always")
                assert (Path(image.rootfs[0]) / "big").stat().st_size == 300_000, name
                assert line.faults == [], name
        async with BadLine(upstream, DENIED, DENIED) as address:
            store = ImageStore(tmp_path / "denied", SystemClock(), registries=registries)
            with pytest.raises(RuntimeFault, match="401") as denied:
                await store.resolve(f"{address}/k8s/web:v1", policy="Always")
            assert denied.value.reason == "ErrImagePull"
