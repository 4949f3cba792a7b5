"""Where the node keeps what belongs to one pod: DATA/nodes/NODE/pods/UID, and the mounts that come from there.

    etc-hosts  resolv.conf  hostname      shown in every container below /etc
    volumes/NAME/                         emptyDir and the files from the API
    termination/CONTAINER/ATTEMPT         what a container left at its terminationMessagePath
    logs/CONTAINER/ATTEMPT.log            its output, in CRI format; rotated: ATTEMPT.log.1 and so on

Every name is a DNS label that the API validated and that is checked once more here, so no path leaves the directory.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from seamark.agent.environment import expand
from seamark.agent.images.layers import resolve_below
from seamark.agent.podspec import Container, HostPath, Pod, VolumeMount
from seamark.agent.volumes import VolumeError
from seamark.linux.runtime import Mount
from seamark.machinery.quantity import parse_quantity

_SAFE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
MAX_MESSAGE = 4096


@dataclass(frozen=True, slots=True)
class PodDir:
    root: Path

    @classmethod
    def of(cls, state_dir: Path, uid: str) -> PodDir:
        return cls(state_dir / "pods" / _safe(uid))

    def volume(self, name: str) -> Path:
        return self.root / "volumes" / _safe(name)

    def log(self, container: str, attempt: int) -> Path:
        return self.root / "logs" / _safe(container) / f"{attempt}.log"

    def termination(self, container: str, attempt: int) -> Path:
        return self.root / "termination" / _safe(container) / str(attempt)

    def write_text(self, name: str, text: str) -> None:
        """In place: containers have the file itself bound, a rename would leave them with the old one."""
        self.root.mkdir(mode=0o750, parents=True, exist_ok=True)
        place = self.root / name
        place.write_text(text)
        place.chmod(0o644)

    def prepare_attempt(self, container: str, attempt: int) -> None:
        """Room for the log and the termination message; logs older than the previous attempt go."""
        log, message = self.log(container, attempt), self.termination(container, attempt)
        log.parent.mkdir(parents=True, exist_ok=True)
        message.parent.mkdir(parents=True, exist_ok=True)
        message.touch()
        message.chmod(0o666)
        for old in (*log.parent.iterdir(), *message.parent.iterdir()):
            number = old.name.partition(".")[0]  # 3.log, 3.log.1 (rotated), 3
            if number.isdecimal() and int(number) < attempt - 1:
                old.unlink(missing_ok=True)

    def read_message(self, container: str, attempt: int) -> str:
        try:
            with self.termination(container, attempt).open("rb") as file:
                return file.read(MAX_MESSAGE).decode("utf-8", "replace")
        except OSError:
            return ""

    def remove(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)


def plan_mounts(
    pod: Pod,
    container: Container,
    directory: PodDir,
    *,
    attempt: int,
    variables: Mapping[str, str],
    inside: Mapping[str, Path] | None = None,
) -> tuple[Mount, ...]:
    """``inside``: where volumes that only the sandbox sees are found from here, by name. Raises VolumeError for a
    subPath that leaves its volume.
    """
    own_places = inside or {}
    mounts = [_plan_mount(pod, m, directory, variables, own_places.get(m.name)) for m in container.volume_mounts or []]
    taken = {mount.target for mount in mounts}
    own = [
        Mount(str(directory.root / "etc-hosts"), "/etc/hosts"),
        Mount(str(directory.root / "resolv.conf"), "/etc/resolv.conf"),
        Mount(str(directory.root / "hostname"), "/etc/hostname"),
        Mount(str(directory.termination(container.name, attempt)), container.termination_message_path),
    ]
    return (*(mount for mount in own if mount.target not in taken), *mounts)


def _plan_mount(
    pod: Pod, mount: VolumeMount, directory: PodDir, variables: Mapping[str, str], inside: Path | None
) -> Mount:
    source = _volume_source(pod, mount.name, directory)
    memory = _memory_options(pod, mount.name)
    if memory is not None:
        return Mount(str(source), mount.mount_path, read_only=mount.read_only, kind="tmpfs", options=memory)
    read_only = mount.read_only or _is_read_only(pod, mount.name)
    below = expand(mount.sub_path_expr, variables) if mount.sub_path_expr else mount.sub_path
    if below and inside is not None:
        source = source / _file_below(inside, below)
    elif below:
        source = _sub_path(source, below)
    return Mount(str(source), mount.mount_path, read_only=read_only)


def _volume_source(pod: Pod, name: str, directory: PodDir) -> Path:
    volume = next((v for v in pod.spec.volumes or [] if v.name == name), None)
    if volume is None:
        raise VolumeError(f"spec.volumes: there is no volume {name!r}")
    return Path(volume.host_path.path) if volume.host_path else directory.volume(name)


def _memory_options(pod: Pod, name: str) -> str | None:
    """Of the tmpfs that an emptyDir in memory is; None for any other volume."""
    empty_dir = next(v for v in pod.spec.volumes or [] if v.name == name).empty_dir
    if empty_dir is None or empty_dir.medium != "Memory":
        return None
    group = pod.spec.security_context.fs_group
    options = ["mode=0777"] if group is None else ["mode=2777", f"gid={group}"]
    size = int(parse_quantity(empty_dir.size_limit)) if empty_dir.size_limit else 0
    return ",".join([*options, *([f"size={size}"] if size else [])])


def _is_read_only(pod: Pod, name: str) -> bool:
    """Files that come from the API are shown read-only, as kubelet does."""
    volume = next(v for v in pod.spec.volumes or [] if v.name == name)
    if volume.persistent_volume_claim is not None:
        return volume.persistent_volume_claim.read_only
    return volume.empty_dir is None and volume.host_path is None


def _sub_path(volume: Path, below: str) -> Path:
    """The place below the volume, made where it is missing; a link out of the volume is refused."""
    if below.startswith("/") or ".." in below.split("/"):
        raise VolumeError(f"subPath {below!r}: must be relative and without ..")
    root = Path(os.path.realpath(volume))
    found = Path(os.path.realpath(volume / below))
    if not found.is_relative_to(root):
        raise VolumeError(f"subPath {below!r}: leads out of its volume")
    missing = [place for place in (found, *found.parents) if place.is_relative_to(root) and not place.exists()]
    for place in reversed(missing):
        _make_like(root, place)
    return found


def _file_below(volume: Path, below: str) -> Path:
    """The same for a volume in another mount namespace, which realpath would leave. Nothing is made there."""
    if below.startswith("/") or ".." in below.split("/"):
        raise VolumeError(f"subPath {below!r}: must be relative and without ..")
    found = resolve_below(volume, below)
    if not found.exists():
        raise VolumeError(f"subPath {below!r}: there is no such file in the volume")
    return found.relative_to(volume)


def _make_like(root: Path, place: Path) -> None:
    """As open as the volume itself: whoever may write there may write here."""
    found = root.stat()
    place.mkdir()
    os.chown(place, -1, found.st_gid)
    place.chmod(stat.S_IMODE(found.st_mode))


_IS_TYPE: dict[str, Callable[[int], bool]] = {
    "Directory": stat.S_ISDIR,
    "File": stat.S_ISREG,
    "Socket": stat.S_ISSOCK,
    "CharDevice": stat.S_ISCHR,
    "BlockDevice": stat.S_ISBLK,
}


def check_host_path(source: HostPath) -> None:
    """Makes what an …OrCreate type asks for. Raises VolumeError where the path is not of its type."""
    place = Path(source.path)
    wanted = source.type.removesuffix("OrCreate")
    if source.type == "DirectoryOrCreate" and not place.exists():
        place.mkdir(parents=True, mode=0o755)
    elif source.type == "FileOrCreate" and not place.exists():
        place.touch(mode=0o644)
    if not wanted:
        return
    try:
        fits = _IS_TYPE[wanted](place.stat().st_mode)
    except FileNotFoundError:
        fits = False
    if not fits:
        raise VolumeError(f"hostPath type check failed: {source.path} is not a {wanted.lower()}")


def _safe(name: str) -> str:
    if not _SAFE.fullmatch(name):
        raise VolumeError(f"{name!r} cannot be a directory name")
    return name
