"""``seamark explain dns NAME [TYPE] [--from NS/POD]``: why a name is what it is, for a pod of a cluster.

The Corefile is the cluster's (its ConfigMap) or a file; the registry is asked through a kubeconfig. Nothing is
forwarded.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seamark.cli.datadir import DataDir, default_directory
from seamark.cli.errors import UserError
from seamark.client.base import TransportError
from seamark.client.client import Client
from seamark.client.kubeconfig import ApiAccess, KubeconfigError, in_cluster, load_kubeconfig
from seamark.compile.resolvconf import NodeDns, PodDns, PodDnsConfig, ResolvConf, compile_resolvconf
from seamark.dns.corefile.lexer import CorefileError
from seamark.dns.corefile.parser import Corefile, parse_corefile
from seamark.linux.clock import SystemClock
from seamark.machinery.gvr import CONFIGMAPS, PODS, SERVICES
from seamark.machinery.status import StatusError
from seamark.model import codec
from seamark.model.meta import UNKNOWN, Provenance

if TYPE_CHECKING:  # the server is loaded when something is explained, not with every command
    from seamark.explain.dns import Explanation, Question

AGENT = "seamark-explain"
NOBODY = "192.0.2.1"
"""Who asks where no pod was given: an address that no pod has (RFC 5737)."""
RESULTS = {
    "found": "an answer",
    "nodata": "no such record (NODATA)",
    "nxdomain": "no such name (NXDOMAIN)",
    "servfail": "a failure (SERVFAIL)",
    "outside": "what the upstream says",
}


def dns(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As a program in a pod would write it.")],
    rdtype: Annotated[str, typer.Argument(metavar="[TYPE]", help="A and AAAA when absent, as programs ask.")] = "",
    asking: Annotated[
        str, typer.Option("--from", metavar="NS[/POD]", help="Who asks: its search list, its address.")
    ] = "default",
    kubeconfig: Annotated[
        Path | None, typer.Option(help="Any cluster's; else $KUBECONFIG, else the one of --data-dir.")
    ] = None,
    context: Annotated[str, typer.Option(help="A context of the kubeconfig.")] = "",
    data_dir: Annotated[Path | None, typer.Option("--data-dir", help="Where a cluster of Seamark lives.")] = None,
    conf: Annotated[Path | None, typer.Option("--conf", "-conf", help="A Corefile instead of the ConfigMap.")] = None,
    config_map: Annotated[str, typer.Option(help="Where the Corefile is.")] = "kube-system/coredns",
    output: Annotated[str, typer.Option("--output", "-o", help="text or json.")] = "text",
) -> None:
    """Walk a name as glibc and as musl do, through server block and plugins, and say why it ends as it does.

    Nothing is forwarded. Files that a Corefile names are those of this machine.

    \b
    Examples:
      seamark explain dns web --from shop/client
      seamark explain dns _http._tcp.web.shop SRV -o json
      seamark explain dns www.example.com --kubeconfig ~/.kube/config
    """
    if output not in ("text", "json"):
        raise UserError(f"explain dns: --output {output}: text or json")
    _check(name, rdtype)
    asked = _Asked(name, rdtype.upper(), asking, conf, config_map)
    try:
        found = asyncio.run(_explain(asked, _access(kubeconfig, context, data_dir)))
    except (StatusError, TransportError, CorefileError) as error:
        raise UserError(f"explain dns: {error}") from error
    print(json.dumps(as_json(found), indent=2) if output == "json" else "\n".join(as_text(found)))


@dataclass(frozen=True, slots=True)
class _Asked:
    name: str
    rdtype: str
    asking: str
    conf: Path | None
    config_map: str


def _check(name: str, rdtype: str) -> None:
    import dns.exception
    import dns.name
    import dns.rdatatype

    if rdtype and rdtype.upper() not in dns.rdatatype.RdataType.__members__:
        raise UserError(f"explain dns: {rdtype} is not a type such as A, SRV or PTR")
    try:
        dns.name.from_text(name)
    except dns.exception.DNSException as error:
        raise UserError(f"explain dns: {name}: {error}") from error


def _access(kubeconfig: Path | None, context: str, data_dir: Path | None) -> ApiAccess:
    given = kubeconfig or (Path(os.environ["KUBECONFIG"]) if os.environ.get("KUBECONFIG") and not data_dir else None)
    own = DataDir((data_dir or default_directory()).absolute()).kubeconfig
    try:
        if given is None and not own.exists() and data_dir is None:
            return in_cluster()
        return load_kubeconfig(str(given or own), context or None)
    except KubeconfigError as error:
        raise UserError(f"explain dns: {error}") from error


async def _explain(asked: _Asked, access: ApiAccess) -> Explanation:
    from seamark.dns.host import Host
    from seamark.explain.dns import serving

    api = Client(access.transport(), agent=AGENT)
    try:
        corefile = await _corefile(api, asked)
        host = Host(
            clock=SystemClock(),
            environment=dict(os.environ),
            log=lambda line: None,
            connect=lambda config: Client(access.transport(), agent=AGENT),
        )
        conf, client = await _resolver(api, asked.asking, _domain(corefile))
        async with serving(corefile, host) as explainer:
            return await explainer.explain(asked.name, asked.rdtype, conf=conf, client=client, api=api)
    finally:
        await api.close()


async def _corefile(api: Client, asked: _Asked) -> Corefile:
    """From the file, or from the ConfigMap; what that imports is looked for beside it and in coredns-custom."""
    from seamark.dns.server.loading import load_corefile

    if asked.conf is not None:
        try:
            return load_corefile(asked.conf, port=53, environment=os.environ)
        except OSError as error:
            raise UserError(f"explain dns: {asked.conf}: {error.strerror}") from error
    namespace, _, name = asked.config_map.partition("/")
    data = (await api.get(CONFIGMAPS, name, namespace=namespace)).get("data") or {}
    if "Corefile" not in data:
        raise UserError(f"explain dns: ConfigMap {asked.config_map} has no Corefile; name a file with --conf")
    beside = dict(data)
    try:
        beside |= (await api.get(CONFIGMAPS, "coredns-custom", namespace=namespace)).get("data") or {}
    except StatusError:
        pass  # most clusters have none
    return parse_corefile(data["Corefile"], file=asked.config_map, environment={}, read_imports=_imports(beside))


def _imports(data: Mapping[str, str]) -> Callable[[str, str], Sequence[tuple[str, str]]]:
    def read(pattern: str, importing: str) -> Sequence[tuple[str, str]]:
        wanted = PurePosixPath(pattern).name
        return [(key, text) for key, text in sorted(data.items()) if fnmatch(key, wanted)]

    return read


def _domain(corefile: Corefile) -> str:
    from seamark.dns.server.instance import parse_server

    configs = (config for block in parse_server(corefile) for name, config in block.plugins if name == "kubernetes")
    first = next(configs, None)
    return first.primary.rstrip(".") if first is not None else "cluster.local"


async def _resolver(api: Client, asking: str, domain: str) -> tuple[ResolvConf, str]:
    """The resolver settings of who asks, and its address."""
    namespace, _, name = asking.partition("/")
    pod: dict[str, Any] = await api.get(PODS, name, namespace=namespace) if name else {}
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    config = codec.convert(spec["dnsConfig"], PodDnsConfig) if spec.get("dnsConfig") else None
    policy = spec.get("dnsPolicy") or "ClusterFirst"
    wanted = PodDns(namespace, policy=policy, config=config, host_network=bool(spec.get("hostNetwork")))
    node = NodeDns(cluster_domain=domain, cluster_dns=(await _cluster_dns(api) or "cluster DNS",))
    return compile_resolvconf(wanted, node), status.get("podIP") or NOBODY


async def _cluster_dns(api: Client) -> str:
    try:
        return str((await api.get(SERVICES, "kube-dns", namespace="kube-system"))["spec"].get("clusterIP") or "")
    except StatusError:
        return ""


# how it is told


def as_text(found: Explanation) -> Iterator[str]:
    options = " ".join(found.conf.options) or "ndots:1"
    yield f"{found.name}: search {' '.join(found.conf.searches) or 'nothing'}; {options}"
    told: set[tuple[str, str]] = set()
    for walk in found.walks:
        yield f"\n{walk.library}: {RESULTS[walk.result]} after {len(walk.steps)} of its names"
        for number, (step, questions) in enumerate(walk.steps, 1):
            yield f"  {number}. {step.name}  ({step.why})"
            for question in questions:
                yield from _told(question, found, brief=(question.name, question.rdtype) in told)
                told.add((question.name, question.rdtype))
    if found.mend:
        yield "\nwhat would mend it:"
        yield from (f"  - {text}" for text in found.mend)


def _told(question: Question, found: Explanation, *, brief: bool) -> Iterator[str]:
    result = "leaves the cluster" if question.outcome == "outside" else question.rcode
    result = "NODATA" if question.outcome == "nodata" else result
    yield f"     {question.rdtype} {result}" + (" (as above)" if brief else f"  [{question.block or 'no block'}]")
    if brief:
        return
    for plugin, what in question.plugins:
        yield f"        {plugin}: {what}"
    for record, origin in question.records:
        yield f"        {record}" + (f"  <- {_object(origin, found)}" if origin != UNKNOWN else "")
    for reason in question.reasons:
        yield f"        because {reason}"


def _object(origin: Provenance, found: Explanation) -> str:
    where = f"{origin.namespace}/{origin.name}" if origin.namespace else origin.name
    written = found.written.get(origin, 0.0)
    age = f", written {_age(found.now - written)} ago" if written else ""
    return f"{origin.kind} {where}, revision {origin.resource_version}{age}"


def _age(seconds: float) -> str:
    """As kubectl shows ages."""
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(0, int(seconds))}s"


def as_json(found: Explanation) -> dict[str, Any]:
    return {
        "name": found.name,
        "search": list(found.conf.searches),
        "options": list(found.conf.options),
        "walks": [
            {
                "library": walk.library,
                "result": walk.result,
                "steps": [
                    {"name": step.name, "why": step.why, "questions": [_question(q, found) for q in questions]}
                    for step, questions in walk.steps
                ],
            }
            for walk in found.walks
        ],
        "mend": found.mend,
    }


def _question(question: Question, found: Explanation) -> dict[str, Any]:
    return {
        "type": question.rdtype,
        "outcome": question.outcome,
        "rcode": question.rcode,
        "serverBlock": question.block,
        "plugins": [{"name": name, "did": what} for name, what in question.plugins],
        "records": [{"record": text, "object": _origin(origin, found)} for text, origin in question.records],
        "reasons": question.reasons,
        "upstreams": list(question.upstreams),
    }


def _origin(origin: Provenance, found: Explanation) -> dict[str, Any] | None:
    if origin == UNKNOWN:
        return None
    written = found.written.get(origin, 0.0)
    return {
        "kind": origin.kind,
        "namespace": origin.namespace,
        "name": origin.name,
        "resourceVersion": origin.resource_version,
        "ageSeconds": round(found.now - written, 1) if written else None,
    }
