"""What a KubeProxyConfiguration means for this proxy: the node, the options, the ports to listen on.

Every field is honoured, refused (``ConfigError``), or warned of (``ProxySettings.warnings``); none is passed over in
silence, and what kube-proxy refuses is refused. Differences from kube-proxy: an empty mode is nftables; there is no
minimum period unless one is given; ``iptables.localhostNodePorts`` counts in every mode where it is given and is served
without ``route_localnet``; port 0 means that a port is not served.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, ip_address, ip_network

from seamark.compile.ruleset import NodeConfig
from seamark.proxy.backend import Backend
from seamark.proxy.backends import BACKENDS, ipvs_backend, with_loopback_ports
from seamark.proxy.configdocument import (
    ConfigError,
    Document,
    Iptables,
    Ipvs,
    KubeProxyConfiguration,
    Nftables,
    Section,
    Winkernel,
    parse_duration,
)
from seamark.proxy.ipvsoptions import SCHEDULERS, IpvsOptions
from seamark.proxy.options import FAMILIES, ProxyOptions
from seamark.proxy.sysctls import compile_sysctls

DEFAULT_MODE = "nftables"
HEALTHZ_PORT, METRICS_PORT = 10256, 10249
SYNC_PERIOD = 30.0
OOM_SCORE_ADJ = -999
DETECT_MODES = ("ClusterCIDR", "NodeCIDR", "BridgeInterface", "InterfaceNamePrefix")
PRIMARY = "primary"
LOOPBACK = IPv4Network("127.0.0.0/8")
_HOST_PORT = re.compile(r"(?:\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<four>[^:\[\]]+)):(?P<port>\d{1,5})")


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ProxySettings:
    """``healthz`` and ``metrics`` None = not served. ``node.name`` empty = the machine's name."""

    document: KubeProxyConfiguration
    node: NodeConfig
    options: ProxyOptions
    healthz: Address | None
    metrics: Address | None
    warnings: tuple[str, ...] = ()


def compile_settings(given: Document, *, cpus: int = 1) -> ProxySettings:
    """Raises ConfigError for what cannot be honoured and would change what packets do. ``cpus`` of the machine
    size its table of tracked connections.
    """
    document = given.config
    mode = document.mode or DEFAULT_MODE
    if mode not in BACKENDS:
        raise ConfigError(f"mode: {mode!r} is not supported; there are: {', '.join(BACKENDS)}")
    rules = document.nftables if mode == "nftables" else document.iptables
    _check(document)
    node = _local_detection(document, _node(document, mode, rules.masquerade_bit, masquerade_all=rules.masquerade_all))
    sync, least = _periods(document.ipvs if mode == "ipvs" else rules, "iptables" if mode == "userspace" else mode)
    options = ProxyOptions(
        backend=_backend(document, mode),
        families=FAMILIES,
        pod_cidrs_of_node=document.detect_local_mode == "NodeCIDR",
        service_cidrs_of_api=True,
        sync_period=sync,
        min_sync_period=least,
        sysctls=compile_sysctls(document.conntrack, cpus=cpus),
    )
    six = ":" in document.bind_address
    anywhere, here = ("::", "::1") if six else ("0.0.0.0", "127.0.0.1")
    return ProxySettings(
        document,
        node,
        options,
        healthz=_address(document.healthz_bind_address, Address(anywhere, HEALTHZ_PORT), "healthzBindAddress"),
        metrics=_address(document.metrics_bind_address, Address(here, METRICS_PORT), "metricsBindAddress"),
        warnings=(*(f"unknown field {name}" for name in given.unknown), *_warnings(document)),
    )


def _periods(given: Iptables | Nftables | Ipvs, section: str) -> tuple[float, float]:
    """How long a change may wait, and the least time between two."""
    sync = parse_duration(given.sync_period, f"{section}.syncPeriod") or SYNC_PERIOD
    least = parse_duration(given.min_sync_period, f"{section}.minSyncPeriod")
    if least > sync:
        raise ConfigError(f"{section}.minSyncPeriod: {given.min_sync_period!r} is longer than syncPeriod")
    return sync, least


def _backend(document: KubeProxyConfiguration, mode: str) -> Backend:
    backend = ipvs_backend(_ipvs(document.ipvs)) if mode == "ipvs" else BACKENDS[mode]()
    return with_loopback_ports(backend) if _serves_loopback(document, mode) else backend


