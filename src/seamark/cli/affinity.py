"""``seamark affinity list|clear|pin``: which client of an affinity Service goes where, as the kernel has it now.

The memory is the kernel's, on each node its own; Services are named by asking the API server. ``clear`` makes the
kernel forget clients: their next connection is chosen anew, open ones go on. ``pin`` makes it remember one that we
name, until that is cleared or its endpoint goes.
"""

from __future__ import annotations

import asyncio
import errno
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

import typer

from seamark.cli.errors import UserError
from seamark.cli.where import DataOption, HereOption, NodeOption, Where
from seamark.client.base import TransportError
from seamark.client.client import Client
from seamark.client.kubeconfig import KubeconfigError, load_kubeconfig
from seamark.compile.affinity import SETS_READ, Remembered, name_frontends, plan_pin, read_affinity
from seamark.compile.nftlayout import Layout
from seamark.linux.nfnetlink import ElementBatch, GenerationError, Nfnetlink, NfnetlinkError
from seamark.machinery.gvr import SERVICES
from seamark.machinery.status import StatusError
from seamark.model import codec
from seamark.model.service import Service
from seamark.proxy.options import FAMILIES
from seamark.proxy.table import describe_table

app = typer.Typer(no_args_is_help=True, help="Where clients of Services with sessionAffinity: ClientIP go.")

TRIES = 5

ServiceArgument = Annotated[str | None, typer.Argument(help="NAMESPACE/NAME of a Service; all when absent.")]
ClientOption = Annotated[str | None, typer.Option("--client", help="One client address alone.")]


@dataclass(frozen=True, slots=True)
class Found:
    """A remembered client, and where it is remembered."""

    node: str
    namespace: Path | None
    layout: Layout
    service: str
    entry: Remembered


