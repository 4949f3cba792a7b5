"""One command in a running container, or a client attached to one, between the ExecIO and the pod's supervisor.

Without a terminal the command has three pipes; with one, the terminal that runc made. What the command wrote before it
ended is always delivered: after its exit the pipes are read until they are empty (not until they are closed, which a
child left in the background could delay for ever). When the client fails or the call is cancelled, the command dies.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import struct
import termios
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from seamark.linux.podruntime.connection import Connection, SupervisorError
from seamark.linux.runtime import RuntimeFault
from seamark.machinery.streams import ExecIO

CHUNK = 32 * 1024


class Output:
    """The reading end of a pipe or terminal; ``finish`` makes it end where it is empty."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._finished = False
        self._waiter: asyncio.Future[None] | None = None

    async def read(self) -> bytes:
        """The next data; ``b""`` at the end."""
        while True:
            try:
                return os.read(self._fd, CHUNK)
            except BlockingIOError:
                if self._finished:
                    return b""
            except OSError as error:
                if error.errno == errno.EIO:  # a terminal that nobody holds any more
                    return b""
                raise
            await self._readable()

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        waiter = self._waiter = loop.create_future()
        loop.add_reader(self._fd, self._wake)
        try:
            await waiter
        finally:
            loop.remove_reader(self._fd)
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(None)

    def finish(self) -> None:
        self._finished = True
        self._wake()


async def write_all(fd: int, data: bytes) -> None:
    """Raises BrokenPipeError or EIO when nobody reads."""
    loop = asyncio.get_running_loop()
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view) :]
        except BlockingIOError:
            writable = asyncio.Event()
            loop.add_writer(fd, writable.set)
            try:
                await writable.wait()
            finally:
                loop.remove_writer(fd)


class Session:
    """Descriptors of one command: ours stay here, the command's are closed as soon as it has them."""

    def __init__(self, *, tty: bool, stdin: bool) -> None:
        self.tty = tty
        self.input = -1
        self.theirs: tuple[int, ...] = ()
        self.outputs: list[tuple[Output, int]] = []
        if tty:
            return
        given, self.input = os.pipe2(os.O_CLOEXEC) if stdin else (os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), -1)
        pairs = [os.pipe2(os.O_CLOEXEC) for _ in range(2)]
        self.theirs = (given, *(writing for _, writing in pairs))
        self.outputs = [(Output(reading), reading) for reading, _ in pairs]

    def started(self, terminal: int, *, stdin: bool) -> None:
        self.close_theirs()
        if self.tty:
            self.outputs = [(Output(terminal), terminal)]
            self.input = os.dup(terminal) if stdin else -1
        if self.input >= 0:
            os.set_blocking(self.input, False)

    def close_theirs(self) -> None:
        for fd in self.theirs:
            os.close(fd)
        self.theirs = ()

    def close_input(self) -> None:
        if self.input >= 0:
            os.close(self.input)
            self.input = -1

    def close(self) -> None:
        self.close_theirs()
        self.close_input()
        for _, fd in self.outputs:
            os.close(fd)
        self.outputs = []


async def run_session(
    connection: Connection, key: str, process: dict[str, Any], *, io: ExecIO, tty: bool, stdin: bool
) -> int:
    """The exit code. Raises RuntimeFault StartError or, when the container has just ended, ContainerNotRunning."""
    session = Session(tty=tty, stdin=stdin)
    try:
        try:
            number, terminal, code = await connection.exec(key, process, session.theirs)
        except SupervisorError as error:
            ended = "stopped container" in str(error)  # between our look at it and runc's
            raise RuntimeFault("ContainerNotRunning" if ended else "StartError", describe_failure(str(error))) from None
        session.started(terminal, stdin=stdin)
        try:
            return await _carry(session, code, io)
        except BaseException:
            connection.kill_exec(number)
            raise
    finally:
        session.close()


async def _carry(session: Session, code: asyncio.Future[int], io: ExecIO) -> int:
    writers: list[Callable[[bytes], Awaitable[None]]] = [io.write_stdout, io.write_stderr]
    outputs = [
        asyncio.create_task(_copy(output, write)) for (output, _), write in zip(session.outputs, writers, strict=False)
    ]
    # A size that is known already is set before anything is typed.
    inputs = [asyncio.create_task(_resize(session.outputs[0][1], io))] if session.tty else []
    if session.input >= 0:
        inputs.append(asyncio.create_task(_feed(session, io)))
    tasks = [*outputs, *inputs]
    try:
        waiting: set[asyncio.Future[Any]] = {code, *tasks}
        while not code.done():
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for future in done:
                future.result()
        for output, _ in session.outputs:
            output.finish()
        await asyncio.gather(*outputs)
        return code.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def run_attach(connection: Connection, key: str, *, io: ExecIO, stdin: bool, once: bool) -> None:
    """Until the container ends. Raises RuntimeFault ContainerNotRunning.

    When the client's input ends, the container's does only where it is meant for one client (``once``); otherwise
    the client is let go and the container keeps waiting for the next one.
    """
    session = Session(tty=False, stdin=False)
    try:
        try:
            number, given = await connection.attach(key, session.theirs[1:], stdin=stdin)
        except SupervisorError as error:
            raise RuntimeFault("ContainerNotRunning", str(error)) from None
        try:
            session.started(-1, stdin=False)
            session.tty = given >= 0 and os.isatty(given)
            session.input = given
            if given >= 0:
                os.set_blocking(given, False)
            await _carry_attached(
                session, io, stdin=stdin, close=partial(connection.close_stdin, key) if once else None
            )
        finally:
            connection.detach(number)
    finally:
        session.close()


async def _carry_attached(session: Session, io: ExecIO, *, stdin: bool, close: Callable[[], None] | None) -> None:
    writers = (io.write_stdout, io.write_stderr)
    copies = [_copy(output, write) for (output, _), write in zip(session.outputs, writers, strict=True)]
    shown = asyncio.gather(*copies)
    tasks: list[asyncio.Future[Any]] = [shown]
    if session.tty:
        tasks.append(asyncio.create_task(_resize(session.input, io)))
    typed = asyncio.create_task(_feed(session, io)) if stdin and session.input >= 0 else None
    try:
        waiting = {*tasks, *((typed,) if typed else ())}
        while not shown.done():
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for future in done:
                future.result()
            if typed in done and not session.tty:
                if close is None:
                    return
                close()
    finally:
        for task in (*tasks, *((typed,) if typed else ())):
            task.cancel()
        await asyncio.gather(*tasks, *((typed,) if typed else ()), return_exceptions=True)


async def _copy(output: Output, write: Callable[[bytes], Awaitable[None]]) -> None:
    while data := await output.read():
        await write(data)


async def _feed(session: Session, io: ExecIO) -> None:
    """Ends with the client's input or when the command stops reading; only a pipe can show the former."""
    while data := await io.read_stdin():
        try:
            await write_all(session.input, data)
        except OSError:
            break
    if session.tty:
        return
    session.close_input()


async def _resize(terminal: int, io: ExecIO) -> None:
    while True:
        size = await io.next_resize()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", size.height, size.width, 0, 0))


def describe_failure(message: str) -> str:
    """runc's message without the layers of its own story: ``exec: "nosuch": executable file not found in $PATH``."""
    for marker in ("unable to start container process: ", "exec failed: "):
        if marker in message:
            return message.rpartition(marker)[2]
    return message
