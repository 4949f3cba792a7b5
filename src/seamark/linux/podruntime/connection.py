"""Our end of a supervisor's socket: requests with answers, the pod's state as it changes, exit codes of commands.

Works on any event loop: it only asks it to say when the descriptor is readable. Losing the connection means that the
supervisor is gone (or hung up on a slow reader): every waiting request fails with ConnectionResetError.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any


class SupervisorError(Exception):
    """What the supervisor or runc answered."""


class Connection:
    """``on_change`` is called after each state that arrives and once when the connection is lost."""

    def __init__(self, sock: socket.socket, on_change: Callable[[], None]) -> None:
        self.state: dict[str, Any] = {}
        self.lost = False
        self._told = asyncio.Event()
        self._sock = sock
        self._on_change = on_change
        self._serial = itertools.count(1)
        self._answers: dict[int, asyncio.Future[tuple[dict[str, Any], int]]] = {}
        self._codes: dict[int, asyncio.Future[int]] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(sock.fileno(), self._receive)

    async def first_state(self) -> dict[str, Any]:
        """The newest state, once the supervisor has told any. Raises ConnectionResetError when it never will."""
        await self._told.wait()
        if not self.state:  # lost before anything was said
            raise ConnectionResetError("the pod's supervisor is gone")
        return self.state

    async def request(self, op: str, *, fds: tuple[int, ...] = (), **fields: Any) -> int:
        """Waits for the answer. Returns the descriptor that came with it, or -1. Raises SupervisorError."""
        return await self._ask(next(self._serial), op, fds, fields)

    async def _ask(self, number: int, op: str, fds: tuple[int, ...], fields: dict[str, Any]) -> int:
        if self.lost:
            raise ConnectionResetError("the pod's supervisor is gone")
        answer: asyncio.Future[tuple[dict[str, Any], int]] = self._loop.create_future()
        self._answers[number] = answer
        try:
            socket.send_fds(self._sock, [json.dumps({"id": number, "op": op, **fields}).encode()], fds)
            message, terminal = await answer
        finally:
            del self._answers[number]
        if "error" in message:
            raise SupervisorError(message["error"])
        return terminal

    async def exec(
        self, key: str, process: dict[str, Any], fds: tuple[int, ...]
    ) -> tuple[int, int, asyncio.Future[int]]:
        """Starts a command: its number (for ``kill_exec``), its terminal or -1, and its exit code to come."""
        number = next(self._serial)
        code = self._codes[number] = self._loop.create_future()
        try:
            terminal = await self._ask(number, "exec", fds, {"key": key, "process": process})
        except BaseException as error:
            del self._codes[number]
            if isinstance(error, asyncio.CancelledError):
                self.kill_exec(number)
            raise
        return number, terminal, code

    def kill_exec(self, number: int) -> None:
        """Nothing waits for it: what is killed reports its exit code, what is gone has."""
        self._tell("kill-exec", exec=number)

    async def attach(self, key: str, fds: tuple[int, ...], *, stdin: bool) -> tuple[int, int]:
        """Copies a container's outputs to ``fds``: the number for ``detach``, and its input or terminal, or -1."""
        number = next(self._serial)
        try:
            return number, await self._ask(number, "attach", fds, {"key": key, "stdin": stdin})
        except asyncio.CancelledError:
            self.detach(number)
            raise

    def detach(self, number: int) -> None:
        self._tell("detach", attach=number)

    def close_stdin(self, key: str) -> None:
        self._tell("close-stdin", key=key)

    def _tell(self, op: str, **fields: Any) -> None:
        if not self.lost:
            self._sock.send(json.dumps({"id": next(self._serial), "op": op, **fields}).encode())

    def _receive(self) -> None:
        try:
            data, fds, _, _ = socket.recv_fds(self._sock, 1 << 20, 1)
        except BlockingIOError:
            return
        except OSError:
            data, fds = b"", []
        if not data:
            self.close()
            self._on_change()
            return
        message = json.loads(data)
        if "state" in message:
            self.state = message["state"]
            self._told.set()
            self._on_change()
        elif "exec" in message:
            code = self._codes.pop(message["exec"], None)
            if code and not code.done():
                code.set_result(message["code"])
        else:
            self._answered(message, fds)

    def _answered(self, message: dict[str, Any], fds: list[int]) -> None:
        answer = self._answers.get(message["id"])
        if answer and not answer.done():
            answer.set_result((message, fds[0] if fds else -1))
            return
        for fd in fds:
            os.close(fd)

    def close(self) -> None:
        if self.lost:
            return
        self.lost = True
        self._told.set()
        self._loop.remove_reader(self._sock.fileno())
        self._sock.close()
        waiting: list[asyncio.Future[Any]] = [*self._answers.values(), *self._codes.values()]
        for future in waiting:
            if not future.done():
                future.set_exception(ConnectionResetError("the pod's supervisor is gone"))
                future.exception()  # seen, also when nobody waits any more
        self._codes.clear()


def connect(sandbox: Path, on_change: Callable[[], None]) -> Connection | None:
    """None when nobody listens. The detour keeps the path within a socket's 108 bytes."""
    try:
        directory = os.open(sandbox, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        sock.connect(f"/proc/self/fd/{directory}/socket")
    except OSError:
        sock.close()
        return None
    finally:
        os.close(directory)
    sock.setblocking(False)
    return Connection(sock, on_change)