def _serves_loopback(document: KubeProxyConfiguration, mode: str) -> bool:
    """Node ports on 127.0.0.1: as in kube-proxy by default in mode iptables, elsewhere where it is asked for."""
    asked = document.iptables.localhost_node_ports
    if mode == "userspace" or not (mode == "iptables" if asked is None else asked):
        return False  # mode userspace does so by itself
    ranges = [ip_network(c) for c in document.node_port_addresses or () if c != PRIMARY]
    return not ranges or any(r.overlaps(LOOPBACK) for r in ranges if r.version == LOOPBACK.version)


def _ipvs(given: Ipvs) -> IpvsOptions:
    scheduler = given.scheduler or SCHEDULERS[0]
    if scheduler not in SCHEDULERS:
        raise ConfigError(f"ipvs.scheduler: {scheduler!r}: must be one of {', '.join(SCHEDULERS)}")
    seconds = {
        name: parse_duration(value, f"ipvs.{name}")
        for name, value in (
            ("tcpTimeout", given.tcp_timeout),
            ("tcpFinTimeout", given.tcp_fin_timeout),
            ("udpTimeout", given.udp_timeout),
        )
    }
    for name, value in seconds.items():
        if (value and not 1 <= value <= 2**31) or value % 1:
            raise ConfigError(f"ipvs.{name}: {value:g} s: must be whole seconds")
    return IpvsOptions(
        scheduler,
        strict_arp=given.strict_arp,
        excluded=_ranges(given.exclude_cidrs or (), "ipvs.excludeCIDRs"),
        tcp=int(seconds["tcpTimeout"]),
        tcp_fin=int(seconds["tcpFinTimeout"]),
        udp=int(seconds["udpTimeout"]),
    )


def _node(document: KubeProxyConfiguration, mode: str, bit: int | None, *, masquerade_all: bool) -> NodeConfig:
    served = document.node_port_addresses or []
    primary = served == [PRIMARY] or (not served and mode == "nftables")
    if PRIMARY in served and len(served) > 1:
        raise ConfigError(f"nodePortAddresses: {PRIMARY!r} cannot be combined with ranges")
    return NodeConfig(
        name=document.hostname_override.strip().lower(),
        node_ips=_node_ips(document.bind_address),
        pod_cidrs=(),
        service_cidrs=(),
        masquerade_all=masquerade_all,
        node_ports_on_node_ips_only=primary,
        node_port_cidrs=() if primary else _within_families(served),
        masquerade_mark=1 << (14 if bit is None else bit),
    )


def _within_families(served: list[str]) -> tuple[str, ...]:
    """A /0 range means every address of its family, which is what no range of it means."""
    ranges = [ip_network(cidr) for cidr in _ranges(served, "nodePortAddresses")]
    whole = {network.version for network in ranges if network.prefixlen == 0}
    return tuple(str(network) for network in ranges if network.version not in whole)


def _node_ips(bind_address: str) -> tuple[str, ...]:
    """A bind address that is one is the node's; any other node's are on its Node object."""
    if not bind_address:
        return ()
    try:
        found = ip_address(bind_address)
    except ValueError:
        raise ConfigError(f"bindAddress: {bind_address!r} is not an address") from None
    return () if found.is_unspecified else (str(found),)


def _local_detection(document: KubeProxyConfiguration, node: NodeConfig) -> NodeConfig:
    mode, given = document.detect_local_mode or DETECT_MODES[0], document.detect_local
    if mode not in DETECT_MODES:
        raise ConfigError(f"detectLocalMode: {mode!r}: must be one of {', '.join(DETECT_MODES)}")
    if mode == "ClusterCIDR":
        return replace(node, pod_cidrs=_cluster_ranges(document.cluster_cidr))
    if mode == "BridgeInterface":
        return replace(node, pod_bridge=_interface(given.bridge_interface, "detectLocal.bridgeInterface"))
    if mode == "InterfaceNamePrefix":
        prefix = _interface(given.interface_name_prefix, "detectLocal.interfaceNamePrefix")
        return replace(node, pod_interface_prefix=prefix)
    return node


