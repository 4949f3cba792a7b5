"""Layers are unpacked faithfully, and never outside their directory."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from seamark.agent.images.layers import LayerError, normalize, resolve_below, unpack_layer

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to set owners and make devices")


@pytest.fixture
def unpack(tmp_path: Path, layer: Callable[..., bytes]) -> Callable[..., Path]:
    directory = tmp_path / "layer"
    directory.mkdir()

    def work(*entries: dict[str, Any]) -> Path:
        with tarfile.open(fileobj=io.BytesIO(layer(*entries)), mode="r|") as tar:
            unpack_layer(tar, directory)
        return directory

    return work


def entry(name: str, **fields: Any) -> dict[str, Any]:
    return {"name": name, **fields}


def directory(name: str, **fields: Any) -> dict[str, Any]:
    return entry(name, **{"type": tarfile.DIRTYPE, "mode": 0o755} | fields)


def link(name: str, target: str) -> dict[str, Any]:
    return entry(name, type=tarfile.SYMTYPE, linkname=target)


def hard(name: str, target: str) -> dict[str, Any]:
    return entry(name, type=tarfile.LNKTYPE, linkname=target)


@root_only
def test_attributes(unpack: Callable[..., Path]) -> None:
    root = unpack(
        directory("etc", mode=0o500, mtime=86400),
        entry("etc/secret", data=b"x", mode=0o4711, uid=3, gid=4, mtime=1_000_000),
        link("etc/link", "../etc/secret"),
        hard("etc/same", "etc/secret"),
        entry("pipe", type=tarfile.FIFOTYPE),
        entry("null", type=tarfile.CHRTYPE, devmajor=1, devminor=3, mode=0o666),
        entry("deep/er/file", data=b"y", pax_headers={"SCHILY.xattr.user.note": "hi"}),
    )
    status = (root / "etc/secret").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, status.st_mtime) == (0o4711, 3, 4, 1_000_000)
    assert (root / "etc/same").stat().st_ino == status.st_ino
    assert stat.S_IMODE((root / "etc").stat().st_mode) == 0o500
    assert (root / "etc").stat().st_mtime == 86400
    assert os.readlink(root / "etc/link") == "../etc/secret"
    assert stat.S_ISFIFO((root / "pipe").stat().st_mode)
    assert (root / "null").stat().st_rdev == os.makedev(1, 3)
    assert os.getxattr(root / "deep/er/file", "user.note") == b"hi"
    assert stat.S_IMODE((root / "deep/er").stat().st_mode) == 0o755


@root_only
def test_whiteouts_become_overlayfs_own(unpack: Callable[..., Path]) -> None:
    root = unpack(entry("etc/.wh.passwd"), directory("var"), entry("var/.wh..wh..opq"), entry("var/new", data=b"n"))
    hidden = (root / "etc/passwd").lstat()
    assert stat.S_ISCHR(hidden.st_mode)
    assert hidden.st_rdev == 0
    assert os.getxattr(root / "var", "trusted.overlay.opaque") == b"y"
    assert sorted(os.listdir(root / "var")) == ["new"]


@root_only
def test_an_archive_cannot_set_overlayfs_own_attributes(unpack: Callable[..., Path]) -> None:
    root = unpack(directory("d", pax_headers={"SCHILY.xattr.trusted.overlay.redirect": "/etc"}))
    assert os.listxattr(root / "d") == []


@root_only
@pytest.mark.parametrize(
    "entries",
    [
        [entry("../evil", data=b"x")],
        [entry("a/../../evil", data=b"x")],
        [link("a", ".."), entry("a/../evil", data=b"x")],
        [hard("evil", "../outside")],
        [hard("evil", "nosuch")],
        [entry("file", data=b"x"), entry("file/below", data=b"x")],
        [entry(".wh...", data=b"")],
        [link("a", "b"), link("b", "a"), entry("a/evil", data=b"x")],
    ],
    ids=["dotdot", "inner", "through-link", "hard", "hard-missing", "below-file", "whiteout", "loop"],
)
def test_refused(unpack: Callable[..., Path], tmp_path: Path, entries: list[dict[str, Any]]) -> None:
    (tmp_path / "outside").write_text("safe")
    with pytest.raises(LayerError):
        unpack(*entries)
    assert sorted(os.listdir(tmp_path)) == ["layer", "outside"]


@root_only
@pytest.mark.parametrize("target", ["/", "..", "../..", "/nosuch/../../..", "{outside}"])
def test_a_link_out_of_the_layer_leads_to_its_own_root(
    unpack: Callable[..., Path], tmp_path: Path, target: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    root = unpack(link("out", target.format(outside=outside)), entry("out/evil", data=b"x"))
    assert list(outside.iterdir()) == []
    assert not (tmp_path / "evil").exists()
    assert [path for path in root.rglob("evil") if not path.is_symlink()]


@root_only
def test_a_later_member_replaces_a_link_not_its_target(unpack: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("safe")
    root = unpack(link("f", str(tmp_path / "outside")), entry("f", data=b"new"), link("d", "/"), directory("d"))
    assert (tmp_path / "outside").read_text() == "safe"
    assert (root / "f").read_text() == "new"
    assert not (root / "d").is_symlink()


@root_only
def test_a_directory_named_twice_keeps_its_content(unpack: Callable[..., Path]) -> None:
    root = unpack(directory("d"), entry("d/f", data=b"1"), directory("d", mode=0o711))
    assert (root / "d/f").read_text() == "1"
    assert stat.S_IMODE((root / "d").stat().st_mode) == 0o711


@pytest.mark.parametrize(
    ("name", "clean"), [("./a//b/", "a/b"), ("/abs", "abs"), ("./", "."), ("", "."), ("a/./b", "a/b")]
)
def test_normalize(name: str, clean: str) -> None:
    assert normalize(name) == clean


def test_resolving_stays_below(tmp_path: Path) -> None:
    (tmp_path / "usr").mkdir()
    (tmp_path / "bin").symlink_to("/usr/bin")
    (tmp_path / "up").symlink_to("../../../usr")
    assert resolve_below(tmp_path, "bin/x") == tmp_path / "usr/bin/x"
    assert resolve_below(tmp_path, "up") == tmp_path / "usr"
    assert resolve_below(tmp_path, "") == tmp_path
