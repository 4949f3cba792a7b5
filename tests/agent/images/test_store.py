"""Images known to a node: by archive, built in, and what the pull policies say of the others."""

from __future__ import annotations

import gzip
import json
import os
import platform
import random
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from seamark.agent.images.archive import ARCHITECTURES, ArchiveError
from seamark.agent.images.layers import LayerError
from seamark.agent.images.names import InvalidNameError
from seamark.agent.images.store import ImageStore
from seamark.linux.runtime import RuntimeFault
from seamark.testing.clock import FakeClock

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to unpack layers")

PREFIX = os.path.realpath(sys.prefix)
HERE = ARCHITECTURES.get(platform.machine(), platform.machine())
CONFIG = {
    "Env": ["PATH=/bin", "EMPTY=", "EQ=a=b"],
    "Entrypoint": ["/entry"],
    "Cmd": ["arg"],
    "User": "web",
    "WorkingDir": "/srv",
}


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "images", FakeClock())


async def test_docker_archive(
    store: ImageStore, tmp_path: Path, layer: Callable[..., bytes], docker_archive: Callable[..., str]
) -> None:
    base, top = layer({"name": "a", "data": b"base"}), layer({"name": "b", "data": b"top"})
    digest = docker_archive(tmp_path / "x.tar", [base, top], tags=["web:1", "reg.example/web:2"], config=CONFIG)
    assert store.load_archive(tmp_path / "x.tar") == ("docker.io/library/web:1", "reg.example/web:2")
    image = await store.resolve("web:1", policy="Always")
    assert (image.digest, image.entrypoint, image.command) == (digest, ("/entry",), ("arg",))
    assert (image.env, image.user) == ((("PATH", "/bin"), ("EMPTY", ""), ("EQ", "a=b")), "web")
    assert [sorted(os.listdir(directory)) for directory in image.rootfs] == [["a"], ["b"]]
    assert (await store.resolve("docker.io/library/web:1@" + digest, policy="Never")).rootfs == image.rootfs


async def test_oci_layout_of_several_platforms(
    store: ImageStore, tmp_path: Path, layer: Callable[..., bytes], oci_archive: Callable[..., None]
) -> None:
    oci_archive(tmp_path / "x.tar", layer({"name": "f", "data": b"1"}), architecture=HERE, name="reg.example/a:1")
    assert store.load_archive(tmp_path / "x.tar") == ("reg.example/a:1",)
    image = await store.resolve("reg.example/a:1", policy="IfNotPresent")
    assert os.listdir(image.rootfs[0]) == ["f"]


async def test_a_nameless_image_needs_a_name(
    store: ImageStore, tmp_path: Path, layer: Callable[..., bytes], oci_archive: Callable[..., None]
) -> None:
    oci_archive(tmp_path / "x.tar", layer({"name": "f"}), architecture=HERE)
    with pytest.raises(ArchiveError, match="no name"):
        store.load_archive(tmp_path / "x.tar")
    assert store.load_archive(tmp_path / "x.tar", name="mine") == ("docker.io/library/mine:latest",)
    with pytest.raises(InvalidNameError):
        store.load_archive(tmp_path / "x.tar", name="Mine")


async def test_layers_are_shared_and_loading_again_changes_nothing(
    store: ImageStore, tmp_path: Path, layer: Callable[..., bytes], docker_archive: Callable[..., str]
) -> None:
    base = layer({"name": "a"})
    for name in ("one", "two"):
        docker_archive(tmp_path / name, [base, layer({"name": name})], tags=[name])
        for _ in range(2):
            store.load_archive(tmp_path / name)
    assert len(list((tmp_path / "images/layers").iterdir())) == 3
    first, second = [(await store.resolve(name, policy="Never")).rootfs for name in ("one", "two")]
    assert first[0] == second[0]
    assert first[1] != second[1]


async def test_a_compressed_archive(
    store: ImageStore, tmp_path: Path, layer: Callable[..., bytes], docker_archive: Callable[..., str]
) -> None:
    docker_archive(tmp_path / "x.tar", [layer({"name": "a"})], tags=["x"])
    (tmp_path / "x.tar.gz").write_bytes(gzip.compress((tmp_path / "x.tar").read_bytes()))
    assert store.load_archive(tmp_path / "x.tar.gz") == ("docker.io/library/x:latest",)


def rewrite(path: Path, change: Callable[[str, bytes], bytes]) -> None:
    """The archive with each member's content passed through ``change``."""
    with tarfile.open(path) as tar:
        files = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            source = path.with_name("member")
            source.write_bytes(change(name, data))
            tar.add(source, name)


