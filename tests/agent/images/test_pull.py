"""Pulling from a registry on loopback: what arrives, what a fault costs, and what is told when it fails."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import platform
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from backports import zstd

from seamark.agent.images.archive import ARCHITECTURES
from seamark.agent.images.distribution import Credentials
from seamark.agent.images.names import parse_image_name
from seamark.agent.images.pull import Progress
from seamark.agent.images.registry import Registries, RegistryError, UnreachableError
from seamark.agent.images.store import ImageStore
from seamark.linux.runtime import RuntimeFault
from seamark.testing.clock import FakeClock

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to unpack layers")

HERE = ARCHITECTURES.get(platform.machine(), platform.machine())
Layer = Callable[..., bytes]


class Hurried(FakeClock):
    """Waits for nothing and remembers how long it should have."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)


@pytest.fixture
def clock() -> Hurried:
    return Hurried()


@pytest.fixture
def store(tmp_path: Path, clock: Hurried) -> ImageStore:
    return ImageStore(tmp_path / "images", clock, registries=Registries(connect=2.0, read=0.3))


@pytest.fixture
def big(layer: Layer) -> bytes:
    return layer({"name": "big", "data": random.Random(7).randbytes(600_000)})


def parts(store: ImageStore) -> list[str]:
    return sorted(os.listdir(store.directory / "downloads"))


async def test_an_image_is_pulled_once_and_only_what_is_missing(
    store: ImageStore, registry: Any, layer: Layer, big: bytes
) -> None:
    top = layer({"name": "top"})
    registry.push("1", big, top)
    name = f"{registry.host}/team/web:1"
    image = await store.resolve(name, policy="IfNotPresent")
    assert [os.listdir(directory) for directory in image.rootfs] == [["big"], ["top"]]
    assert (image.command, parts(store)) == (("x",), [])
    assert all(path.startswith("/v2/team/web/") for path in registry.paths())
    before = len(registry.asked)
    assert await store.resolve(name, policy="IfNotPresent") == image
    assert len(registry.asked) == before
    registry.push("2", big, layer({"name": "other"}))
    await store.resolve(f"{registry.host}/team/web:2", policy="IfNotPresent")
    assert len(registry.paths("/blobs/")) == 3 + 2  # a config and a layer, not the big one


async def test_always_asks_and_downloads_only_what_changed(store: ImageStore, registry: Any, layer: Layer) -> None:
    name = f"{registry.host}/web:1"
    registry.push("1", layer({"name": "old"}))
    old = await store.resolve(name, policy="Always")
    asked = len(registry.asked)
    assert await store.resolve(name, policy="Always") == old
    assert [method for method, _, _ in registry.asked[asked:]] == ["HEAD"]
    registry.push("1", layer({"name": "new"}))
    new = await store.resolve(name, policy="Always")
    assert os.listdir(new.rootfs[0]) == ["new"]
    registry.manifests.clear()
    with pytest.raises(RuntimeFault, match="404 MANIFEST_UNKNOWN: manifest unknown") as caught:
        await store.resolve(name, policy="Always")
    assert caught.value.reason == "ErrImagePull"


async def test_never_asks_nobody(store: ImageStore, registry: Any, layer: Layer) -> None:
    registry.push("1", layer({"name": "a"}))
    with pytest.raises(RuntimeFault) as caught:
        await store.resolve(f"{registry.host}/web:1", policy="Never")
    assert (caught.value.reason, registry.asked) == ("ErrImageNeverPull", [])


async def test_without_registries_nobody_is_asked(tmp_path: Path, registry: Any, layer: Layer) -> None:
    registry.push("1", layer({"name": "a"}))
    closed = ImageStore(tmp_path / "images", FakeClock())
    for policy in ("Always", "IfNotPresent"):
        with pytest.raises(RuntimeFault, match="seamark up --pull") as caught:
            await closed.resolve(f"{registry.host}/web:1", policy=policy)  # type: ignore[arg-type]
        assert caught.value.reason == "ErrImagePull"
    assert registry.asked == []


async def test_a_loaded_image_serves_when_its_registry_is_gone_a_pulled_one_does_not(
    store: ImageStore, registry: Any, layer: Layer, docker_archive: Callable[..., str], tmp_path: Path
) -> None:
    loaded, pulled = f"{registry.host}/loaded:1", f"{registry.host}/pulled:1"
    docker_archive(tmp_path / "x.tar", [layer({"name": "a"})], tags=[loaded])
    store.load_archive(tmp_path / "x.tar")
    registry.push("1", layer({"name": "b"}))
    await store.resolve(pulled, policy="Always")
    await registry.stop()
    assert os.listdir((await store.resolve(loaded, policy="Always")).rootfs[0]) == ["a"]
    assert os.listdir((await store.resolve(pulled, policy="IfNotPresent")).rootfs[0]) == ["b"]
    with pytest.raises(RuntimeFault, match=registry.host):
        await store.resolve(pulled, policy="Always")


