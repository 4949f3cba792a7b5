"""Writes the files of a volume so that a reader never sees half an update.

A payload goes into a fresh hidden directory; ``..data`` is a symbolic link to it, switched by one rename, and every
file the container sees is a link through ``..data``. That is the layout programs that watch a mounted ConfigMap know.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from seamark.agent.volumes import File, Files

DATA = "..data"


def write_files(target: Path, files: Files, *, stamp: str, group: int | None) -> bool:
    """Makes ``target`` show exactly ``files``. False: it did already. ``stamp`` names the new directory."""
    target.mkdir(parents=True, exist_ok=True)
    current = _current(target)
    if current is not None and _read(current) == {path: _wanted(file, group) for path, file in files.items()}:
        return False
    fresh = _fresh_directory(target, stamp)
    for path, file in files.items():
        _write(fresh, path, file, group)
    _set_group(fresh, group)
    link = target / "..data_tmp"
    link.unlink(missing_ok=True)
    link.symlink_to(fresh.name)
    os.replace(link, target / DATA)
    _link_names(target, {path.split("/")[0] for path in files})
    _set_group(target, group)
    if current is not None:
        shutil.rmtree(current, ignore_errors=True)
    return True


def set_volume_group(directory: Path, group: int | None) -> None:
    """fsGroup of an emptyDir: new files inherit the group."""
    if group is not None:
        os.chown(directory, -1, group)
        directory.chmod(0o2777)


def _current(target: Path) -> Path | None:
    try:
        found = target / os.readlink(target / DATA)
    except OSError:
        return None
    return found if found.is_dir() else None


def _fresh_directory(target: Path, stamp: str) -> Path:
    number = 0
    while True:
        fresh = target / f"..{stamp}.{number}"
        try:
            fresh.mkdir(mode=0o755)
        except FileExistsError:
            number += 1
            continue
        fresh.chmod(0o755)
        return fresh


def _wanted(file: File, group: int | None) -> tuple[bytes, int]:
    return file.data, file.mode | (0o440 if group is not None else 0)


def _write(root: Path, path: str, file: File, group: int | None) -> None:
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    data, mode = _wanted(file, group)
    place.write_bytes(data)
    place.chmod(mode)
    _set_group(place, group)


def _set_group(place: Path, group: int | None) -> None:
    if group is not None:
        os.chown(place, -1, group)


def _read(root: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(place.relative_to(root)): (place.read_bytes(), place.stat().st_mode & 0o7777)
        for place in _files_below(root)
    }


def _files_below(root: Path) -> Iterator[Path]:
    for directory, _, names in os.walk(root):
        yield from (Path(directory) / name for name in names)


def _link_names(target: Path, names: set[str]) -> None:
    for place in target.iterdir():
        if place.is_symlink() and not place.name.startswith("..") and place.name not in names:
            place.unlink()
    for name in names:
        if not (target / name).is_symlink():
            (target / name).symlink_to(f"{DATA}/{name}")
