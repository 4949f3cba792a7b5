"""``seamark compile``: the products of the pure compilers for given objects, no cluster needed."""

from __future__ import annotations

import sys
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

import typer

from seamark.cli.errors import UserError
from seamark.compile.addresses import Family, family_of
from seamark.compile.diff import compile_nft
from seamark.compile.dnstable import DnsOptions, compile_dnstable
from seamark.compile.env import compile_env
from seamark.compile.iptables import compile_iptables, select_owned
from seamark.compile.iptablestext import render_restore, select_missing_hooks
from seamark.compile.ipvs import Surroundings, compile_ipvs
from seamark.compile.ipvstext import TABLE, render_elements, render_servers
from seamark.compile.manifest import ManifestError, parse_manifest
from seamark.compile.nftlayout import Layout
from seamark.compile.nftstructure import render_structure
from seamark.compile.nfttext import render_explained
from seamark.compile.ruleset import NodeConfig, compile_ruleset, is_proxied
from seamark.model.meta import ObjectKey
from seamark.model.node import ZONE_LABEL
from seamark.model.pod import Pod
from seamark.model.snapshot import Snapshot
from seamark.proxy.ipvsoptions import SCHEDULERS

app = typer.Typer(no_args_is_help=True, help="What the compilers make of objects in a file; no cluster needed.")

FileOption = Annotated[Path, typer.Option("--filename", "-f", help="Objects as YAML; - reads standard input.")]
PodOption = Annotated[str | None, typer.Option("--pod", help="NAMESPACE/NAME of a pod in the file.")]
SourceOption = Annotated[bool, typer.Option("--show-source", help="Say which object each line came from.")]


@app.command()
def env(file: FileOption, pod: PodOption = None, show_source: SourceOption = False) -> None:
    """Print the Service variables a pod would start with now.

    \b
    Examples:
      seamark compile env -f objects.yaml --pod default/web-0
    """
    snapshot = read_snapshot(file)
    found = _pod(snapshot, pod) if pod else Pod()
    links = found.spec.enable_service_links is not False
    block = compile_env(snapshot, found.metadata.namespace or "default", enable_service_links=links)
    for variable in block.variables:
        print(f"{variable.name}={variable.value}" + (f"  # {variable.origin}" if show_source else ""))


@app.command()
def dns(
    file: FileOption,
    pod: PodOption = None,
    show_source: SourceOption = False,
    cluster_domain: Annotated[str, typer.Option(help="DNS domain of the cluster.")] = "cluster.local",
) -> None:
    """Print the records of the cluster's zone; with --pod those of that pod's addresses and names alone.

    \b
    Examples:
      seamark compile dns -f objects.yaml
    """
    snapshot = read_snapshot(file)
    options = DnsOptions(pods="verified")
    wanted = _pod(snapshot, pod).ips if pod else None
    for record in compile_dnstable(snapshot, options).records():
        owner = f"{record.owner}." if record.owner.endswith(".arpa") else f"{record.owner}.{cluster_domain}."
        relative = record.rdtype not in ("A", "AAAA") and not record.data.endswith(".")
        data = f"{record.data}.{cluster_domain}." if relative else record.data
        if wanted is not None and not _concerns(owner, data, wanted):
            continue
        print(f"{owner} {record.rdtype} {data}" + (f"  ; {record.origin}" if show_source else ""))


@app.command()
def nft(
    file: FileOption,
    pod: PodOption = None,
    node: Annotated[
        str | None, typer.Option(help="The node whose rules to print (default: the first by name).")
    ] = None,
    pod_cidr: Annotated[str, typer.Option(help="Addresses of pods, comma separated.")] = "10.244.0.0/16",
    service_cidr: Annotated[str, typer.Option(help="Addresses of Services, comma separated.")] = "10.96.0.0/12",
    structure: Annotated[bool, typer.Option("--structure", help="Print the table's chains and sets as well.")] = False,
    ipv6: Annotated[bool, typer.Option("--ipv6", help="The IPv6 table instead of the IPv4 one.")] = False,
) -> None:
    """Print the nft elements of every Service on one node, each under its Service; --pod: on that pod's node.

    \b
    Examples:
      seamark compile nft -f objects.yaml --node node1
      seamark compile nft -f objects.yaml --structure > table.nft
    """
    snapshot = read_snapshot(file)
    if pod:
        node = _pod(snapshot, pod).spec.node_name
    config = _node_config(snapshot, node, pod_cidr.split(","), service_cidr.split(","))
    family: Family = "IPv6" if ipv6 else "IPv4"
    for key, service in snapshot.services.items():
        if is_proxied(service) and not service.cluster_ips:
            print(f"seamark compile: Service {key}: spec.clusterIP: none given, so no rules", file=sys.stderr)
    mirror = compile_nft(compile_ruleset(snapshot, config, family=family), Layout(family))
    if structure:
        print(render_structure(mirror.layout, config, mirror.affinities), end="")
    print(render_explained(mirror, everything=structure), end="")


