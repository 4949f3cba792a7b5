"""The node's log files, laid out as in a kubelet's ``/var/log``: ``pods/NAMESPACE_NAME_UID/CONTAINER/ATTEMPT.log``.

Nothing else of the machine is shown. A path is looked up step by step among what is listed, so none leads elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from seamark.agent.poddir import PodDir
from seamark.agent.podspec import Pod
from seamark.machinery.streams import LogFolder

PODS = "pods"


def read_log_file(path: str, pods: Iterable[Pod], state_dir: Path) -> LogFolder | bytes | None:
    """A folder's entries, a file's content, None where there is neither."""
    steps = [step for step in path.split("/") if step]
    if not steps:
        return LogFolder((f"{PODS}/",))
    folders = {_folder_name(pod): PodDir.of(state_dir, pod.uid).root / "logs" for pod in pods}
    if steps[0] != PODS:
        return None
    if len(steps) == 1:
        return LogFolder(tuple(sorted(f"{name}/" for name in folders)))
    place = folders.get(steps[1])
    for step in steps[2:]:
        place = _entries(place).get(step) if place is not None else None
    if place is None:
        return None
    try:
        return _list(place) if place.is_dir() or len(steps) == 2 else place.read_bytes()
    except FileNotFoundError:  # rotated away
        return None


def _folder_name(pod: Pod) -> str:
    return f"{pod.metadata.namespace}_{pod.metadata.name}_{pod.uid}"


def _entries(place: Path) -> dict[str, Path]:
    return {entry.name: entry for entry in place.iterdir()} if place.is_dir() else {}


def _list(place: Path) -> LogFolder:
    found = _entries(place).items()
    return LogFolder(tuple(sorted(f"{name}/" if entry.is_dir() else name for name, entry in found)))