async def test_a_list_gives_the_image_of_this_machine(store: ImageStore, registry: Any, layer: Layer) -> None:
    registry.push("mine", layer({"name": "mine"}), kind="application/vnd.docker.distribution")
    media_type, body = registry.manifests["mine"]
    mine = registry.push_manifest("mine", media_type, json.loads(body))
    foreign = {"digest": "sha256:" + "0" * 64, "size": 1, "platform": {"os": "linux", "architecture": "vax"}}
    index = {"schemaVersion": 2, "manifests": [foreign, mine | {"platform": {"os": "linux", "architecture": HERE}}]}
    entry = registry.push_manifest("1", "application/vnd.oci.image.index.v1+json", index)
    image = await store.resolve(f"{registry.host}/web@{entry['digest']}", policy="Always")
    assert os.listdir(image.rootfs[0]) == ["mine"]
    asked = len(registry.asked)
    await store.resolve(f"{registry.host}/web@{entry['digest']}", policy="Always")
    assert len(registry.asked) == asked  # a digest cannot change
    registry.push_manifest("2", "application/vnd.oci.image.index.v1+json", index | {"manifests": [foreign]})
    with pytest.raises(RuntimeFault, match=f"no image for linux/{HERE}, only for linux/vax"):
        await store.resolve(f"{registry.host}/web:2", policy="Always")


async def test_equal_pulls_are_one_and_layers_come_side_by_side(store: ImageStore, registry: Any, layer: Layer) -> None:
    registry.push("1", *(layer({"name": str(n)}) for n in range(5)))
    waiting = [asyncio.create_task(store.resolve(f"{registry.host}/web:1", policy="Always")) for _ in range(4)]
    images = await asyncio.gather(*waiting)
    assert len(set(images)) == 1
    assert len(registry.paths("/blobs/")) == 6
    assert 1 < registry.most <= 3


async def test_a_pull_nobody_waits_for_ends(store: ImageStore, registry: Any, layer: Layer) -> None:
    registry.push("1", layer({"name": "a"}))
    registry.gate = asyncio.Event()
    tasks = [asyncio.create_task(store.resolve(f"{registry.host}/web:1", policy="Always")) for _ in range(2)]
    await registry.blob_asked.wait()
    tasks[0].cancel()
    registry.gate.set()
    assert os.listdir((await tasks[1]).rootfs[0]) == ["a"]  # the other one still wants it
    registry.gate.clear()
    registry.blob_asked.clear()
    registry.push("2", layer({"name": "b"}))
    alone = asyncio.create_task(store.resolve(f"{registry.host}/web:2", policy="Always"))
    await registry.blob_asked.wait()
    alone.cancel()
    await asyncio.wait((alone,))
    registry.gate.set()
    pulls = [task for task in asyncio.all_tasks() if task.get_name().startswith("pull of")]
    if pulls:
        await asyncio.wait(pulls, timeout=5)
    assert all(task.cancelled() for task in pulls)
    with pytest.raises(RuntimeFault):
        await store.resolve(f"{registry.host}/web:2", policy="Never")


@pytest.mark.parametrize("ranges", [True, False])
async def test_a_truncated_blob_is_gone_on_with(store: ImageStore, registry: Any, big: bytes, *, ranges: bool) -> None:
    manifest = registry.push("1", big)
    blob = manifest["layers"][0]
    registry.ranges = ranges
    registry.faults[blob["digest"]] = [("cut", 200_000), ("cut", 100_000)] if ranges else [("cut", 200_000)]
    told: list[Progress] = []
    await store.pull(parse_image_name(f"{registry.host}/web:1"), tell=told.append)
    asked = [headers.get("range") for _, path, headers in registry.asked if blob["digest"] in path]
    assert asked == ([None, "bytes=200000-", "bytes=300000-"] if ranges else [None, "bytes=200000-"])
    assert told[-1] == Progress(blob["digest"], blob["size"], blob["size"])


async def test_what_came_survives_until_the_next_pull(store: ImageStore, registry: Any, big: bytes) -> None:
    blob = registry.push("1", big)["layers"][0]
    registry.faults[blob["digest"]] = [("cut", 200_000), *([("cut", 0)] * 5)]
    name = parse_image_name(f"{registry.host}/web:1")
    with pytest.raises(UnreachableError):
        await store.pull(name)
    assert len(parts(store)) == 1
    await store.pull(name)
    assert registry.asked[-1][2]["range"] == "bytes=200000-"
    assert parts(store) == []