@app.command()
def iptables(
    file: FileOption,
    node: Annotated[
        str | None, typer.Option(help="The node whose rules to print (default: the first by name).")
    ] = None,
    pod_cidr: Annotated[str, typer.Option(help="Addresses of pods, comma separated.")] = "10.244.0.0/16",
    service_cidr: Annotated[str, typer.Option(help="Addresses of Services, comma separated.")] = "10.96.0.0/12",
    ipv6: Annotated[bool, typer.Option("--ipv6", help="The IPv6 tables instead of the IPv4 ones.")] = False,
) -> None:
    """Print what proxy mode iptables gives iptables-restore on one node.

    \b
    Examples:
      seamark compile iptables -f objects.yaml --node node1
    """
    snapshot = read_snapshot(file)
    config = _node_config(snapshot, node, pod_cidr.split(","), service_cidr.split(","))
    family: Family = "IPv6" if ipv6 else "IPv4"
    chains = compile_iptables(compile_ruleset(snapshot, config, family=family), family)
    print(render_restore({}, chains, select_missing_hooks({})), end="")


@app.command()
def ipvs(
    file: FileOption,
    node: Annotated[
        str | None, typer.Option(help="The node whose rules to print (default: the first by name).")
    ] = None,
    pod_cidr: Annotated[str, typer.Option(help="Addresses of pods, comma separated.")] = "10.244.0.0/16",
    service_cidr: Annotated[str, typer.Option(help="Addresses of Services, comma separated.")] = "10.96.0.0/12",
    ipv6: Annotated[bool, typer.Option("--ipv6", help="IPv6 instead of IPv4.")] = False,
) -> None:
    """Print the virtual servers of proxy mode ipvs on one node, and the nft elements beside them.

    \b
    Examples:
      seamark compile ipvs -f objects.yaml --node node1
    """
    snapshot = read_snapshot(file)
    config = _node_config(snapshot, node, pod_cidr.split(","), service_cidr.split(","))
    family: Family = "IPv6" if ipv6 else "IPv4"
    ports = compile_ruleset(snapshot, config, family=family).ports
    addresses = tuple(ip for ip in config.node_ips if family_of(ip) == family)
    product = compile_ipvs(ports, select_owned(ports), Surroundings(config, addresses))
    print(render_servers(product, SCHEDULERS[0]), end="")
    print(render_elements(Layout(family, TABLE), (), product.elements), end="")


def read_snapshot(file: Path) -> Snapshot:
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text()
        manifest = parse_manifest(text)
    except (OSError, UnicodeDecodeError, ManifestError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"compile: {file}: {why}") from error
    for what in manifest.ignored:
        print(f"seamark compile: {file}: {what}: not used by any compiler", file=sys.stderr)
    return manifest.snapshot


def _pod(snapshot: Snapshot, text: str) -> Pod:
    namespace, _, name = text.rpartition("/")
    found = snapshot.pods.get(ObjectKey(namespace or "default", name))
    if found is None:
        raise UserError(f"compile: --pod {text}: no such Pod in the file; there are: {_names(snapshot)}")
    return found


def _names(snapshot: Snapshot) -> str:
    return ", ".join(map(str, sorted(snapshot.pods))) or "none"


def _concerns(owner: str, data: str, addresses: tuple[str, ...]) -> bool:
    return data in addresses or owner in {f"{ip_address(ip).reverse_pointer}." for ip in addresses}


def _node_config(snapshot: Snapshot, name: str | None, pod_cidrs: list[str], service_cidrs: list[str]) -> NodeConfig:
    known = sorted(key.name for key in snapshot.nodes)
    if name is not None and known and name not in known:
        raise UserError(f"compile: --node {name}: no such Node in the file; there are: {', '.join(known)}")
    chosen = name or (known[0] if known else "")
    node = snapshot.nodes.get(ObjectKey("", chosen))
    return NodeConfig(
        name=chosen,
        node_ips=node.internal_ips if node else (),
        pod_cidrs=tuple(pod_cidrs),
        service_cidrs=tuple(service_cidrs),
        zone=node.labels.get(ZONE_LABEL, "") if node else "",
    )
