"""``seamark explain conn``: why a connection of a pod, or of an address, to a Service goes where it goes.

Objects are asked of the API server, rules of the kernel of the client's node: a cluster of ``seamark up``, or with
``--kubeconfig`` the node that this machine is of another one.
"""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from seamark.cli.errors import UserError
from seamark.cli.where import DataOption, HereOption, Where
from seamark.client.base import TransportError
from seamark.client.client import Client
from seamark.client.committed import written_at
from seamark.client.kubeconfig import KubeconfigError, load_kubeconfig
from seamark.compile.addresses import family_of
from seamark.compile.nftlayout import Layout
from seamark.compile.ruleset import NodeConfig
from seamark.compile.whyconn import Ages, QuestionError, compile_report, plan_question, render_report
from seamark.linux.nft import NftError
from seamark.machinery.gvr import ENDPOINTSLICES, GVR, NODES, PODS, SERVICES
from seamark.machinery.status import StatusError
from seamark.model import codec
from seamark.model.endpointslice import EndpointSlice
from seamark.model.meta import Object, ObjectKey
from seamark.model.node import ZONE_LABEL, Node
from seamark.model.pod import Pod
from seamark.model.service import Service
from seamark.model.snapshot import Observed, Snapshot
from seamark.proxy.kernelview import read_node, read_view

T = TypeVar("T", bound=Object)


def conn(
    client: Annotated[str, typer.Argument(metavar="[NS/]POD", help="The pod that connects; with --from the Service.")],
    service: Annotated[
        str | None, typer.Argument(metavar="[NS/]SVC[:PORT]", help="Where to: a Service, or an address with a port.")
    ] = None,
    sender: Annotated[str | None, typer.Option("--from", metavar="ADDRESS", help="Who connects, if no pod.")] = None,
    node: Annotated[str | None, typer.Option(help="Whose rules (default: the pod's node, or the first).")] = None,
    data_dir: DataOption = None,
    kubeconfig: HereOption = None,
    output: Annotated[str, typer.Option("--output", "-o", help="text or json.")] = "text",
) -> None:
    """Say why a connection goes where it goes: names, Service, endpoints, rules in the kernel, and what would mend it.

    \b
    Examples:
      seamark explain conn default/client web:http
      seamark explain conn kube-system/coredns-x1 10.96.0.1:443
      seamark explain conn --from 192.0.2.7 default/web
    """
    if output not in ("text", "json"):
        raise UserError(f"explain: --output {output}: text or json")
    if (service is None) == (sender is None):
        raise UserError("explain: conn takes a POD and a SERVICE, or --from ADDRESS and a SERVICE")
    pod, target = ("", client) if service is None else (client, service)
    asked = _Asked(pod, sender or "", target, node)
    try:
        report = asyncio.run(_explain(asked, Where(data_dir, kubeconfig, None)))
    except (KubeconfigError, TransportError, StatusError, QuestionError, NftError, ValueError) as error:
        raise UserError(f"explain: {error}") from error
    print(
        json.dumps(report, indent=2) if output == "json" else render_report(report),
        end="\n" if output == "json" else "",
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    pod: str
    sender: str
    target: str
    node: str | None


async def _explain(asked: _Asked, where: Where) -> dict[str, Any]:
    snapshot, written = await _snapshot(where.access())
    namespace, source, name = _client(snapshot, asked)
    namespaces = where.namespaces()
    if where.kubeconfig is not None:
        name = name or socket.gethostname().lower()
        namespaces = {name: None}
    name = name or next(iter(namespaces), "")
    if name not in namespaces:
        raise UserError(f"explain: node {name} does not run here; there are: {', '.join(namespaces) or 'none'}")
    if family_of(source) is None:
        raise UserError(f"explain: --from {source}: not an address")
    found = snapshot.nodes.get(ObjectKey("", name))
    zone = found.labels.get(ZONE_LABEL, "") if found else ""
    pin, layout = namespaces[name], Layout(family_of(source) or "IPv4")
    known = NodeConfig(name, found.internal_ips if found else (), (), (), zone)
    node = await read_node(pin, layout, known)
    question = plan_question(snapshot, asked.target, source, namespace=namespace, node=node)
    view = await read_view(pin, layout, question.packet, node)
    ages = Ages(written, time.time())
    return compile_report(snapshot, question, node, view, ages=ages, domain=where.cluster_domain)


def _client(snapshot: Snapshot, asked: _Asked) -> tuple[str, str, str]:
    """Namespace, address and node of whoever connects."""
    if not asked.pod:
        return "default", asked.sender, asked.node or ""
    namespace, _, name = asked.pod.rpartition("/")
    pod = snapshot.pods.get(ObjectKey(namespace or "default", name))
    if pod is None:
        near = ", ".join(str(key) for key in sorted(snapshot.pods) if key.name == name)
        raise UserError(f"explain: Pod {asked.pod}: there is none" + (f"; there is: {near}" if near else ""))
    if not pod.ips:
        raise UserError(f"explain: Pod {pod.key}: has no address yet: `kubectl describe pod` says what it waits for")
    return pod.key.namespace, pod.ips[0], asked.node or pod.spec.node_name


async def _snapshot(kubeconfig: Path) -> tuple[Snapshot, dict[str, float]]:
    """The objects, and when each uid was last written."""
    api = Client(load_kubeconfig(kubeconfig).transport(), agent="seamark explain")
    written: dict[str, float] = {}

    async def read(gvr: GVR, kind: type[T]) -> list[T]:
        items = await api.list(gvr)
        written.update((item["metadata"].get("uid", ""), written_at(item)) for item in items)
        return [codec.convert(item, kind) for item in items]

    try:
        objects: Iterable[Observed] = [
            *await read(SERVICES, Service),
            *await read(ENDPOINTSLICES, EndpointSlice),
            *await read(PODS, Pod),
            *await read(NODES, Node),
        ]
    finally:
        await api.close()
    return Snapshot.of(objects), written
