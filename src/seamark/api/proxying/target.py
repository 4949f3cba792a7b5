"""Where a proxy subresource leads: ``[SCHEME:]NAME[:PORT]`` of a pod, a service or a node, resolved to an address.

Addresses of the machine itself and of no machine (loopback, link-local, multicast) are refused, as Kubernetes does: an
object may not lead this server's proxy where its writer could not go.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any

from seamark.api.core import Call, Core
from seamark.api.objects import Obj, unpack_entry
from seamark.machinery.gvr import ENDPOINTSLICES, NODES, PODS, SERVICES
from seamark.machinery.status import StatusError, bad_request, not_found
from seamark.machinery.streams import NodeStreams

KUBELET_PORT = 10250


@dataclass(frozen=True, slots=True)
class Spoken:
    """A name as it stands in the path."""

    scheme: str
    name: str
    port: str


@dataclass(frozen=True, slots=True)
class Place:
    """Where to connect, from which node. ``node`` None with ``host`` "" is a kubelet."""

    node: NodeStreams | None
    host: str
    port: int
    tls: bool = False


def parse_name(text: str) -> Spoken | None:
    """utilnet.SplitSchemeNamePort; None for what is none."""
    parts = text.split(":")
    if len(parts) == 1:
        scheme, name, port = "", parts[0], ""
    elif len(parts) == 2:
        scheme, name, port = "", parts[0], parts[1]
    elif len(parts) == 3:
        scheme, name, port = parts
    else:
        return None
    return Spoken(scheme, name, port) if name and scheme in ("", "http", "https") else None


async def find_place(core: Core, call: Call) -> Place:
    """Raises StatusError 400, 404, 503 in Kubernetes' words."""
    row, text = call.target.row, call.target.name
    spoken = parse_name(text)
    if spoken is None:
        raise bad_request(f'invalid {row.singular} request "{text}"')
    if row.gvr == SERVICES:
        return await _find_service(core, call.target.namespace, spoken, text)
    if row.gvr == PODS:
        return await _find_pod(core, call.target.namespace, spoken)
    return await _find_node(core, spoken)


async def _find_pod(core: Core, namespace: str, spoken: Spoken) -> Place:
    pod = await _get(core, PODS.resource, namespace, spoken.name)
    port = spoken.port or _first_port(pod)
    status, node = pod.get("status") or {}, (pod.get("spec") or {}).get("nodeName", "")
    address = _check_address(status.get("podIP", ""))
    return Place(_connected(core, node), address, _number(port, spoken), spoken.scheme == "https")


def _first_port(pod: Obj) -> str:
    """That of the first container that names any; else what a scheme has by default."""
    for container in (pod.get("spec") or {}).get("containers") or ():
        for port in container.get("ports") or ():
            return str(port["containerPort"])
    return ""


async def _find_service(core: Core, namespace: str, spoken: Spoken, text: str) -> Place:
    service = await _get(core, SERVICES.resource, namespace, spoken.name)
    name = spoken.port
    if name.isdecimal():
        ports = (service.get("spec") or {}).get("ports") or ()
        found = next((p for p in ports if p["port"] == int(name)), None)
        if found is None:
            raise _unavailable(f'no service port {int(name)} found for service "{spoken.name}"')
        name = found.get("name", "")
    choice = await _list_backends(core, namespace, spoken.name, name)
    if not choice:
        raise _unavailable(f'no endpoints available for service "{text}"')
    address, port, node = choice[core.random.randrange(len(choice))]
    via = core.nodes(node) if node else await _any_node(core)
    if via is None:
        raise _unavailable(f'service "{spoken.name}": no node is connected that reaches {address}')
    return Place(via, _check_address(address), port, spoken.scheme == "https")


async def _list_backends(core: Core, namespace: str, service: str, port: str) -> list[tuple[str, int, str]]:
    """Address, port and node of every ready endpoint that has the port of this name."""
    prefix = f"/registry/{ENDPOINTSLICES.group}/{ENDPOINTSLICES.resource}/{namespace}/"
    found: list[tuple[str, int, str]] = []
    for entry in (await core.store.list(prefix=prefix)).entries:
        piece = unpack_entry(entry)
        if (piece["metadata"].get("labels") or {}).get("kubernetes.io/service-name") != service:
            continue
        number = next((p.get("port") for p in piece.get("ports") or () if p.get("name", "") == port), None)
        if number is None:
            continue
        found += [
            (endpoint["addresses"][0], number, endpoint.get("nodeName", ""))
            for endpoint in piece.get("endpoints") or ()
            if _is_ready(endpoint)
        ]
    return found


def _is_ready(endpoint: dict[str, Any]) -> bool:
    return (endpoint.get("conditions") or {}).get("ready") is not False


async def _find_node(core: Core, spoken: Spoken) -> Place:
    node = await _get(core, NODES.resource, "", spoken.name)
    status = node.get("status") or {}
    endpoint = (status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}
    if spoken.port in ("", str(endpoint.get("Port") or KUBELET_PORT)):
        return Place(core.nodes(spoken.name), "", KUBELET_PORT)
    addresses = {a["type"]: a["address"] for a in status.get("addresses") or ()}
    address = _check_address(addresses.get("InternalIP", ""))
    return Place(_connected(core, spoken.name), address, _number(spoken.port, spoken), spoken.scheme == "https")


async def _get(core: Core, resource: str, namespace: str, name: str) -> Obj:
    place = f"{namespace}/{name}" if namespace else name
    entry = await core.store.get(key=f"/registry/core/{resource}/{place}")
    if entry is None:
        raise not_found(resource, name)
    return unpack_entry(entry)


def _connected(core: Core, node: str) -> NodeStreams:
    found = core.nodes(node)
    if found is None:
        raise _unavailable(f'node "{node}" is not connected to this API server')
    return found


async def _any_node(core: Core) -> NodeStreams | None:
    """For endpoints outside the cluster: every node reaches them alike."""
    for entry in (await core.store.list(prefix=f"/registry/core/{NODES.resource}/")).entries:
        found = core.nodes(unpack_entry(entry)["metadata"]["name"])
        if found is not None:
            return found
    return None


def _number(port: str, spoken: Spoken) -> int:
    if not port:
        return 443 if spoken.scheme == "https" else 80
    if port.isascii() and port.isdecimal() and 0 < int(port) <= 0xFFFF:
        return int(port)
    raise bad_request(f'invalid port "{port}" of "{spoken.name}": give a number')


def _check_address(address: str) -> str:
    if not address:
        raise _unavailable("no address is known yet")
    ip = ipaddress.ip_address(address)
    if ip.is_unspecified or ip.is_loopback or ip.is_link_local or ip.is_multicast:
        raise bad_request("address not allowed")
    return address


def _unavailable(text: str) -> StatusError:
    return StatusError(503, "ServiceUnavailable", text)
