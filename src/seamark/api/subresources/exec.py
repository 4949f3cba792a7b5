"""pods/NAME/exec over a WebSocket: the subprotocols v5.channel.k8s.io and v4.channel.k8s.io.

Every message begins with a channel byte: 0 stdin, 1 stdout, 2 stderr, 3 the final Status, 4 terminal sizes; v5 adds
255, which closes the channel named by the next byte, so that ``kubectl exec -i`` can end its input. The exit code
travels as a Status on channel 3. SPDY, which kubectl up to 1.29 speaks, is refused with a word on what to do.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec

from seamark.api.containers import find_node, find_pod, select_container
from seamark.api.core import Call, Core
from seamark.api.objects import encode
from seamark.api.websocket import Duplex, Upgrade, offered_subprotocols
from seamark.machinery.status import StatusError, bad_request, internal
from seamark.machinery.streams import ExecRequest, NodeStreams, TerminalSize
from seamark.machinery.wire import Response

_log = logging.getLogger(__name__)

SUBPROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
_CHUNK = 32 << 10


async def refuse_plain_exec(core: Core, call: Call) -> Response:
    """A request without a WebSocket handshake.

    kubectl sends one after any refused handshake too, so what was wrong with that is said first.
    """
    pod = await find_pod(core, call)
    parse_exec_request(call, pod)
    find_node(core, pod)
    if "spdy" in call.request.headers.get("upgrade", "").lower():
        message = "SPDY streams are not supported by this server yet: use kubectl 1.30 or newer, which speaks WebSocket"
        raise StatusError(501, "NotImplemented", message)
    raise bad_request("Upgrade request required")


async def refuse_attach(core: Core, call: Call) -> Response:
    await find_pod(core, call)
    raise StatusError(501, "NotImplemented", "attach is not supported by this server yet: use exec or logs")


async def open_exec(core: Core, call: Call) -> Upgrade:
    """Everything that can be refused is refused here, before the connection is upgraded."""
    offered = offered_subprotocols(call.request)
    chosen = next((p for p in SUBPROTOCOLS if p in offered), None)
    if chosen is None:
        raise bad_request(f"none of the subprotocols {list(offered)} is supported: offer one of {list(SUBPROTOCOLS)}")
    pod = await find_pod(core, call)
    request = parse_exec_request(call, pod)
    node = find_node(core, pod)

    async def run(socket: Duplex) -> None:
        await ExecSession(socket, request).run(node)

    return Upgrade(chosen, run)


def parse_exec_request(call: Call, pod: dict[str, Any]) -> ExecRequest:
    asked, name = call.request, pod["metadata"]["name"]
    phase = (pod.get("status") or {}).get("phase", "")
    if phase in ("Succeeded", "Failed"):
        raise bad_request(f"cannot exec into a container in a completed pod; current phase is {phase}")
    if not (pod.get("spec") or {}).get("nodeName"):
        raise bad_request(f"pod {name} does not have a host assigned")
    command = asked.params("command")
    if not command:
        raise bad_request("you must specify at least 1 command for the container")
    streams = {stream: asked.flag(stream) for stream in ("stdin", "stdout", "stderr", "tty")}
    if not (streams["stdin"] or streams["stdout"] or streams["stderr"]):
        raise bad_request("you must specify at least 1 of stdin, stdout, stderr")
    container = select_container(pod, asked.param("container"))
    return ExecRequest(call.target.namespace, name, container, command, **streams)


class ExecSession:
    """A ``machinery.streams.ExecIO`` over a WebSocket."""

    def __init__(self, socket: Duplex, request: ExecRequest) -> None:
        self._socket = socket
        self._request = request
        self._stdin: asyncio.Queue[bytes] = asyncio.Queue(maxsize=16)
        self._sizes: asyncio.Queue[TerminalSize] = asyncio.Queue()
        self._stdin_over = not request.stdin

    async def run(self, node: NodeStreams) -> None:
        """Runs the command while messages are read; a client that goes away ends the command."""
        reading = asyncio.create_task(self._read())
        running = asyncio.create_task(node.exec(self._request, self))
        try:
            await asyncio.wait({reading, running}, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                await self._socket.send(bytes([ERROR]) + encode(_outcome(running)))
                await self._socket.close()
        finally:
            for task in (reading, running):
                task.cancel()
            await asyncio.gather(reading, running, return_exceptions=True)

    async def _read(self) -> None:
        while (message := await self._socket.receive()) is not None:
            if not message:
                continue
            channel, data = message[0], message[1:]
            if channel == STDIN and data and not self._stdin_over:
                await self._stdin.put(data)
            elif channel == CLOSE and data[:1] == bytes([STDIN]) and not self._stdin_over:
                await self._stdin.put(b"")
            elif channel == RESIZE and (size := parse_size(data)) is not None:
                self._sizes.put_nowait(size)

    async def read_stdin(self) -> bytes:
        if self._stdin_over:
            return b""
        data = await self._stdin.get()
        self._stdin_over = not data
        return data

    async def write_stdout(self, data: bytes) -> None:
        if self._request.stdout:
            await self._send(STDOUT, data)

    async def write_stderr(self, data: bytes) -> None:
        if self._request.stderr:
            await self._send(STDERR, data)

    async def next_resize(self) -> TerminalSize:
        return await self._sizes.get()

    async def _send(self, channel: int, data: bytes) -> None:
        for start in range(0, len(data), _CHUNK):
            await self._socket.send(bytes([channel]) + data[start : start + _CHUNK])


def parse_size(data: bytes) -> TerminalSize | None:
    """None for what is no ``{"Width":…,"Height":…}``."""
    try:
        found = msgspec.json.decode(data)
        width, height = int(found["Width"]), int(found["Height"])
    except (msgspec.DecodeError, KeyError, TypeError, ValueError):
        return None
    return TerminalSize(width, height) if 0 < width <= 0xFFFF and 0 < height <= 0xFFFF else None


def _outcome(running: asyncio.Task[int]) -> dict[str, Any]:
    """The Status of channel 3."""
    error = running.exception()
    if isinstance(error, StatusError):
        return error.as_dict()
    if error is not None:
        _log.error("exec failed error=%r", error)
        return internal(f"error executing command in container: {error}").as_dict()
    return render_exit(running.result())


def render_exit(code: int) -> dict[str, Any]:
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }
