"""One image layer, from its tar archive to a directory that overlayfs can use as a lower layer.

Archives come from strangers. Rules: nothing is written outside the directory, whatever names and links the archive
holds (parents are resolved as if the directory were the root of the filesystem, and no link is ever followed by the
last component); a member that cannot be placed fails the whole layer. Whiteouts of the OCI image specification become
overlayfs's own: a 0/0 device, an opaque directory.
"""

from __future__ import annotations

import os
import posixpath
import shutil
import stat
import tarfile
from collections.abc import Iterator
from pathlib import Path

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
XATTR = "SCHILY.xattr."
MAX_LINKS = 40


class LayerError(ValueError):
    """Names the member and what is wrong with it."""


def unpack_layer(archive: tarfile.TarFile, directory: Path) -> None:
    """Needs root. ``directory`` must be empty; after an error it holds part of the layer."""
    directories: dict[str, tarfile.TarInfo] = {}
    for member in archive:
        name = normalize(member.name)
        if name == ".":
            directories[str(directory)] = member
            continue
        parent = resolve_below(directory, posixpath.dirname(name))
        _make_parents(directory, parent)
        target = str(parent / posixpath.basename(name))
        if not _place_whiteout(target):
            _place(archive, member, target, directory)
            if member.isdir():
                directories[target] = member
    for target, member in reversed(directories.items()):  # last, so that a read-only directory can be filled
        _set_attributes(member, target)


def normalize(name: str) -> str:
    """The member's path without leading slashes; refuses every ``..``."""
    parts = [part for part in name.split("/") if part not in {"", "."}]
    if ".." in parts or "\0" in name:
        raise LayerError(f"layer member {name!r} points outside the layer")
    return "/".join(parts) or "."


def resolve_below(root: Path, name: str) -> Path:
    """``name`` with its symbolic links followed as after chroot(2) to ``root``. Missing parts stay as they are."""
    resolved: list[str] = []
    pending = [part for part in reversed(name.split("/")) if part not in {"", "."}]
    links = 0
    while pending:
        part = pending.pop()
        if part == "..":
            resolved = resolved[:-1]
            continue
        candidate = root.joinpath(*resolved, part)
        if not candidate.is_symlink():
            resolved.append(part)
            continue
        links += 1
        if links > MAX_LINKS:
            raise LayerError(f"layer member {name!r}: too many levels of symbolic links")
        target = os.readlink(candidate)
        if target.startswith("/"):
            resolved = []
        pending += [step for step in reversed(target.split("/")) if step not in {"", "."}]
    return root.joinpath(*resolved)


def _make_parents(root: Path, parent: Path) -> None:
    """Directories that the archive does not name are root's, 0755."""
    for directory in reversed([parent, *_between(root, parent)]):
        if not directory.is_dir():
            if directory.exists():
                raise LayerError(f"layer member below {directory.name!r}, which is no directory")
            directory.mkdir(mode=0o755)


def _between(root: Path, path: Path) -> Iterator[Path]:
    for parent in path.parents:
        if parent == root:
            return
        yield parent


def _place_whiteout(target: str) -> bool:
    name = posixpath.basename(target)
    if not name.startswith(WHITEOUT):
        return False
    parent = posixpath.dirname(target)
    if name == OPAQUE:
        os.setxattr(parent, "trusted.overlay.opaque", b"y")
        return True
    hidden = name.removeprefix(WHITEOUT)
    if hidden in {"", ".", ".."} or hidden.startswith(WHITEOUT):
        raise LayerError(f"layer member {name!r} is no valid whiteout")
    path = f"{parent}/{hidden}"
    if not os.path.lexists(path):
        os.mknod(path, stat.S_IFCHR, 0)
    return True


def _place(archive: tarfile.TarFile, member: tarfile.TarInfo, target: str, root: Path) -> None:
    _clear_way(member, target)
    mode = member.mode & 0o7777
    if member.isdir():
        os.makedirs(target, mode=0o700, exist_ok=True)
        return
    if member.islnk():
        _place_hard_link(member, target, root)
        return
    if member.isreg():
        _place_file(archive, member, target)
    elif member.issym():
        os.symlink(member.linkname, target)
    elif member.isfifo():
        os.mkfifo(target, mode)
    elif member.ischr() or member.isblk():
        kind = stat.S_IFCHR if member.ischr() else stat.S_IFBLK
        os.mknod(target, kind | mode, os.makedev(member.devmajor, member.devminor))
    else:
        raise LayerError(f"layer member {member.name!r} is of an unknown type {member.type!r}")
    _set_attributes(member, target)


def _clear_way(member: tarfile.TarInfo, target: str) -> None:
    """A later member replaces an earlier one of the same name, never what a link of that name points to."""
    if not os.path.lexists(target):
        return
    is_directory = os.path.isdir(target) and not os.path.islink(target)
    if is_directory and member.isdir():
        return
    if is_directory:
        shutil.rmtree(target)
    else:
        os.unlink(target)


def _place_hard_link(member: tarfile.TarInfo, target: str, root: Path) -> None:
    source_name = normalize(member.linkname)
    source = resolve_below(root, posixpath.dirname(source_name)) / posixpath.basename(source_name)
    if not os.path.lexists(source) or (source.is_dir() and not source.is_symlink()):
        raise LayerError(f"layer member {member.name!r}: its link target {member.linkname!r} is no file of the layer")
    os.link(source, target, follow_symlinks=False)


def _place_file(archive: tarfile.TarFile, member: tarfile.TarInfo, target: str) -> None:
    content = archive.extractfile(member)
    if content is None:
        raise LayerError(f"layer member {member.name!r} has no content")
    with content, open(target, "xb") as file:
        shutil.copyfileobj(content, file, 1 << 20)


def _set_attributes(member: tarfile.TarInfo, target: str) -> None:
    """Owner before mode: changing the owner clears set-uid bits."""
    os.chown(target, member.uid, member.gid, follow_symlinks=False)
    if not member.issym():
        os.chmod(target, member.mode & 0o7777)
    for name, value in member.pax_headers.items():
        attribute = name.removeprefix(XATTR)
        if name.startswith(XATTR) and not attribute.startswith("trusted.overlay."):
            os.setxattr(target, attribute, value.encode("utf-8", "surrogateescape"), follow_symlinks=False)
    os.utime(target, (member.mtime, member.mtime), follow_symlinks=False)