def _cluster_ranges(text: str) -> tuple[str, ...]:
    ranges = _ranges(text.split(","), "clusterCIDR") if text else ()
    if len({ip_network(cidr).version for cidr in ranges}) != len(ranges):
        raise ConfigError(f"clusterCIDR: {text!r}: must be one range, or one of each family")
    return ranges


def _interface(name: str, field: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.@-]{1,15}", name):
        raise ConfigError(f"{field}: {name!r} is not the name of an interface, which this detectLocalMode needs")
    return name


def _ranges(given: Iterable[str], field: str) -> tuple[str, ...]:
    found = []
    for cidr in given:
        try:
            found.append(str(ip_network(cidr, strict=False)))
        except ValueError as error:
            raise ConfigError(f"{field}: {error}") from None
        if "/" not in cidr:
            raise ConfigError(f"{field}: {cidr!r} is not a range such as {found[-1]}")
    return tuple(dict.fromkeys(found))


def _address(text: str, default: Address, field: str) -> Address | None:
    """``address:port``, or an address, which takes the port of the default; port 0 = not served."""
    found = _HOST_PORT.fullmatch(text or str(default))
    host, port = (found["six"] or found["four"], int(found["port"])) if found else (text.strip("[]"), default.port)
    try:
        ip_address(host)
    except ValueError:
        raise ConfigError(f"{field}: {text!r} is not an address and a port") from None
    if port > 65535:
        raise ConfigError(f"{field}: {text!r}: there is no port {port}")
    return Address(host, port) if port else None


def _check(document: KubeProxyConfiguration) -> None:
    """What has no other place to be refused."""
    if document.logging.format not in ("", "text", "json"):
        raise ConfigError(f"logging.format: {document.logging.format!r}: must be text or json")
    for name, section in (("iptables", document.iptables), ("nftables", document.nftables)):
        if not 0 <= (section.masquerade_bit or 0) <= 31:
            raise ConfigError(f"{name}.masqueradeBit: {section.masquerade_bit}: must be 0 to 31")
    if not document.hostname_override.strip() and document.hostname_override:
        raise ConfigError("hostnameOverride: is empty but for spaces")


def _warnings(document: KubeProxyConfiguration) -> Iterator[str]:
    """What is asked for and not done, and does no harm."""
    client, logging = document.client_connection, document.logging
    resync = parse_duration(document.config_sync_period, "configSyncPeriod")
    windows = document.winkernel != Winkernel() or document.windows_run_as_service
    cases = (
        ("protobuf" in client.content_type, "clientConnection.contentType: JSON is spoken"),
        (client.qps or client.burst, "clientConnection: qps and burst: there is no limit, a proxy asks little"),
        (resync not in (0.0, 900.0), "configSyncPeriod: nothing needs to be asked for anew"),
        (document.feature_gates, f"featureGates: there are none: {', '.join(document.feature_gates or ())}"),
        (document.enable_profiling, "enableProfiling: there is no profile to serve"),
        (document.port_range, "portRange: has no meaning any more"),
        (document.show_hidden_metrics_for_version, "showHiddenMetricsForVersion: no metric is hidden"),
        (logging.vmodule or _is_said(logging.options), "logging: vmodule and options are not supported"),
        (
            parse_duration(logging.flush_frequency, "logging.flushFrequency"),
            "logging.flushFrequency: every line is written at once",
        ),
        (client.accept_content_types, "clientConnection.acceptContentTypes: JSON is asked for"),
        (document.mode != "ipvs" and _is_said(document.ipvs), "ipvs: counts in mode ipvs alone"),
        (windows, "winkernel: this is not Windows"),
        (_other_masquerade(document), "masqueradeAll: counts in the section of the mode in use alone"),
    )
    yield from (text for asked, text in cases if asked)


def _is_said(value: object) -> bool:
    """Whether a section, or what is in it, says more than that nothing is wanted."""
    if isinstance(value, Section):
        return any(_is_said(getattr(value, name)) for name in value.__struct_fields__)
    if isinstance(value, dict):
        return any(map(_is_said, value.values()))
    return bool(value) and value not in ("0", "0s")


def _other_masquerade(document: KubeProxyConfiguration) -> bool:
    """Whether everything is to be masqueraded in a mode that is not ours."""
    ours, other = document.nftables, document.iptables
    if document.mode in ("iptables", "ipvs"):
        return ours.masquerade_all and not other.masquerade_all
    return other.masquerade_all and not ours.masquerade_all