async def test_a_slow_registry_is_left_and_asked_again(store: ImageStore, registry: Any, big: bytes) -> None:
    blob = registry.push("1", big)["layers"][0]
    registry.faults[blob["digest"]] = [("hang", 150_000)]
    await store.pull(parse_image_name(f"{registry.host}/web:1"))
    assert registry.asked[-1][2]["range"] == "bytes=150000-"


async def test_a_wrong_digest_is_never_used(store: ImageStore, registry: Any, big: bytes) -> None:
    blob = registry.push("1", big)["layers"][0]
    registry.blobs[blob["digest"]] = bytes(blob["size"])
    with pytest.raises(RuntimeFault, match=f"blob {blob['digest']}: its content is sha256:"):
        await store.resolve(f"{registry.host}/web:1", policy="Always")
    assert len(registry.paths(blob["digest"])) == 2
    assert not list(store.directory.glob("layers/*"))


async def test_a_blob_longer_than_said_is_refused(store: ImageStore, registry: Any, big: bytes) -> None:
    blob = registry.push("1", big)["layers"][0]
    registry.blobs[blob["digest"]] += b"more"
    with pytest.raises(RegistryError, match="longer than"):
        await store.pull(parse_image_name(f"{registry.host}/web:1"))


async def test_a_manifest_of_another_digest_is_refused(store: ImageStore, registry: Any, layer: Layer) -> None:
    registry.push("1", layer({"name": "a"}))
    wrong = "sha256:" + "1" * 64
    registry.manifests[wrong] = registry.manifests["1"]
    with pytest.raises(RegistryError, match=f"manifest {wrong}: its content is"):
        await store.pull(parse_image_name(f"{registry.host}/web@{wrong}"))


async def test_tokens(store: ImageStore, registry: Any, layer: Layer) -> None:
    registry.push("1", layer({"name": "a"}))
    registry.token = "s3cret"
    name = parse_image_name(f"{registry.host}/web:1")
    await store.pull(name, credentials=Credentials("me", "pw"))
    _, path, headers = next(asked for asked in registry.asked if asked[1].startswith("/token"))
    assert path == "/token?scope=repository%3Aweb%3Apull&service=fake"
    assert headers["authorization"] == Credentials("me", "pw").basic
    assert len(registry.paths("/token")) == 1
    registry.token = "no\nheader"
    registry.push("2", layer({"name": "b"}))
    with pytest.raises(RegistryError, match="no usable token"):
        await store.pull(parse_image_name(f"{registry.host}/web:2"))


async def test_basic_authentication(store: ImageStore, registry: Any, layer: Layer) -> None:
    registry.push("1", layer({"name": "a"}))
    registry.faults["/manifests/"] = [
        b'HTTP/1.1 401 X\r\nWWW-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\n\r\n'
    ]
    await store.pull(parse_image_name(f"{registry.host}/web:1"), credentials=Credentials("me", "pw"))
    assert {headers.get("authorization") for _, _, headers in registry.asked[1:]} == {"Basic bWU6cHc="}
    assert "authorization" not in registry.asked[0][2]


async def test_401_names_the_registrys_reason(store: ImageStore, registry: Any, layer: Layer) -> None:
    registry.push("1", layer({"name": "a"}))
    body = b'{"errors":[{"code":"UNAUTHORIZED","message":"who are you"}]}'
    head = f'HTTP/1.1 401 X\r\nWWW-Authenticate: Basic realm="x"\r\nContent-Length: {len(body)}\r\n\r\n'
    registry.faults["/manifests/"] = [head.encode() + body] * 2
    with pytest.raises(RuntimeFault, match="401 UNAUTHORIZED: who are you; without credentials"):
        await store.resolve(f"{registry.host}/web:1", policy="IfNotPresent")


async def test_429_waits_as_long_as_it_is_told(store: ImageStore, registry: Any, layer: Layer, clock: Hurried) -> None:
    blob = registry.push("1", layer({"name": "a"}))["layers"][0]
    busy = b"HTTP/1.1 429 X\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n"
    registry.faults = {"/manifests/": [busy], blob["digest"]: [busy.replace(b"7", b"9000")]}
    await store.pull(parse_image_name(f"{registry.host}/web:1"))
    assert clock.waits == [7.0, 60.0]
    registry.faults["/manifests/"] = [busy] * 9
    with pytest.raises(RuntimeFault, match="429"):
        await store.resolve(f"{registry.host}/other:1", policy="Always")
    assert len(registry.faults["/manifests/"]) == 5


