"""Unpacked layers back into archives: ``seamark image save``, and images made out of a folder.

A layer is kept unpacked, so what is written is made anew: the same files in the order of their names, with overlayfs's
whiteouts turned back into those of the OCI image specification. Digests are those of the new archives. The archive is
an OCI image layout that also has the ``manifest.json`` of ``docker save``: every tool reads one or the other.
"""

from __future__ import annotations

import io
import json
import os
import stat
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from seamark.agent.images.archive import write_oci_archive
from seamark.agent.images.layers import OPAQUE, WHITEOUT, XATTR


def save_image(path: Path, *, name: str, config: dict[str, Any], layers: list[Path]) -> None:
    """Raises OSError. ``path`` appears by rename, whole or not at all."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=".saving-", dir=path.parent)))
        packed = [directory / f"{number}.tar" for number in range(len(layers))]
        for layer, target in zip(layers, packed, strict=True):
            pack_layer(layer, target)
        write_oci_archive(directory / "image", name=name, config=config, layers=packed)
        os.replace(directory / "image", path)


def pack_layer(directory: Path, target: Path, *, owner: tuple[int, int] | None = None) -> None:
    """``owner``: in place of each file's own. Sockets have no place in an archive and are left out."""
    seen: dict[tuple[int, int], str] = {}
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as archive:
        for path in _below(directory):
            name = str(path.relative_to(directory))
            found = path.lstat()
            if _is_whiteout(found):
                place = Path(name)
                _add_empty(archive, str(place.with_name(WHITEOUT + place.name)))
                continue
            if stat.S_ISSOCK(found.st_mode):
                continue
            _add(archive, path, name, seen, owner)
            if stat.S_ISDIR(found.st_mode) and _is_opaque(path):
                _add_empty(archive, f"{name}/{OPAQUE}")


def _below(directory: Path) -> Iterator[Path]:
    for path in sorted(directory.iterdir()):
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _below(path)


def _add(
    archive: tarfile.TarFile, path: Path, name: str, seen: dict[tuple[int, int], str], owner: tuple[int, int] | None
) -> None:
    member = archive.gettarinfo(str(path), arcname=name)
    member.uname = member.gname = ""
    if owner is not None:
        member.uid, member.gid = owner
    for attribute in os.listxattr(path, follow_symlinks=False):
        if not attribute.startswith("trusted.overlay."):
            value = os.getxattr(path, attribute, follow_symlinks=False)
            text = value.decode("utf-8", "surrogateescape")
            member.pax_headers = {**member.pax_headers, XATTR + attribute: text}
    found = path.lstat()
    key = (found.st_dev, found.st_ino)
    if member.isreg() or member.islnk():
        if key in seen:
            member.type, member.linkname, member.size = tarfile.LNKTYPE, seen[key], 0
            archive.addfile(member)
            return
        seen[key] = name
        member.type, member.size = tarfile.REGTYPE, found.st_size
        with path.open("rb") as content:
            archive.addfile(member, content)
        return
    archive.addfile(member)


def _is_whiteout(found: os.stat_result) -> bool:
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def _is_opaque(path: Path) -> bool:
    try:
        return os.getxattr(path, "trusted.overlay.opaque") == b"y"
    except OSError:
        return False


def _add_empty(archive: tarfile.TarFile, name: str) -> None:
    archive.addfile(tarfile.TarInfo(name), io.BytesIO())


def render_config(base: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """An image's ``config`` with what was said about it; ``None`` and empty leave the base as it is."""
    given = {key: value for key, value in changes.items() if value}
    config = json.loads(json.dumps(base.get("config") or {}))
    env = {entry.partition("=")[0]: entry for entry in (*(config.get("Env") or ()), *given.pop("Env", ()))}
    if "Entrypoint" in given:
        config.pop("Cmd", None)  # a command belongs to its entrypoint
    return {**base, "config": {**config, **given, **({"Env": list(env.values())} if env else {})}}
