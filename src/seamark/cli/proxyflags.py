"""The flags of ``seamark proxy``: kube-proxy's, each with the place in the configuration document that says the same.

A flag that kube-proxy has is taken, so that its DaemonSets work as they are; what it says means what the document's
field means. Beside ``--config`` the file decides, as in kube-proxy, and what was said in vain is named.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from seamark.proxy.backends import BACKENDS
from seamark.proxy.configdocument import API_VERSION, KIND

HELP = "the service proxy of one node: kube-proxy's configuration, kube-proxy's flags"
RULES = "rules"
"""Stands for the section of the mode: ``iptables`` also for ipvs, which masquerades as that does."""


@dataclass(frozen=True, slots=True)
class Flag:
    """``path`` in the document, empty where it has none. ``beside``: counts beside ``--config`` as well."""

    name: str
    path: str
    kind: str
    help: str
    beside: bool = False

    @property
    def key(self) -> str:
        return self.name.replace("-", "_")


FLAGS = (
    Flag("config", "", "FILE", "KubeProxyConfiguration, which says everything but the node's name and logging", True),
    Flag("write-config-to", "", "FILE", "write the configuration as it would count, and end", True),
    Flag("cleanup", "", "bool", "remove our rules of every mode and end", True),
    Flag("init-only", "", "bool", "set what needs all of root's rights, and end", True),
    Flag("master", "", "URL", "the API server, whatever the kubeconfig says", True),
    Flag("hostname-override", "hostnameOverride", "NAME", "name of the Node (default: the machine's name)", True),
    Flag("kubeconfig", "clientConnection.kubeconfig", "FILE", "the API server (default: the pod's service account)"),
    Flag("proxy-mode", "mode", "MODE", f"{', '.join(BACKENDS)}; nftables by default"),
    Flag("bind-address", "bindAddress", "IP", "the node's address; any = those of the Node object"),
    Flag("cluster-cidr", "clusterCIDR", "CIDRS", "ranges of pod addresses: the rest is masqueraded"),
    Flag("nodeport-addresses", "nodePortAddresses", "list", "ranges that serve node ports; primary = the Node's own"),
    Flag("detect-local-mode", "detectLocalMode", "MODE", "ClusterCIDR, NodeCIDR, BridgeInterface, InterfaceNamePrefix"),
    Flag("pod-bridge-interface", "detectLocal.bridgeInterface", "NAME", "the bridge pods are on"),
    Flag("pod-interface-name-prefix", "detectLocal.interfaceNamePrefix", "PREFIX", "how interfaces of pods begin"),
    Flag("healthz-bind-address", "healthzBindAddress", "IP:PORT", "/healthz, /livez (0.0.0.0:10256); port 0 = none"),
    Flag("healthz-port", "", "int", "deprecated: 0 = none, else the port of an address that names none"),
    Flag("metrics-bind-address", "metricsBindAddress", "IP:PORT", "/metrics, /proxyMode, /configz (127.0.0.1:10249)"),
    Flag("metrics-port", "", "int", "deprecated, as --healthz-port"),
    Flag("bind-address-hard-fail", "bindAddressHardFail", "bool", "end where one of these cannot be opened"),
    Flag("masquerade-all", f"{RULES}.masqueradeAll", "bool", "masquerade everything that goes to a ClusterIP"),
    Flag("iptables-masquerade-bit", f"{RULES}.masqueradeBit", "int", "bit of the packet mark, 14 by default"),
    Flag("iptables-sync-period", f"{RULES}.syncPeriod", "TIME", "/healthz tells of a change that waits twice as long"),
    Flag("iptables-min-sync-period", f"{RULES}.minSyncPeriod", "TIME", "least time between two changes of the kernel"),
    Flag("iptables-localhost-nodeports", "iptables.localhostNodePorts", "bool", "node ports on loopback, in any mode"),
    Flag("ipvs-scheduler", "ipvs.scheduler", "NAME", "how mode ipvs chooses: rr by default"),
    Flag("ipvs-strict-arp", "ipvs.strictARP", "bool", "arp_ignore 1 and arp_announce 2"),
    Flag("ipvs-exclude-cidrs", "ipvs.excludeCIDRs", "list", "addresses whose virtual servers are somebody else's"),
    Flag("ipvs-sync-period", "ipvs.syncPeriod", "TIME", "as --iptables-sync-period, of mode ipvs"),
    Flag("ipvs-min-sync-period", "ipvs.minSyncPeriod", "TIME", "as --iptables-min-sync-period, of mode ipvs"),
    Flag("ipvs-tcp-timeout", "ipvs.tcpTimeout", "TIME", "of idle TCP connections; 0 = the kernel's own"),
    Flag("ipvs-tcpfin-timeout", "ipvs.tcpFinTimeout", "TIME", "of TCP connections after a FIN"),
    Flag("ipvs-udp-timeout", "ipvs.udpTimeout", "TIME", "of UDP flows"),
    Flag("conntrack-max-per-core", "conntrack.maxPerCore", "int", "tracked connections per core (32768; 0 = as it is)"),
    Flag("conntrack-min", "conntrack.min", "int", "and at least so many (131072)"),
    Flag("conntrack-tcp-timeout-established", "conntrack.tcpEstablishedTimeout", "TIME", "of idle TCP (24h)"),
    Flag("conntrack-tcp-timeout-close-wait", "conntrack.tcpCloseWaitTimeout", "TIME", "of half-closed TCP (1h)"),
    Flag("conntrack-tcp-be-liberal", "conntrack.tcpBeLiberal", "bool", "take packets out of window for what they are"),
    Flag("conntrack-udp-timeout", "conntrack.udpTimeout", "TIME", "of UDP flows nobody answered (0 = as it is)"),
    Flag("conntrack-udp-timeout-stream", "conntrack.udpStreamTimeout", "TIME", "of UDP flows both ways (0 = as it is)"),
    Flag("oom-score-adj", "oomScoreAdj", "int", "how late the kernel ends this process for memory (-999)"),
    Flag("logging-format", "logging.format", "text|json", "how lines look", True),
    Flag("v", "logging.verbosity", "int", "verbosity: 4 and more = debug", True),
    Flag("vmodule", "logging.vmodule", "modules", "not supported: verbosity by file", True),
    Flag("log-flush-frequency", "logging.flushFrequency", "TIME", "every line is written at once", True),
    Flag("log-text-split-stream", "logging.options.text.splitStream", "bool", "not supported", True),
    Flag("log-text-info-buffer-size", "logging.options.text.infoBufferSize", "SIZE", "not supported", True),
    Flag("log-json-split-stream", "logging.options.json.splitStream", "bool", "not supported", True),
    Flag("log-json-info-buffer-size", "logging.options.json.infoBufferSize", "SIZE", "not supported", True),
    Flag("feature-gates", "featureGates", "gates", "there are none"),
    Flag("profiling", "enableProfiling", "bool", "there is no profile to serve"),
    Flag("show-hidden-metrics-for-version", "showHiddenMetricsForVersion", "VERSION", "no metric is hidden"),
    Flag("config-sync-period", "configSyncPeriod", "TIME", "nothing needs to be asked for anew"),
    Flag("kube-api-content-type", "clientConnection.contentType", "TYPE", "JSON is spoken"),
    Flag("kube-api-qps", "clientConnection.qps", "float", "there is no limit"),
    Flag("kube-api-burst", "clientConnection.burst", "int", "there is no limit"),
    Flag("boot-id-file", "", "FILES", "not read", True),
    Flag("machine-id-file", "", "FILES", "not read", True),
)
OUR_FLAGS = (
    Flag("connect-hook", "", "CGROUP", "a directory (v2) whose processes' connect() BPF answers for ClusterIPs", True),
)
"""Which kube-proxy has not, nor its document."""
UNREAD = ("boot-id-file", "machine-id-file")
BY_KEY = {flag.key: flag for flag in FLAGS}


def build_parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(prog="seamark proxy", description=HELP, allow_abbrev=False)
    found.add_argument("--version", nargs="?", const="true", help="show the version and end")
    for flag in (*FLAGS, *OUR_FLAGS):
        names = ["-v", "--v"] if flag.name == "v" else [f"--{flag.name}"]
        if flag.kind == "bool":
            found.add_argument(*names, nargs="?", const=True, type=_boolean, metavar="true|false", help=flag.help)
        else:
            found.add_argument(*names, type=_KINDS.get(flag.kind, str), metavar=flag.kind, help=flag.help)
    return found


def compile_flags(options: argparse.Namespace) -> dict[str, Any]:
    """The flags as the document that would say the same."""
    mode = options.proxy_mode or ""
    section = "nftables" if mode in ("", "nftables") else "iptables"
    found: dict[str, Any] = {"apiVersion": API_VERSION, "kind": KIND}
    for flag, value in _given(options).items():
        if flag.path:
            *places, last = flag.path.replace(RULES, section, 1).split(".")
            inner = found
            for place in places:
                inner = inner.setdefault(place, {})
            inner[last] = value
    for field, port in (("healthzBindAddress", options.healthz_port), ("metricsBindAddress", options.metrics_port)):
        if port is not None:
            found[field] = _with_port(found.get(field, ""), port)
    return found


def over_file(options: argparse.Namespace) -> dict[str, Any]:
    """What counts beside ``--config``: the fields it sets, by their path."""
    return {flag.path: value for flag, value in _given(options).items() if flag.beside and flag.path}


def unheard(options: argparse.Namespace) -> list[str]:
    """What was said in vain, for the log."""
    given = _given(options)
    found = [f"--{flag.name}: nobody reads it" for flag in given if flag.name in UNREAD]
    if options.config:
        found += [f"--{flag.name}: beside --config the file decides" for flag in given if not flag.beside]
    return found


def _given(options: argparse.Namespace) -> Mapping[Flag, Any]:
    return {BY_KEY[key]: value for key, value in vars(options).items() if key in BY_KEY and value is not None}


def _with_port(address: str, port: int) -> str:
    """An old flag: 0 = none; else the port of an address that names none."""
    if port == 0:
        return "0.0.0.0:0"
    return address if not address or ":" in address.rpartition("]")[2] else f"{address}:{port}"


def _boolean(text: str) -> bool:
    """As Go reads them."""
    if text in ("1", "t", "T", "true", "True", "TRUE"):
        return True
    if text in ("0", "f", "F", "false", "False", "FALSE"):
        return False
    raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")


def _gates(text: str) -> dict[str, bool]:
    return {name.strip(): _boolean(value.strip()) for name, _, value in (g.partition("=") for g in text.split(","))}


def _modules(text: str) -> list[dict[str, Any]]:
    parts = (one.partition("=") for one in text.split(","))
    return [{"filePattern": pattern, "verbosity": int(level)} for pattern, _, level in parts]


def _list(text: str) -> list[str]:
    return [part for part in text.split(",") if part]


_KINDS: Mapping[str, Any] = {"int": int, "float": float, "list": _list, "gates": _gates, "modules": _modules}
