"""Images back into archives, and out of folders: what comes back is what was there."""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from seamark.agent.images.names import parse_image_name
from seamark.agent.images.store import ImageStore
from seamark.testing.clock import FakeClock

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to unpack layers")

NAME = parse_image_name("web:1")


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "images", FakeClock())


def shown(directory: str) -> dict[str, tuple[str, int, int, bytes]]:
    """Every file below: kind and mode, owner, links, content or target."""
    found = {}
    for root, directories, files in os.walk(directory):
        for name in (*directories, *files):
            path = Path(root, name)
            about = path.lstat()
            content = os.readlink(path).encode() if path.is_symlink() else path.read_bytes() if path.is_file() else b""
            links = about.st_nlink if path.is_file() else 0
            found[str(path.relative_to(directory))] = (stat.filemode(about.st_mode), about.st_uid, links, content)
    return found


async def test_a_saved_image_loads_as_it_was(
    store: ImageStore, tmp_path: Path, layer: Callable[..., bytes], docker_archive: Callable[..., str]
) -> None:
    base = layer(
        {"name": "dir", "type": tarfile.DIRTYPE, "mode": 0o750, "uid": 7},
        {"name": "dir/file", "data": b"text", "mode": 0o4755, "uid": 3},
        {"name": "dir/hard", "type": tarfile.LNKTYPE, "linkname": "dir/file"},
        {"name": "link", "type": tarfile.SYMTYPE, "linkname": "dir/file"},
        {"name": "opaque", "type": tarfile.DIRTYPE, "mode": 0o755},
        {"name": "fifo", "type": tarfile.FIFOTYPE, "mode": 0o600},
        {"name": "labelled", "pax_headers": {"SCHILY.xattr.user.label": "value"}},
    )
    top = layer({"name": "dir/.wh.file"}, {"name": "opaque/.wh..wh..opq"}, {"name": "opaque/new", "data": b"1"})
    docker_archive(tmp_path / "x.tar", [base, top], tags=["web:1"], config={"Cmd": ["run"], "Env": ["A=1"]})
    store.load_archive(tmp_path / "x.tar")
    before = await store.resolve("web:1", policy="Never")
    store.save(NAME, tmp_path / "saved.tar")

    other = ImageStore(tmp_path / "other", FakeClock())
    assert other.load_archive(tmp_path / "saved.tar") == ("docker.io/library/web:1",)
    after = await other.resolve("web:1", policy="Never")
    assert (after.command, after.env) == (before.command, before.env)
    assert [shown(path) for path in after.rootfs] == [shown(path) for path in before.rootfs]
    assert os.getxattr(f"{after.rootfs[0]}/labelled", "user.label") == b"value"
    assert os.getxattr(f"{after.rootfs[1]}/opaque", "trusted.overlay.opaque") == b"y"
    with tarfile.open(tmp_path / "saved.tar") as archive:
        assert {"index.json", "manifest.json", "oci-layout"} <= set(archive.getnames())
        archive.extractall(tmp_path / "layout", filter="data")

    (tmp_path / "layout" / "manifest.json").unlink()  # what is left is an OCI image layout as a folder
    third = ImageStore(tmp_path / "third", FakeClock())
    assert third.load_archive(tmp_path / "layout") == ("docker.io/library/web:1",)
    assert (await third.resolve("web:1", policy="Never")).digest == after.digest


async def test_what_is_not_here_cannot_be_saved(store: ImageStore, tmp_path: Path) -> None:
    with pytest.raises(LookupError):
        store.save(NAME, tmp_path / "x.tar")
    assert not (tmp_path / "x.tar").exists()


async def test_an_image_out_of_a_folder(store: ImageStore, tmp_path: Path) -> None:
    folder = tmp_path / "rootfs"
    (folder / "app").mkdir(parents=True)
    (folder / "app" / "run").write_text("#!/bin/sh\n")
    (folder / "app" / "run").chmod(0o755)
    os.chown(folder / "app" / "run", 1000, 1000)
    store.build(NAME, folder, base=None, changes={"Entrypoint": ["/app/run"], "Env": ["A=1"], "WorkingDir": "/app"})
    image = await store.resolve("web:1", policy="Always")
    assert (image.entrypoint, image.env, image.working_dir) == (("/app/run",), (("A", "1"),), "/app")
    assert shown(image.rootfs[0])["app/run"][:2] == ("-rwxr-xr-x", 0)

    above = tmp_path / "above"
    above.mkdir()
    (above / "new").touch()
    second = parse_image_name("web:2")
    store.build(second, above, base=NAME, changes={"Cmd": ["-v"], "Env": ["A=2", "B=3"]})
    built = await store.resolve("web:2", policy="Never")
    assert built.rootfs[0] == image.rootfs[0] and len(built.rootfs) == 2
    assert (built.entrypoint, built.command, built.working_dir) == (("/app/run",), ("-v",), "/app")
    assert built.env == (("A", "2"), ("B", "3"))
    with pytest.raises(LookupError):
        store.build(second, above, base=parse_image_name("nosuch:1"), changes={})
