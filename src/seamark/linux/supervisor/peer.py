"""One connection to the supervisor: its requests, and the commands and attachments that live no longer than it does."""

from __future__ import annotations

import json
import os
import signal
import socket
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from seamark.linux.supervisor.container import Container
    from seamark.linux.supervisor.output import Tap
    from seamark.linux.supervisor.pod import Pod


class Peer:
    def __init__(self, pod: Pod, sock: socket.socket) -> None:
        self.pod, self.sock = pod, sock
        self.execs: dict[int, int] = {}  # request id → pid, 0 while it starts, -1 once it must die
        self.attached: dict[int, tuple[Container, list[Tap], bool]] = {}  # and whether it has the input
        sock.setblocking(False)
        pod.loop.watch(sock.fileno(), self.receive)

    def send(self, message: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
        try:
            socket.send_fds(self.sock, [json.dumps(message).encode()], fds)
        except OSError:  # gone, or too slow to be told: it connects again and gets the whole state
            self.close()

    def receive(self) -> None:
        try:
            data, fds, _, _ = socket.recv_fds(self.sock, 1 << 20, 3)
        except BlockingIOError:
            return
        except OSError:
            data, fds = b"", []
        if not data:
            self.close()
            return
        request = json.loads(data)
        try:
            self.pod.handle(self, request, tuple(fds))
        except Exception as error:
            self.send({"id": request["id"], "error": str(error)})
        finally:
            for fd in fds:
                os.close(fd)

    def close(self) -> None:
        if self not in self.pod.peers:
            return
        self.pod.peers.remove(self)
        self.pod.loop.forget(self.sock.fileno())
        self.sock.close()
        for request in list(self.execs):
            self.kill_exec(request)
        for request in list(self.attached):
            self.detach(request)

    def attach(self, number: int, container: Container | None, *, stdin: bool, fds: tuple[int, ...]) -> None:
        """Copies the container's outputs to ``fds`` and hands out its input, or its terminal."""
        if container is None or container.state["status"] != "running":
            raise RuntimeError("the container is not running")
        taps = [stream.tap(os.dup(fd)) for stream, fd in zip(container.streams, fds, strict=False)]
        given = container.streams[0].fd if container.tty else container.stdin if stdin else -1
        self.attached[number] = container, taps, stdin and given >= 0
        self.send({"id": number}, (given,) if given >= 0 else ())

    def detach(self, number: int) -> None:
        """Leaves the container alone, but for an input that is meant for one client only."""
        container, taps, stdin = self.attached.pop(number, (None, [], False))
        for tap in taps:
            tap.drop()
            tap.on_room()
        if container and stdin and container.stdin_once and not container.tty:
            container.close_stdin()

    def kill_exec(self, request: int) -> None:
        """Kills the session of the command (runc gives each its own)."""
        pid = self.execs.get(request, 0)
        if pid > 0:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        elif request in self.execs:
            self.execs[request] = -1