@pytest.mark.parametrize(
    ("member", "data", "message"),
    [
        ("0/layer.tar", b"\x28\xb5\x2f\xfdxx", "layer 0/layer.tar: Compressed file ended"),
        ("0/layer.tar", b"garbage" * 200, "layer 0/layer.tar"),
        ("config.json", b"{}", "no rootfs.diff_ids"),
        ("config.json", b'{"rootfs":{"diff_ids":[]}}', "0 diff_ids for 1 layers"),
        ("config.json", b'{"rootfs":{"diff_ids":["sha256:../../x"]}}', "is no sha256 digest"),
        ("manifest.json", b"[", "manifest.json"),
        ("manifest.json", b'[{"Config":"nope","Layers":[]}]', "no member nope"),
        ("manifest.json", b"[7]", "not built as such"),
        ("manifest.json", b'[{"Config":"config.json"}]', "not built as such: KeyError 'Layers'"),
    ],
    ids=["zstd", "garbage", "no-rootfs", "too-few", "bad-digest", "bad-json", "missing-member", "no-entry", "no-field"],
)
async def test_a_broken_archive_stores_nothing(
    store: ImageStore,
    tmp_path: Path,
    layer: Callable[..., bytes],
    docker_archive: Callable[..., str],
    member: str,
    data: bytes,
    message: str,
) -> None:
    docker_archive(tmp_path / "x.tar", [layer({"name": "a", "data": b"1"})], tags=["x"])
    rewrite(tmp_path / "x.tar", lambda name, old: data if name == member else old)
    with pytest.raises((ArchiveError, LayerError), match=message):
        store.load_archive(tmp_path / "x.tar")
    assert [image.size for image in store.list_images()] == [0, 0]
    layers = tmp_path / "images/layers"
    assert not layers.exists() or not list(layers.iterdir())


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("compress", [False, True])
def test_an_archive_cut_short_stores_nothing(
    store: ImageStore,
    tmp_path: Path,
    layer: Callable[..., bytes],
    docker_archive: Callable[..., str],
    share: float,
    compress: bool,
) -> None:
    path = tmp_path / "x.tar"
    content = random.Random(1).randbytes(100_000)
    docker_archive(path, [layer({"name": "a", "data": content})], tags=["x"])
    data = gzip.compress(path.read_bytes()) if compress else path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises((ArchiveError, LayerError)) as error:
        store.load_archive(path)
    assert "\n" not in str(error.value)
    assert [image.size for image in store.list_images()] == [0, 0]


async def test_a_layer_that_is_not_what_the_image_says(
    store: ImageStore, tmp_path: Path, layer: Callable[..., bytes], docker_archive: Callable[..., str]
) -> None:
    docker_archive(tmp_path / "x.tar", [layer({"name": "a", "data": b"1"})], tags=["x"])
    other = layer({"name": "a", "data": b"2"})
    rewrite(tmp_path / "x.tar", lambda name, old: other if name.endswith("layer.tar") else old)
    with pytest.raises(ArchiveError, match="its content is sha256:"):
        store.load_archive(tmp_path / "x.tar")
    assert not list((tmp_path / "images/layers").iterdir())


def test_no_archive_at_all(store: ImageStore, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("hello")
    with pytest.raises(ArchiveError, match="not a tar archive"):
        store.load_archive(tmp_path / "x")
    with tarfile.open(tmp_path / "y", "w") as tar:
        tar.add(tmp_path / "x", "x")
    with pytest.raises(ArchiveError, match=r"neither manifest\.json"):
        store.load_archive(tmp_path / "y")


@pytest.mark.parametrize(
    ("name", "policy", "reason", "message"),
    [
        ("nosuch:1", "Never", "ErrImageNeverPull", "not present with pull policy of Never"),
        ("nosuch:1", "IfNotPresent", "ErrImagePull", "seamark image load"),
        ("nosuch:1", "Always", "ErrImagePull", 'failed to pull image "nosuch:1": not found'),
        ("NoSuch", "Always", "InvalidImageName", "lower case"),
        ("seamark.local/other", "Always", "ErrImagePull", "not found"),
    ],
)
async def test_images_that_are_not_there(store: ImageStore, name: str, policy: str, reason: str, message: str) -> None:
    with pytest.raises(RuntimeFault, match=message) as caught:
        await store.resolve(name, policy=policy)  # type: ignore[arg-type]
    assert caught.value.reason == reason


async def test_built_in_images_have_any_tag(store: ImageStore) -> None:
    host = await store.resolve("seamark.local/host:whatever", policy="Always")
    assert (host.name, host.rootfs, host.entrypoint) == ("seamark.local/host:whatever", ("/",), ())
    own = await store.resolve("seamark.local/seamark", policy="Never")
    assert own.entrypoint == (sys.executable, "-m", "seamark")
    assert own.digest != host.digest


async def test_an_installation_inside_the_hidden_data_directory_is_shown(tmp_path: Path) -> None:
    outside = ImageStore(tmp_path / "images", FakeClock())
    inside = ImageStore(Path(PREFIX).parent / "images", FakeClock())
    shown = {
        name: (await store.resolve("seamark.local/seamark", policy="Never")).binds
        for name, store in (("outside", outside), ("inside", inside))
    }
    assert set(shown["inside"]) - set(shown["outside"]) >= {PREFIX}
    assert (await inside.resolve("seamark.local/host", policy="Never")).binds == (
        await outside.resolve("seamark.local/host", policy="Never")
    ).binds


async def test_list(
    store: ImageStore, tmp_path: Path, layer: Callable[..., bytes], docker_archive: Callable[..., str]
) -> None:
    assert [image.name for image in store.list_images()] == ["seamark.local/host", "seamark.local/seamark"]
    docker_archive(tmp_path / "x", [layer({"name": "a", "data": b"12345"})], tags=["x"])
    store.load_archive(tmp_path / "x")
    image = store.list_images()[-1]
    assert (image.name, image.size, image.created) == ("docker.io/library/x:latest", 5, 1_700_000_000.0)


async def test_a_name_as_long_as_names_get(
    store: ImageStore, tmp_path: Path, layer: Callable[..., bytes], docker_archive: Callable[..., str]
) -> None:
    name = "reg.example/" + "/".join(["component"] * 20) + ":" + "t" * 100
    docker_archive(tmp_path / "x", [layer({"name": "a"})], tags=[name])
    store.load_archive(tmp_path / "x")
    assert (await store.resolve(name, policy="Never")).name == name
    manifests = list((tmp_path / "images/manifests").iterdir())
    assert json.loads(manifests[0].read_text())["name"] == name
