"""pods/NAME/portforward: over SPDY, bare or inside a WebSocket (kubectl ≥ 1.31), or over a WebSocket's channels."""

from __future__ import annotations

from typing import Any

from seamark.api.containers import find_node, find_pod
from seamark.api.core import Call, Core
from seamark.api.streaming.channel import RawUpgrade, TunnelledBytes
from seamark.api.streaming.portforward import (
    CHANNEL_PROTOCOLS,
    PROTOCOL,
    TUNNEL,
    ChannelForward,
    Dial,
    forward_streams,
    parse_port,
)
from seamark.api.subresources.exec import Switch, render_spdy_switch, select_spdy_protocol, select_subprotocol
from seamark.api.websocket import Duplex, Upgrade, wants_spdy, wants_websocket
from seamark.machinery.status import bad_request
from seamark.machinery.streams import ByteStream
from seamark.machinery.wire import Request, Response


async def refuse_plain_portforward(core: Core, call: Call) -> Response:
    pod = await find_pod(core, call)
    _check_pod(pod)
    find_node(core, pod)
    raise bad_request("Upgrade request required")


async def open_portforward(core: Core, call: Call) -> Switch | None:
    """None for an upgrade to something else."""
    pod = await find_pod(core, call)
    name = _check_pod(pod)
    node = find_node(core, pod)

    async def dial(port: int) -> ByteStream:
        return await node.port_forward(call.target.namespace, name, port)

    if wants_websocket(call.request):
        return _switch_websocket(call.request, dial)
    if not wants_spdy(call.request):
        return None
    protocol = select_spdy_protocol(call.request, (PROTOCOL,))
    if isinstance(protocol, Response):
        return protocol

    async def run(channel: ByteStream) -> None:
        await forward_streams(channel, dial)

    return RawUpgrade(render_spdy_switch(protocol), run)


def _switch_websocket(request: Request, dial: Dial) -> Upgrade:
    chosen = select_subprotocol(request, (TUNNEL, *CHANNEL_PROTOCOLS))
    if chosen == TUNNEL:

        async def tunnel(socket: Duplex) -> None:
            await forward_streams(TunnelledBytes(socket), dial)

        return Upgrade(TUNNEL, tunnel)
    ports = parse_ports(request)

    async def run(socket: Duplex) -> None:
        await ChannelForward(socket, ports, dial).run()

    return Upgrade(chosen, run)


def parse_ports(request: Request) -> list[int]:
    """``ports=80&ports=443`` or ``ports=80,443``. Raises 400."""
    texts = [text for value in request.params("ports") for text in value.split(",")]
    if not texts:
        raise bad_request('query parameter "ports" is required')
    ports: list[int] = []
    for text in texts:
        port = parse_port(text)
        if port is None:
            raise bad_request(f'query parameter "ports": {text!r} is no port')
        ports.append(port)
    if len(ports) > 100:
        raise bad_request(f'query parameter "ports": {len(ports)} are more than 100')
    return ports


def _check_pod(pod: dict[str, Any]) -> str:
    name: str = pod["metadata"]["name"]
    if not (pod.get("spec") or {}).get("nodeName"):
        raise bad_request(f"pod {name} does not have a host assigned")
    return name
