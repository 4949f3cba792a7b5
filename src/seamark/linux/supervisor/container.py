"""What the supervisor holds of one attempt of one container: its state as told, its outputs, its log, its input."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from seamark.linux.supervisor.output import LogFile, LogStream


class Container:
    """One attempt of one container."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.name, self.attempt = str(request["name"]), int(request["attempt"])
        self.key = f"{self.name}-{self.attempt}"
        self.directory = f"containers/{self.name}/{self.attempt}"
        self.memory_events = str(request["memory_events"])
        self.tmpfs: list[tuple[str, str]] = request["tmpfs"]
        self.state: dict[str, Any] = {
            "name": self.name,
            "attempt": self.attempt,
            "status": "created",
            "image": request["image"],
        }
        self.streams: list[LogStream] = []
        self.log: LogFile | None = None
        self.tty = bool(request["tty"])
        self.stdin = -1  # our end; a terminal is its own
        self.stdin_once = bool(request.get("stdin_once"))
        self.removed = False

    @property
    def running(self) -> bool:
        return bool(self.state["status"] != "exited")

    def release(self) -> None:
        for stream in self.streams:
            stream.close()
        self.streams = []
        if self.log:
            self.log.close()
            self.log = None
        self.close_stdin()

    def close_stdin(self) -> None:
        """The container reads the end of its input, once no attached client holds it either."""
        if self.stdin >= 0:
            os.close(self.stdin)
            self.stdin = -1
