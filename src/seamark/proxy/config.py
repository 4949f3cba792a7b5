"""What a KubeProxyConfiguration means for this proxy: the node, the options, the ports to listen on.

Every field is honoured, refused (``ConfigError``), or warned of (``ProxySettings.warnings``); none is passed over in
silence. Differences from kube-proxy: an empty mode is nftables; there is no minimum period unless one is given;
``iptables.localhostNodePorts`` counts in every mode where it is given, and is served without ``route_localnet``.
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
    Ipvs,
    KubeProxyConfiguration,
    Winkernel,
    parse_duration,
    render_configuration,
)
from seamark.proxy.ipvsoptions import SCHEDULERS, IpvsOptions
from seamark.proxy.options import FAMILIES, ProxyOptions
from seamark.proxy.sysctls import compile_sysctls

DEFAULT_MODE = "nftables"
HEALTHZ = "0.0.0.0:10256"
METRICS = "127.0.0.1:10249"
DETECT_MODES = ("ClusterCIDR", "NodeCIDR", "BridgeInterface", "InterfaceNamePrefix")
PRIMARY = "primary"
LOOPBACK = IPv4Network("127.0.0.0/8")
_HOST_PORT = re.compile(r"(?:\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<four>[^:\[\]]*)):(?P<port>\d{1,5})")


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


def compile_settings(document: KubeProxyConfiguration, *, cpus: int = 1) -> ProxySettings:
    """Raises ConfigError for what cannot be honoured and would change what packets do. ``cpus`` of the machine
    size its table of tracked connections.
    """
    mode = document.mode or DEFAULT_MODE
    if mode not in BACKENDS:
        raise ConfigError(f"mode: {mode!r} is not supported; there are: {', '.join(BACKENDS)}")
    rules = document.nftables if mode == "nftables" else document.iptables
    _check(document)
    node = _local_detection(document, _node(document, mode, rules.masquerade_bit, masquerade_all=rules.masquerade_all))
    periods = document.ipvs if mode == "ipvs" else rules
    options = ProxyOptions(
        backend=_backend(document, mode),
        families=FAMILIES,
        pod_cidrs_of_node=document.detect_local_mode == "NodeCIDR",
        service_cidrs_of_api=True,
        sync_period=parse_duration(periods.sync_period, f"{mode}.syncPeriod") or 30.0,
        min_sync_period=parse_duration(periods.min_sync_period, f"{mode}.minSyncPeriod"),
        sysctls=compile_sysctls(document.conntrack, cpus=cpus),
    )
    return ProxySettings(
        document,
        node,
        options,
        healthz=_address(document.healthz_bind_address, HEALTHZ, "healthzBindAddress"),
        metrics=_address(document.metrics_bind_address, METRICS, "metricsBindAddress"),
        warnings=tuple(_warnings(document)),
    )


def render_configz(settings: ProxySettings) -> dict[str, object]:
    """``/configz``: the document with the defaults filled in, by the names of the document."""
    found = render_configuration(settings.document)
    found |= {
        "mode": settings.options.backend.mode,
        "hostnameOverride": settings.node.name,
        "healthzBindAddress": str(settings.healthz or ""),
        "metricsBindAddress": str(settings.metrics or ""),
        "detectLocalMode": settings.document.detect_local_mode or DETECT_MODES[0],
    }
    return {"kubeproxy.config.k8s.io": found}


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
    bit = 14 if bit is None else bit
    if not 0 <= bit <= 31:
        raise ConfigError(f"{mode}.masqueradeBit: {bit}: must be 0 to 31")
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
        masquerade_mark=1 << bit,
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
    cluster = _ranges([c for c in document.cluster_cidr.split(",") if c.strip()], "clusterCIDR")
    if mode == "ClusterCIDR":
        return replace(node, pod_cidrs=cluster)
    if mode == "BridgeInterface":
        return replace(node, pod_bridge=_interface(given.bridge_interface, "detectLocal.bridgeInterface"))
    if mode == "InterfaceNamePrefix":
        prefix = _interface(given.interface_name_prefix, "detectLocal.interfaceNamePrefix")
        return replace(node, pod_interface_prefix=prefix)
    return node


def _interface(name: str, field: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.@-]{1,15}", name):
        raise ConfigError(f"{field}: {name!r} is not the name of an interface, which this detectLocalMode needs")
    return name


def _ranges(given: Iterable[str], field: str) -> tuple[str, ...]:
    try:
        return tuple(dict.fromkeys(str(ip_network(cidr.strip(), strict=False)) for cidr in given))
    except ValueError as error:
        raise ConfigError(f"{field}: {error}") from None


def _address(text: str, default: str, field: str) -> Address | None:
    """``host:port``; a bare port or address takes the rest from the default, port 0 = not served."""
    if text and text.isdecimal():
        text = f"{default.rpartition(':')[0]}:{text}"
    elif text and ":" not in text:
        text = f"{text}:{default.rpartition(':')[2]}"
    found = _HOST_PORT.fullmatch(text or default)
    host = (found["six"] or found["four"] or "0.0.0.0") if found else ""
    try:
        ip_address(host)
    except ValueError:
        raise ConfigError(f"{field}: {text!r} is not an address and a port") from None
    port = int(found["port"]) if found else 0
    if port > 65535:
        raise ConfigError(f"{field}: {text!r}: there is no port {port}")
    return Address(host, port) if port else None


def _check(document: KubeProxyConfiguration) -> None:
    """What would make packets or logs do something else than asked is refused."""
    if document.logging.format not in ("", "text"):
        raise ConfigError(f"logging.format: {document.logging.format!r} is not supported; there is: text")
    parse_duration(document.config_sync_period, "configSyncPeriod")


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
        (logging.vmodule or logging.options, "logging: vmodule and options are not supported"),
        (
            parse_duration(logging.flush_frequency, "logging.flushFrequency"),
            "logging.flushFrequency: every line is written at once",
        ),
        (client.accept_content_types, "clientConnection.acceptContentTypes: JSON is asked for"),
        (document.mode != "ipvs" and _is_ipvs_asked(document.ipvs), "ipvs: counts in mode ipvs alone"),
        (windows, "winkernel: this is not Windows"),
        (_other_masquerade(document), "masqueradeAll: counts in the section of the mode in use alone"),
    )
    yield from (text for asked, text in cases if asked)


def _is_ipvs_asked(given: Ipvs) -> bool:
    periods = any(parse_duration(period, "ipvs") for period in (given.sync_period, given.min_sync_period))
    return periods or bool(given.scheduler) or _ipvs(given) != IpvsOptions()


def _other_masquerade(document: KubeProxyConfiguration) -> bool:
    """Whether everything is to be masqueraded in a mode that is not ours."""
    ours, other = document.nftables, document.iptables
    if document.mode in ("iptables", "ipvs"):
        return ours.masquerade_all and not other.masquerade_all
    return other.masquerade_all and not ours.masquerade_all