async def test_redirects_carry_no_credentials_elsewhere(store: ImageStore, registry: Any, layer: Layer) -> None:
    blob = registry.push("1", layer({"name": "a"}))["layers"][0]
    registry.token = "s3cret"
    other = type(registry)()
    await other.start()
    other.blobs = registry.blobs
    location = f"http://{other.host}/elsewhere/blobs/{blob['digest']}"
    registry.faults[blob["digest"]] = [f"HTTP/1.1 307 X\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()]
    await store.pull(parse_image_name(f"{registry.host}/web:1"))
    await other.stop()
    assert [headers.get("authorization") for _, _, headers in other.asked] == [None]
    registry.faults["/manifests/"] = [b"HTTP/1.1 302 X\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n"]
    with pytest.raises(RegistryError, match="redirects to 'file:"):
        await store.pull(parse_image_name(f"{registry.host}/web:3"))


async def test_layers_compressed_with_zstd(store: ImageStore, registry: Any, layer: Layer) -> None:
    plain = layer({"name": "a", "data": b"text" * 1000})
    manifest = registry.push("1", plain)
    data = zstd.compress(plain)
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    kind = "application/vnd.oci.image.layer.v1.tar+zstd"
    manifest["layers"] = [{"mediaType": kind, "digest": digest, "size": len(data)}]
    registry.blobs[digest] = data
    registry.push_manifest("1", "application/vnd.oci.image.manifest.v1+json", manifest)
    image = await store.resolve(f"{registry.host}/web:1", policy="Always")
    assert (Path(image.rootfs[0]) / "a").read_bytes() == b"text" * 1000


class TestMirrors:
    @pytest.fixture
    def mirrored(self, tmp_path: Path, clock: Hurried, registry: Any) -> ImageStore:
        mirrors = (("registry.invalid", "http://127.0.0.1:1"), ("registry.invalid", f"http://{registry.host}/"))
        return ImageStore(tmp_path / "images", clock, registries=Registries(mirrors=mirrors, connect=2.0, read=0.3))

    async def test_the_first_that_has_the_image(self, mirrored: ImageStore, registry: Any, layer: Layer) -> None:
        registry.push("1", layer({"name": "a"}))
        image = await mirrored.resolve("registry.invalid/team/web:1", policy="Always")
        assert os.listdir(image.rootfs[0]) == ["a"]
        assert registry.paths("/v2/team/web/manifests/1?ns=registry.invalid")
        assert image.size > 0

    async def test_credentials_are_the_registrys_own(self, mirrored: ImageStore, registry: Any, layer: Layer) -> None:
        registry.push("1", layer({"name": "a"}))
        await mirrored.pull(parse_image_name("registry.invalid/web:1"), credentials=Credentials("u", "p"))
        assert {headers.get("authorization") for _, _, headers in registry.asked} == {None}

    async def test_the_registry_itself_comes_last(
        self, tmp_path: Path, clock: Hurried, registry: Any, layer: Layer
    ) -> None:
        registry.push("1", layer({"name": "a"}))
        mirrors = ((registry.host, "http://127.0.0.1:1"),)
        store = ImageStore(tmp_path / "images", clock, registries=Registries(mirrors=mirrors))
        await store.pull(parse_image_name(f"{registry.host}/web:1"))
        with pytest.raises(RegistryError, match="MANIFEST_UNKNOWN"):
            await store.pull(parse_image_name(f"{registry.host}/web:2"))


async def test_a_layer_that_is_no_archive_leaves_nothing(store: ImageStore, registry: Any) -> None:
    registry.push("1", b"this is no tar archive" * 100)
    with pytest.raises(RuntimeFault, match="layer sha256:"):
        await store.resolve(f"{registry.host}/web:1", policy="Always")
    assert parts(store) == []
    assert os.listdir(store.directory / "layers") == []


async def test_removed_images_and_their_layers_go(store: ImageStore, registry: Any, layer: Layer, clock: Any) -> None:
    registry.push("1", layer({"name": "a"}), layer({"name": "shared"}))
    registry.push("2", layer({"name": "b"}), layer({"name": "shared"}))
    one, two = (parse_image_name(f"{registry.host}/web:{tag}") for tag in "12")
    for name in (one, two):
        await store.pull(name)
    mounted = Path((await store.resolve(str(two), policy="Never")).rootfs[0]).name
    assert store.remove(one)
    assert not store.remove(one)
    assert store.collect_layers(frozenset()) == (0, 1)  # too young
    await clock.advance(4e9)
    assert store.collect_layers(frozenset()) == (1, 0)
    assert os.listdir((await store.resolve(str(two), policy="Never")).rootfs[1]) == ["shared"]
    store.remove(two)
    assert store.collect_layers(frozenset({mounted})) == (1, 1)
    assert os.listdir(store.directory / "layers") == [mounted]
