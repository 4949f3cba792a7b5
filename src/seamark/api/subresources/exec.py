"""pods/NAME/exec and pods/NAME/attach: over a WebSocket, or over SPDY for kubectl up to 1.29.

Everything that can be refused is refused before the connection is upgraded; what goes wrong later travels as the final
Status of the streams.
"""

from __future__ import annotations

from typing import Any

from seamark.api.containers import find_node, find_pod, select_container
from seamark.api.core import Call, Core
from seamark.api.streaming.channel import RawUpgrade
from seamark.api.streaming.command import (
    SPDY_PROTOCOLS,
    SUCCESS,
    WEBSOCKET_PROTOCOLS,
    SpdyCommand,
    Wanted,
    WebSocketCommand,
    Work,
    render_exit,
)
from seamark.api.websocket import Duplex, Upgrade, offered_subprotocols, wants_spdy, wants_websocket
from seamark.machinery.status import bad_request
from seamark.machinery.streams import AttachRequest, ByteStream, ExecIO, ExecRequest
from seamark.machinery.wire import Request, Response

Switch = Response | Upgrade | RawUpgrade


async def refuse_plain_exec(core: Core, call: Call) -> Response:
    """A request without an upgrade.

    kubectl sends one after any refused handshake too, so what was wrong with that is said first.
    """
    pod = await find_pod(core, call)
    parse_exec_request(call, pod)
    find_node(core, pod)
    raise bad_request("Upgrade request required")


async def refuse_plain_attach(core: Core, call: Call) -> Response:
    pod = await find_pod(core, call)
    parse_attach_request(call, pod)
    find_node(core, pod)
    raise bad_request("Upgrade request required")


async def open_exec(core: Core, call: Call) -> Switch | None:
    """None for an upgrade to something else."""
    pod = await find_pod(core, call)
    request = parse_exec_request(call, pod)
    node = find_node(core, pod)

    async def work(io: ExecIO) -> dict[str, Any]:
        return render_exit(await node.exec(request, io))

    return switch(call.request, Wanted(request.stdin, request.stdout, request.stderr, request.tty), work)


async def open_attach(core: Core, call: Call) -> Switch | None:
    """None for an upgrade to something else."""
    pod = await find_pod(core, call)
    request = parse_attach_request(call, pod)
    node = find_node(core, pod)

    async def work(io: ExecIO) -> dict[str, Any]:
        await node.attach(request, io)
        return SUCCESS

    return switch(call.request, Wanted(request.stdin, request.stdout, request.stderr, request.tty), work)


def switch(request: Request, wanted: Wanted, work: Work) -> Switch | None:
    """The upgrade that the client asks for, with ``work`` on its streams. Raises 400 for unknown subprotocols."""
    if wants_websocket(request):
        chosen = select_subprotocol(request, WEBSOCKET_PROTOCOLS)

        async def run(socket: Duplex) -> None:
            await WebSocketCommand(socket, wanted, chosen).run(work)

        return Upgrade(chosen, run)
    if not wants_spdy(request):
        return None
    protocol = select_spdy_protocol(request, SPDY_PROTOCOLS)
    if isinstance(protocol, Response):
        return protocol

    async def run_spdy(channel: ByteStream) -> None:
        await SpdyCommand(channel, wanted, protocol).run(work)

    return RawUpgrade(render_spdy_switch(protocol), run_spdy)


def select_subprotocol(request: Request, known: tuple[str, ...]) -> str:
    """The best that the client offers; ``""`` for one that offers none. Raises 400."""
    offered = offered_subprotocols(request)
    chosen = next((p for p in known if p in offered), None)
    if chosen is None and offered:
        raise bad_request(f"none of the subprotocols {list(offered)} is supported: offer one of {list(known)}")
    return chosen or ""


def select_spdy_protocol(request: Request, known: tuple[str, ...]) -> str | Response:
    """The client's first that is known; the last known for a client that names none; else the 403 that says so."""
    named = request.headers.get("x-stream-protocol-version", "")
    offered = [p.strip() for p in named.split(",") if p.strip()]
    if not offered:
        return known[-1]
    chosen = next((p for p in offered if p in known), None)
    if chosen is not None:
        return chosen
    text = f"unable to upgrade: unable to negotiate protocol: client supports {offered}, server accepts {list(known)}"
    headers = {"content-type": "text/plain; charset=utf-8", "x-accepted-stream-protocol-versions": ", ".join(known)}
    return Response(403, text.encode(), headers)


def render_spdy_switch(protocol: str) -> dict[str, str]:
    return {"connection": "Upgrade", "upgrade": "SPDY/3.1", "x-stream-protocol-version": protocol}


def parse_exec_request(call: Call, pod: dict[str, Any]) -> ExecRequest:
    name = check_pod(pod, "exec into")
    command = call.request.params("command")
    if not command:
        raise bad_request("you must specify at least 1 command for the container")
    streams = parse_streams(call.request)
    container = select_container(pod, call.request.param("container"))
    return ExecRequest(call.target.namespace, name, container, command, **streams)


def parse_attach_request(call: Call, pod: dict[str, Any]) -> AttachRequest:
    name = check_pod(pod, "attach to")
    streams = parse_streams(call.request)
    container = select_container(pod, call.request.param("container"))
    return AttachRequest(call.target.namespace, name, container, **streams)


def check_pod(pod: dict[str, Any], what: str) -> str:
    """The pod's name, if its containers can be reached at all. Raises 400."""
    name: str = pod["metadata"]["name"]
    phase = (pod.get("status") or {}).get("phase", "")
    if phase in ("Succeeded", "Failed"):
        raise bad_request(f"cannot {what} a container in a completed pod; current phase is {phase}")
    if not (pod.get("spec") or {}).get("nodeName"):
        raise bad_request(f"pod {name} does not have a host assigned")
    return name


def parse_streams(request: Request) -> dict[str, bool]:
    """A terminal has one output: stderr is not asked for beside it."""
    streams = {stream: request.flag(stream) for stream in ("stdin", "stdout", "stderr", "tty")}
    if streams["tty"]:
        streams["stderr"] = False
    if not (streams["stdin"] or streams["stdout"] or streams["stderr"]):
        raise bad_request("you must specify at least 1 of stdin, stdout, stderr")
    return streams
