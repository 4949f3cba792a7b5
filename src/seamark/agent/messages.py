"""What a container left as its termination message: the file it wrote, else (where asked) the end of its log."""

from __future__ import annotations

from seamark.agent.logs import LogOptions, find_tail, render_entry
from seamark.agent.poddir import PodDir
from seamark.agent.podspec import Container
from seamark.linux.runtime import ContainerState

FALLBACK_LINES = 80
FALLBACK_BYTES = 2048


def read_message(directory: PodDir, container: Container, ended: ContainerState) -> str:
    text = directory.read_message(container.name, ended.attempt)
    if text or ended.exit_code == 0 or container.termination_message_policy != "FallbackToLogsOnError":
        return text
    path = directory.log(container.name, ended.attempt)
    try:
        with path.open("rb") as file:
            file.seek(find_tail(file.fileno(), FALLBACK_LINES))
            entries = file.read().split(b"\n")
    except OSError:
        return ""
    shown = b"".join(render_entry(entry, LogOptions()) for entry in entries)
    return shown[-FALLBACK_BYTES:].decode("utf-8", "replace")
