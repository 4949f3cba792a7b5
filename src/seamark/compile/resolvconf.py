"""A pod's ``dnsPolicy`` and ``dnsConfig`` -> its /etc/resolv.conf, as kubelet forms it (product: ResolvConf).

Source: kubelet pkg/network/dns and the limits of core validation (3 nameservers, 32 search domains, 2048 characters,
253 a domain). What exceeds a limit is left out and told in ``warnings``, which kubelet records as Events of reason
``DNSConfigForming`` and ``MissingClusterDNS``; nothing is refused here, the API validates before. Options keep the
order in which they were first seen (kubelet's own order is that of a Go map, that is: none).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from seamark.model.meta import Projection

MAX_NAMESERVERS = 3
MAX_SEARCHES = 32
MAX_SEARCH_CHARACTERS = 2048
MAX_DOMAIN = 253
CLUSTER_OPTIONS = ("ndots:5",)


class PodDnsOption(Projection, frozen=True):
    """core/v1 PodDNSConfigOption."""

    name: str = ""
    value: str | None = None


class PodDnsConfig(Projection, frozen=True):
    """core/v1 PodDNSConfig."""

    nameservers: list[str] | None = None
    searches: list[str] | None = None
    options: list[PodDnsOption] | None = None


@dataclass(frozen=True, slots=True)
class PodDns:
    """What a pod says about its DNS."""

    namespace: str
    policy: str = "ClusterFirst"
    config: PodDnsConfig | None = None
    host_network: bool = False


@dataclass(frozen=True, slots=True)
class NodeDns:
    """What a node gives its pods. ``resolv_conf`` is the text of the node's own file; None = kubelet's
    ``--resolv-conf ""``, which leaves pods of policy Default with a local resolver only.
    """

    cluster_domain: str = "cluster.local"
    cluster_dns: tuple[str, ...] = ()
    resolv_conf: str | None = ""


class Warned(NamedTuple):
    """An Event of type Warning on the pod."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class ResolvConf:
    searches: tuple[str, ...] = ()
    nameservers: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    warnings: tuple[Warned, ...] = ()


def parse_resolv_conf(text: str) -> ResolvConf:
    """nameserver lines add up, the last search line wins, options replace one another by name.

    A final dot of a search domain is dropped and a lone ``.`` left out, so that one domain counts once.
    """
    nameservers: list[str] = []
    searches: list[str] = []
    options: dict[str, str] = {}
    for line in text.splitlines():
        word, *rest = line.split() or [""]
        if word == "nameserver" and rest:
            nameservers.append(rest[0])
        elif word == "search":
            searches = [domain.removesuffix(".") for domain in rest if domain != "."]
        elif word == "options":
            options |= {option.partition(":")[0]: option for option in rest}
    return ResolvConf(tuple(searches), tuple(nameservers), tuple(options.values()))


def compile_resolvconf(pod: PodDns, node: NodeDns) -> ResolvConf:
    """The resolver settings of one pod, within the limits."""
    base, warnings = _base(pod, node)
    merged = _append(base, pod.config) if pod.config else base
    nameservers, cut_servers = _fit_nameservers(merged.nameservers)
    searches, cut_searches = _fit_searches(merged.searches)
    return ResolvConf(searches, nameservers, merged.options, (*warnings, *cut_servers, *cut_searches))


def render_resolv_conf(conf: ResolvConf) -> str:
    """The file, in the order in which container runtimes write it: search, nameserver, options."""
    lines = [f"search {' '.join(conf.searches)}"] if conf.searches else []
    lines += [f"nameserver {address}" for address in conf.nameservers]
    lines += [f"options {' '.join(conf.options)}"] if conf.options else []
    return "".join(f"{line}\n" for line in lines)


def _base(pod: PodDns, node: NodeDns) -> tuple[ResolvConf, tuple[Warned, ...]]:
    """The settings by policy, before ``dnsConfig``. An unknown policy is taken as ClusterFirst, as kubelet does."""
    if pod.policy == "None":
        return ResolvConf(), ()
    if pod.policy == "Default" or (pod.policy == "ClusterFirst" and pod.host_network):
        return _node_settings(node), ()
    if not node.cluster_dns:
        message = (
            'the node has no cluster DNS address and cannot create the pod with dnsPolicy "ClusterFirst"; '
            'it gets "Default" instead: configure the cluster DNS address'
        )
        return _node_settings(node), (Warned("MissingClusterDNS", message),)
    own = parse_resolv_conf(node.resolv_conf or "").searches
    domain = node.cluster_domain
    cluster = (f"{pod.namespace}.svc.{domain}", f"svc.{domain}", domain) if domain else ()
    return ResolvConf(_unique((*cluster, *own)), node.cluster_dns, CLUSTER_OPTIONS), ()


def _node_settings(node: NodeDns) -> ResolvConf:
    if node.resolv_conf is None:
        return ResolvConf((".",), ("127.0.0.1",))
    return parse_resolv_conf(node.resolv_conf)


def _append(base: ResolvConf, config: PodDnsConfig) -> ResolvConf:
    """``dnsConfig`` behind the base; a repeated option takes its value, a repeated address or domain counts once."""
    options = dict(_split_option(option) for option in base.options)
    options |= {option.name: option.value or "" for option in config.options or []}
    return ResolvConf(
        _unique((*base.searches, *(config.searches or []))),
        _unique((*base.nameservers, *(config.nameservers or []))),
        tuple(f"{name}:{value}" if value else name for name, value in options.items()),
    )


def _split_option(option: str) -> tuple[str, str]:
    name, _, value = option.partition(":")
    return name, value


def _unique(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


def _fit_nameservers(found: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[Warned, ...]]:
    kept = found[:MAX_NAMESERVERS]
    if len(kept) == len(found):
        return kept, ()
    message = (
        "Nameserver limits were exceeded, some nameservers have been omitted, "
        f"the applied nameserver line is: {' '.join(kept)}"
    )
    return kept, (Warned("DNSConfigForming", message),)


def _fit_searches(found: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[Warned, ...]]:
    """A domain over 253 characters is left out by itself: glibc 2.28 aborts on it."""
    kept = [domain for domain in found[:MAX_SEARCHES] if len(domain) <= MAX_DOMAIN]
    while len(" ".join(kept)) > MAX_SEARCH_CHARACTERS:
        kept.pop()
    if len(kept) == len(found):
        return found, ()
    message = (
        "Search Line limits were exceeded, some search paths have been omitted, "
        f"the applied search line is: {' '.join(kept)}"
    )
    return tuple(kept), (Warned("DNSConfigForming", message),)