@app.command("list")
def list_clients(
    service: ServiceArgument = None,
    node: NodeOption = None,
    client: ClientOption = None,
    data_dir: DataOption = None,
    kubeconfig: HereOption = None,
    output: Annotated[str, typer.Option("--output", "-o", help="text or json.")] = "text",
) -> None:
    """Print each remembered client, its endpoint and when it is forgotten if it stays away.

    \b
    Examples:
      seamark affinity list
      seamark affinity list default/web --node node1
    """
    if output not in ("text", "json"):
        raise UserError(f"affinity: --output {output}: text or json")
    found = list(_find(Where(data_dir, kubeconfig, node), service, client))
    rows = [(f.node, f.service, f.entry.client, f.entry.endpoint or "gone: chosen anew", _left(f)) for f in found]
    heads = ("node", "service", "client", "endpoint", "expires")
    if output == "json":
        print(json.dumps([dict(zip(heads, row, strict=True)) for row in rows], indent=2))
        return
    table = [tuple(head.upper() for head in heads), *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(heads))]
    for row in table:
        print("   ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def _left(found: Found) -> str:
    return f"{found.entry.expires:.0f}s" if found.entry.expires else "pinned"


@app.command()
def pin(
    service: Annotated[str, typer.Argument(help="NAMESPACE/NAME of a Service with sessionAffinity: ClientIP.")],
    client: Annotated[str, typer.Option("--client", help="The client's address.")],
    endpoint: Annotated[str, typer.Option("--endpoint", help="Address of one of its endpoints.")],
    node: NodeOption = None,
    data_dir: DataOption = None,
    kubeconfig: HereOption = None,
) -> None:
    """Send a client to one endpoint from its next connection on, until that is cleared or the endpoint goes.

    \b
    Examples:
      seamark affinity pin default/web --client 10.244.1.5 --endpoint 10.244.2.7
    """
    where = Where(data_dir, kubeconfig, node)
    address = _address(client)
    names = _names_of(where, service)
    pinned = []
    for name, namespace in where.namespaces().items():
        layout = Layout("IPv6" if ":" in address else "IPv4")
        if _pin(namespace, layout, names, (address, endpoint)):
            pinned.append(name)
    if not pinned:
        raise UserError(f"affinity: {service}: no ready endpoint {endpoint} of a port with sessionAffinity here")
    print(f"pinned on: {', '.join(pinned)}")


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise UserError(f"affinity: --client {text}: not an address") from None


def _pin(namespace: Path | None, layout: Layout, names: Collection[str], who: tuple[str, str]) -> bool:
    """Whether the endpoint is in a pool of these frontends here."""
    table = describe_table(layout)
    with Nfnetlink(namespace) as netlink:
        if not netlink.has_table(table.family, table.name):
            return False
        for _ in range(TRIES):
            generation = netlink.generation()
            sets = {name: netlink.dump(table, name) for name in SETS_READ}
            wanted = plan_pin(sets, layout, names, client=who[0], endpoint=who[1])
            there = [key for key in wanted if netlink.get(table, "aff", key) is not None]
            batch = ElementBatch(deletes={"aff": there} if there else {}, adds={"aff": list(wanted.items())})
            try:
                if wanted:
                    netlink.apply(table, batch, generation=generation)
                return bool(wanted)
            except NfnetlinkError as error:
                if not isinstance(error, GenerationError) and error.errno not in (errno.ENOENT, errno.EEXIST):
                    raise
    raise UserError(f"affinity: table {table.name}: changed without a pause; try again")


@app.command()
def clear(
    service: ServiceArgument = None,
    node: NodeOption = None,
    client: ClientOption = None,
    data_dir: DataOption = None,
    kubeconfig: HereOption = None,
) -> None:
    """Forget clients: the next connection of each is chosen anew, open ones go on.

    \b
    Examples:
      seamark affinity clear default/web
      seamark affinity clear default/web --client 10.244.1.5
    """
    if service is None and client is None:
        raise UserError("affinity: clear: name a Service or a --client")
    tables: dict[tuple[Path | None, Layout], list[bytes]] = {}
    for found in _find(Where(data_dir, kubeconfig, node), service, client):
        tables.setdefault((found.namespace, found.layout), []).append(found.entry.key)
    for (namespace, layout), keys in tables.items():
        _forget(namespace, layout, keys)
    print(f"forgotten: {sum(map(len, tables.values()))}")


def _names_of(where: Where, service: str) -> set[str]:
    """The frontends of a Service."""
    found = {shown for shown, name in asyncio.run(_names(where.access())).items() if name.partition(":")[0] == service}
    if not found:
        raise UserError(f"affinity: {service}: no such Service with an address (write NAMESPACE/NAME)")
    return found


def _find(where: Where, service: str | None, client: str | None) -> Iterator[Found]:
    namespaces = where.namespaces()
    names = asyncio.run(_names(where.access()))
    if service is not None and service not in {name.partition(":")[0] for name in names.values()}:
        raise UserError(f"affinity: {service}: no such Service (write NAMESPACE/NAME)")
    kernels = {
        (node, namespace, layout): entries
        for node, namespace in namespaces.items()
        for layout in map(Layout, FAMILIES)
        if (entries := _read(namespace, layout)) is not None
    }
    if not kernels:
        raise UserError("affinity: no proxy of mode nftables has rules here (other modes do not tell their clients)")
    for (node, namespace, layout), entries in kernels.items():
        for entry in entries:
            found = next((names[f] for f in entry.frontends if f in names), ", ".join(entry.frontends) or "?")
            if service in (None, found.partition(":")[0]) and client in (None, entry.client):
                yield Found(node, namespace, layout, found, entry)


async def _names(kubeconfig: Path) -> Mapping[str, str]:
    try:
        api = Client(load_kubeconfig(kubeconfig).transport(), agent="seamark affinity")
        try:
            return name_frontends(codec.convert(item, Service) for item in await api.list(SERVICES))
        finally:
            await api.close()
    except (KubeconfigError, TransportError, StatusError, ValueError) as error:
        raise UserError(f"affinity: {error}") from error


def _read(namespace: Path | None, layout: Layout) -> list[Remembered] | None:
    """None where there is no table."""
    table = describe_table(layout)
    with Nfnetlink(namespace) as netlink:
        if not netlink.has_table(table.family, table.name):
            return None
        sets = {name: netlink.dump(table, name) for name in SETS_READ}
        return read_affinity(sets, netlink.list_elements(table, "aff"), layout)


def _forget(namespace: Path | None, layout: Layout, keys: list[bytes]) -> None:
    """A client may expire, or the proxy write, between our look and our word: then look again."""
    table = describe_table(layout)
    with Nfnetlink(namespace) as netlink:
        for _ in range(TRIES):
            generation = netlink.generation()
            there = netlink.dump(table, "aff")
            left = [key for key in keys if key in there]
            try:
                if left:
                    netlink.apply(table, ElementBatch(deletes={"aff": left}), generation=generation)
                return
            except GenerationError:
                continue
    raise UserError(f"affinity: table {table.name}: changed without a pause; try again")
