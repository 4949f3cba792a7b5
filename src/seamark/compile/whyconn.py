"""Why a connection to a Service goes where it goes: objects, decision and what the kernel holds, side by side (pure).

``plan_question`` finds what is asked (which Service, port and address), ``compile_report`` puts the answer together:
nothing here knows a kernel or an API, so what ``seamark explain conn`` says is a table of cases in its tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, NamedTuple, cast

from seamark.compile.addresses import family_of
from seamark.compile.ruleset import NodeConfig, Protocol, compile_ruleset, is_proxied, select_family
from seamark.compile.tracer import Decision, Packet, explain, origin_of, show
from seamark.model.endpointslice import EndpointSlice
from seamark.model.meta import Object, ObjectKey
from seamark.model.service import Service, ServicePort
from seamark.model.snapshot import Snapshot


class QuestionError(Exception):
    """Nothing can be asked so: says what there is."""


class Question(NamedTuple):
    """A first packet, and the Service it is meant for (None where only an address was given)."""

    packet: Packet
    service: ObjectKey | None


@dataclass(frozen=True, slots=True)
class KernelView:
    """What the kernel of the node says of the packet. ``element``: the map element its frontend has; ``rule``: the
    chain that chooses; ``endpoints``: of its pool, as ip:port. Empty texts = it has none. ``hooks``: by cgroup, the
    endpoints that connect() of its processes chooses among, before there is a packet.
    """

    table: str = ""
    element: str = ""
    rule: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()
    affinity: str = ""
    flows: tuple[str, ...] = ()
    hooks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def plan_question(snapshot: Snapshot, target: str, source: str, *, namespace: str, node: NodeConfig) -> Question:
    """``target``: ``SVC``, ``NS/SVC`` or an address, then ``:PORT`` by number or name. Raises QuestionError."""
    name, port = _split(target)
    try:
        ip = str(ip_address(name))
    except ValueError:
        ip = ""
    if ip:
        return Question(_to_address(snapshot, Packet(source, ip, _number(port, target))), None)
    space, _, name = name.rpartition("/")
    key = ObjectKey(space or namespace, name)
    service = snapshot.services.get(key)
    if service is None:
        near = ", ".join(str(k) for k in sorted(snapshot.services) if name in (k.name, k.namespace))
        raise QuestionError(f"Service {key}: there is none" + (f"; there is: {near}" if near else ""))
    chosen = _port(service, port)
    return Question(_to_service(service, chosen, source, node), key)


@dataclass(frozen=True, slots=True)
class Ages:
    """How old objects are: when each uid was last written (Unix seconds), and what time it is."""

    written: Mapping[str, float]
    now: float

    def about(self, item: Object) -> dict[str, str]:
        at = self.written.get(item.metadata.uid, 0.0)
        changed = {"changed": f"{_duration(self.now - at)} ago"} if at else {}
        return {"revision": item.metadata.resource_version, **changed}


def compile_report(
    snapshot: Snapshot, question: Question, node: NodeConfig, kernel: KernelView, *, ages: Ages, domain: str
) -> dict[str, Any]:
    """Everything, in the order in which a packet meets it; for people and programs alike."""
    packet = question.packet
    family = family_of(packet.destination) or "IPv4"
    decision = explain(compile_ruleset(snapshot, node, family=family), packet)
    rules = decision.rules
    key = ObjectKey(rules.key.namespace, rules.key.name) if rules else question.service
    service = snapshot.services.get(key) if key else None
    slices = snapshot.slices_of(key) if key else ()
    outcome = decision.outcome
    return {
        "node": node.name,
        "from": f"{packet.source} ({origin_of(packet, node)})",
        "to": f"{show(packet.destination, packet.port)}/{packet.protocol}",
        "names": _names(service, domain) if service else [],
        "service": _about(service, ages) if service else None,
        "endpointSlices": [_about_slice(piece, ages) for piece in slices],
        "verdict": _VERDICTS[outcome.action],
        "because": decision.because,
        "endpoints": sorted(outcome.endpoints),
        "masquerade": _masquerade(decision),
        "serverSees": _seen(decision, packet, node),
        "kernel": {
            "table": kernel.table or "none of ours",
            "element": kernel.element or "none",
            "rule": list(kernel.rule),
            "endpoints": sorted(kernel.endpoints),
            "affinity": kernel.affinity or "none",
            "connections": list(kernel.flows),
            "connectHook": [_hooked(*hook) for hook in sorted(kernel.hooks.items())],
        },
        "mend": _mend(decision, kernel, service, slices, node),
    }


def render_report(report: dict[str, Any]) -> str:
    """The report as lines for people."""
    lines: list[str] = []
    for name, value in report.items():
        lines += _lines(_TITLES.get(name, name), value, 0)
    return "".join(f"{line}\n" for line in lines)


_VERDICTS = {
    "balance": "goes to an endpoint",
    "refuse": "is refused at once",
    "drop": "is dropped: the client times out",
    "pass": "is not touched",
}
_TITLES = {"endpointSlices": "endpoint slices", "serverSees": "server sees", "connectHook": "connect hook"}


def _lines(name: str, value: Any, depth: int) -> Iterable[str]:
    pad = "  " * depth
    if isinstance(value, dict):
        yield f"{pad}{name}:"
        for inner, item in value.items():
            yield from _lines(_TITLES.get(str(inner), str(inner)), item, depth + 1)
    elif isinstance(value, list) and value:
        yield f"{pad}{name}:"
        for item in value:
            shown = item if isinstance(item, str) else ", ".join(f"{k} {v}" for k, v in item.items())
            yield f"{pad}  {shown}"
    elif value not in (None, []):
        yield f"{pad}{name}: {value}"


def _split(target: str) -> tuple[str, str]:
    if target.startswith("["):
        inside, _, rest = target[1:].partition("]")
        return inside, rest.removeprefix(":")
    if target.count(":") > 1:  # an IPv6 address without brackets, so without a port
        return target, ""
    name, _, port = target.partition(":")
    return name, port


def _number(port: str, target: str) -> int:
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise QuestionError(f"{target}: an address needs a port, as in 10.96.0.1:443")
    return int(port)


def _to_address(snapshot: Snapshot, packet: Packet) -> Packet:
    """The protocol is that of whatever Service has the port; TCP where none has."""
    ports = (port for service in snapshot.services.values() for port in service.spec.ports or [])
    protocols = {p.protocol for p in ports if packet.port in (p.port, p.node_port)}
    only = protocols.pop() if len(protocols) == 1 else "TCP"
    return Packet(packet.source, packet.destination, packet.port, cast(Protocol, only))


def _port(service: Service, text: str) -> ServicePort:
    ports = service.spec.ports or []
    if not text and ports:
        return ports[0]
    for port in ports:
        if text in (port.name, str(port.port), str(port.node_port or "")):
            return port
    known = ", ".join(f"{p.name or '(no name)'} {p.port}/{p.protocol}" for p in ports) or "none"
    raise QuestionError(f"Service {service.key} has no port {text or 'at all'}; it has: {known}")


def _to_service(service: Service, port: ServicePort, source: str, node: NodeConfig) -> Packet:
    """Insiders come to the ClusterIP; outsiders to what is meant for them, where the Service has it."""
    family = family_of(source) or "IPv4"
    protocol = cast(Protocol, port.protocol)
    ips = select_family(service.cluster_ips, family)
    if not ips:
        why = (
            "is headless: its names lead to pods, without a proxy"
            if service.is_headless
            else f"has no {family} address"
        )
        raise QuestionError(f"Service {service.key} {why}")
    inside = Packet(source, ips[0], port.port, protocol)
    if origin_of(inside, node) != "outside":
        return inside
    status = service.status.load_balancer
    vips = [i.ip for i in (status.ingress if status else None) or [] if i.ip and i.ip_mode != "Proxy"]
    outside = select_family([*vips, *(service.spec.external_ips or [])], family)
    if outside:
        return Packet(source, outside[0], port.port, protocol)
    own = select_family(node.node_ips, family)
    return Packet(source, own[0], port.node_port, protocol) if port.node_port and own else inside


def _names(service: Service, domain: str) -> list[str]:
    meta = service.metadata
    whole = f"{meta.name}.{meta.namespace}.svc.{domain}"
    shorter = f"{meta.name}.{meta.namespace}.svc", f"{meta.name}.{meta.namespace}"
    return [f"{whole} -> {', '.join(service.cluster_ips)}", *shorter, f"{meta.name} (in {meta.namespace})"]


def _about(service: Service, ages: Ages) -> dict[str, str]:
    policies = {
        "type": service.spec.type,
        "externalTrafficPolicy": service.spec.external_traffic_policy,
        "internalTrafficPolicy": service.spec.internal_traffic_policy or "",
        "sessionAffinity": service.spec.session_affinity if service.affinity_seconds else "",
    }
    return {"name": str(service.key), **ages.about(service), **{n: v for n, v in policies.items() if v}}


def _about_slice(piece: EndpointSlice, ages: Ages) -> dict[str, str]:
    endpoints = piece.endpoints or []
    ready = sum(e.is_ready for e in endpoints)
    ports = ", ".join(f"{p.name or '(no name)'} {p.port}/{p.protocol or 'TCP'}" for p in piece.ports or [])
    shown = {"name": piece.metadata.name, **ages.about(piece), "endpoints": f"{ready} of {len(endpoints)} ready"}
    return {**shown, "ports": ports or "none"}


def _duration(seconds: float) -> str:
    whole = max(0, int(seconds))
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if whole >= 2 * length:
            return f"{whole // length}{unit}"
    return f"{whole}s"


def _hooked(cgroup: str, endpoints: Sequence[str]) -> str:
    return (
        f"processes in {cgroup}: connect() itself goes to {' or '.join(sorted(endpoints))}; "
        "no rule above is asked, nothing is masqueraded, and no connection to the Service is tracked"
    )


def _masquerade(decision: Decision) -> str:
    outcome = decision.outcome
    if outcome.action != "balance" or not outcome.masqueraded:
        return "no"
    if outcome.masqueraded == outcome.endpoints:
        return "yes"
    return f"only where the client is the server itself: {', '.join(sorted(outcome.masqueraded))}"


def _seen(decision: Decision, packet: Packet, node: NodeConfig) -> str:
    if decision.outcome.action != "balance":
        return "nothing"
    family = family_of(packet.destination) or "IPv4"
    own = select_family(node.node_ips, family)
    if _masquerade(decision) == "yes" and packet.source not in node.node_ips:
        return f"an address of {node.name or 'the node'}" + (f", {own[0]} as a rule" if own else "")
    return packet.source


def _mend(
    decision: Decision, kernel: KernelView, service: Service | None, slices: Sequence[EndpointSlice], node: NodeConfig
) -> list[str]:
    """What would make the connection work, or the kernel agree; empty where all is well."""
    found = []
    outcome, rules = decision.outcome, decision.rules
    if service is not None and rules is None and not is_proxied(service):
        found.append(f"Service {service.key} is another proxy's (label service-proxy-name): ask that one")
    if outcome.action == "refuse":
        found.append(_without_endpoints(service, slices) if rules else "use a port the Service has")
    if outcome.action == "drop":
        found.append(_dropped(decision, node))
    if not kernel.table:
        found.append(
            f"no nftables rules of ours on {node.name}: does a proxy run there (`curl -s 127.0.0.1:10256/healthz`), "
            "and in mode nftables? No other is read"
        )
    elif outcome.action == "balance" and set(kernel.endpoints) != outcome.endpoints:
        found.append(_lagging("the kernel", kernel.endpoints, outcome.endpoints))
    found += (
        _lagging(f"the connect hook of {cgroup}", endpoints, outcome.endpoints)
        for cgroup, endpoints in kernel.hooks.items()
        if set(endpoints) != outcome.endpoints
    )
    return found


def _lagging(what: str, has: Iterable[str], wanted: frozenset[str]) -> str:
    missing = ", ".join(sorted(wanted.difference(has))) or "nothing"
    more = ", ".join(sorted(frozenset(has) - wanted)) or "nothing"
    return f"{what} lags: it lacks {missing}, has {more} too many; ask again, then read the proxy's log"


def _without_endpoints(service: Service | None, slices: Sequence[EndpointSlice]) -> str:
    endpoints = [e for piece in slices for e in piece.endpoints or []]
    selector = service.spec.selector if service else None
    chosen = ",".join(f"{name}={value}" for name, value in sorted((selector or {}).items()))
    if not endpoints:
        none = "the Service has no selector: make EndpointSlices for it"
        return f"no pod matches: `kubectl get pods -l {chosen}`" if chosen else none
    if any(e.is_ready for e in endpoints):
        ports = ", ".join(sorted({p.name or "(no name)" for piece in slices for p in piece.ports or []}))
        return f"ready endpoints have no port of that name; they have: {ports or 'none'}: correct targetPort"
    return f"0 of {len(endpoints)} endpoints are ready: `kubectl describe pods -l {chosen}` says why"


def _dropped(decision: Decision, node: NodeConfig) -> str:
    rules = decision.rules
    if rules is None:
        return "no Service has this address: ask for the name anew"
    if decision.target is None:
        return f"add the client to spec.loadBalancerSourceRanges; it has: {', '.join(rules.source_ranges)}"
    scope = decision.frontend.scope if decision.frontend else "external"
    places = {e.node for e in (rules.external_short_circuit or rules.external).endpoints if e.node}
    where = f"; there are on: {', '.join(sorted(places))}" if places else ""
    return f"run an endpoint on {node.name}, or set {scope}TrafficPolicy to Cluster{where}"
