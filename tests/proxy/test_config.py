"""KubeProxyConfiguration: every field is honoured, refused or warned of."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from seamark.proxy.config import Address, ProxySettings, compile_settings
from seamark.proxy.configdocument import (
    API_VERSION,
    ConfigError,
    Document,
    parse_configuration,
    parse_duration,
    render_configuration,
)
from seamark.proxy.configz import complete_document, render_configz
from seamark.proxy.ipvsoptions import IpvsOptions
from seamark.proxy.ipvstable import IpvsBackend
from seamark.proxy.loopback import WithLoopbackPorts

KUBEADM = """
apiVersion: kubeproxy.config.k8s.io/v1alpha1
bindAddress: 0.0.0.0
bindAddressHardFail: false
clientConnection: {acceptContentTypes: "", burst: 0, contentType: "", qps: 0,
  kubeconfig: /var/lib/kube-proxy/kubeconfig.conf}
clusterCIDR: 10.244.0.0/16
configSyncPeriod: 0s
conntrack: {maxPerCore: null, min: null, tcpBeLiberal: false, tcpCloseWaitTimeout: null, tcpEstablishedTimeout: null,
  udpStreamTimeout: 0s, udpTimeout: 0s}
detectLocal: {bridgeInterface: "", interfaceNamePrefix: ""}
detectLocalMode: ""
enableProfiling: false
healthzBindAddress: ""
hostnameOverride: ""
iptables: {localhostNodePorts: null, masqueradeAll: false, masqueradeBit: null, minSyncPeriod: 0s, syncPeriod: 0s}
ipvs: {excludeCIDRs: null, minSyncPeriod: 0s, scheduler: "", strictARP: false, syncPeriod: 0s, tcpFinTimeout: 0s,
  tcpTimeout: 0s, udpTimeout: 0s}
kind: KubeProxyConfiguration
logging: {flushFrequency: 0, options: {json: {infoBufferSize: "0"}, text: {infoBufferSize: "0"}}, verbosity: 0}
metricsBindAddress: ""
mode: ""
nftables: {masqueradeAll: false, masqueradeBit: null, minSyncPeriod: 0s, syncPeriod: 0s}
nodePortAddresses: null
oomScoreAdj: null
portRange: ""
showHiddenMetricsForVersion: ""
winkernel: {enableDSR: false, forwardHealthCheckVip: false, networkName: "", rootHnsEndpointName: "", sourceVip: ""}
"""


CONFIGZ = """
kind: KubeProxyConfiguration
apiVersion: kubeproxy.config.k8s.io/v1alpha1
clientConnection: {kubeconfig: "", acceptContentTypes: "", contentType: application/vnd.kubernetes.protobuf, qps: 5,
  burst: 10}
logging: {format: text, flushFrequency: 5s, verbosity: 0,
  options: {text: {infoBufferSize: "0"}, json: {infoBufferSize: "0"}}}
hostnameOverride: node1
bindAddress: 0.0.0.0
healthzBindAddress: 0.0.0.0:10256
metricsBindAddress: 127.0.0.1:10249
bindAddressHardFail: false
enableProfiling: false
showHiddenMetricsForVersion: ""
mode: nftables
iptables: {masqueradeBit: 14, masqueradeAll: false, localhostNodePorts: true, syncPeriod: 0s, minSyncPeriod: 0s}
ipvs: {syncPeriod: 0s, minSyncPeriod: 0s, scheduler: "", excludeCIDRs: null, strictARP: false, tcpTimeout: 0s,
  tcpFinTimeout: 0s, udpTimeout: 0s}
nftables: {masqueradeBit: 14, masqueradeAll: false, syncPeriod: 30s, minSyncPeriod: 1s}
winkernel: {networkName: "", sourceVip: "", enableDSR: false, rootHnsEndpointName: "", forwardHealthCheckVip: false}
detectLocalMode: ClusterCIDR
detectLocal: {bridgeInterface: "", interfaceNamePrefix: ""}
clusterCIDR: 10.244.0.0/16
nodePortAddresses: [primary]
oomScoreAdj: -999
conntrack: {maxPerCore: 32768, min: 131072, tcpEstablishedTimeout: 24h0m0s, tcpCloseWaitTimeout: 1h0m0s,
  tcpBeLiberal: false, udpTimeout: 0s, udpStreamTimeout: 0s}
configSyncPeriod: 15m0s
portRange: ""
"""


def settings(**fields: Any) -> ProxySettings:
    document = {"apiVersion": API_VERSION, "kind": "KubeProxyConfiguration", **fields}
    return compile_settings(parse_configuration(yaml.safe_dump(document)))


def test_the_file_kubeadm_writes() -> None:
    found = compile_settings(parse_configuration(KUBEADM))
    assert found.warnings == ()
    assert found.document.client_connection.kubeconfig == "/var/lib/kube-proxy/kubeconfig.conf"
    assert found.node.pod_cidrs == ("10.244.0.0/16",)
    assert found.node.node_ports_on_node_ips_only
    assert found.options.backend.mode == "nftables"
    assert (found.options.sync_period, found.options.min_sync_period) == (30.0, 0.0)
    assert (found.healthz, found.metrics) == (Address("0.0.0.0", 10256), Address("127.0.0.1", 10249))
    shown: Any = render_configz(found)["kubeproxy.config.k8s.io"]
    assert shown["clusterCIDR"] == "10.244.0.0/16"
    assert shown["mode"] == "nftables"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        pytest.param({"conntrack": 1}, "Expected `object`, got `int` - at `conntrack`", id="no section"),
        pytest.param(
            {"bindAddressHardFail": "yes"}, "Expected `bool`, got `str` - at `bindAddressHardFail`", id="type"
        ),
        pytest.param({"mode": "kernelspace"}, "mode: 'kernelspace' is not supported", id="mode"),
        pytest.param({"kind": "Config"}, "must be kubeproxy.config.k8s.io/v1alpha1 KubeProxy", id="kind"),
        pytest.param({"clusterCIDR": "10.244.0.0/33"}, "clusterCIDR: '10.244.0.0/33'", id="range"),
        pytest.param({"nodePortAddresses": ["eth0"]}, "nodePortAddresses: 'eth0'", id="node port address"),
        pytest.param({"nodePortAddresses": ["primary", "10.0.0.0/8"]}, "cannot be combined", id="primary and more"),
        pytest.param({"detectLocalMode": "Guess"}, "detectLocalMode: 'Guess'", id="detect mode"),
        pytest.param({"detectLocalMode": "BridgeInterface"}, "detectLocal.bridgeInterface: ''", id="no bridge"),
        pytest.param(
            {"detectLocalMode": "InterfaceNamePrefix", "detectLocal": {"interfaceNamePrefix": 'x" drop #'}},
            "detectLocal.interfaceNamePrefix",
            id="not an interface",
        ),
        pytest.param({"nftables": {"syncPeriod": "often"}}, "nftables.syncPeriod: 'often'", id="duration"),
        pytest.param({"nftables": {"masqueradeBit": 32}}, "masqueradeBit: 32: must be 0 to 31", id="bit"),
        pytest.param({"bindAddress": "node1"}, "bindAddress: 'node1' is not an address", id="bind address"),
        pytest.param({"healthzBindAddress": "1.2.3.4:70000"}, "there is no port 70000", id="port"),
        pytest.param({"metricsBindAddress": "localhost:1"}, "metricsBindAddress: 'localhost:1'", id="a name"),
        pytest.param({"mode": "ipvs", "ipvs": {"scheduler": "best"}}, "ipvs.scheduler: 'best'", id="scheduler"),
        pytest.param({"mode": "ipvs", "ipvs": {"udpTimeout": "1.5s"}}, "must be whole seconds", id="udp timeout"),
        pytest.param({"mode": "ipvs", "ipvs": {"excludeCIDRs": ["x"]}}, "ipvs.excludeCIDRs: 'x'", id="excluded"),
        pytest.param({"conntrack": {"udpTimeout": "soon"}}, "conntrack.udpTimeout: 'soon'", id="conntrack"),
        pytest.param({"logging": {"format": "xml"}}, "logging.format: 'xml': must be text or json", id="log format"),
        pytest.param({"hostnameOverride": " "}, "hostnameOverride: is empty", id="no name"),
        pytest.param({"healthzBindAddress": ":10256"}, "healthzBindAddress: ':10256'", id="no address"),
        pytest.param({"metricsBindAddress": "10249"}, "metricsBindAddress: '10249'", id="a bare port"),
        pytest.param({"clusterCIDR": "10.0.0.0/8,11.0.0.0/8"}, "one of each family", id="ranges of one family"),
        pytest.param({"clusterCIDR": "10.0.0.0/8, fd00::/8"}, "clusterCIDR: ' fd00::/8'", id="a space"),
        pytest.param({"clusterCIDR": ","}, "clusterCIDR: ''", id="no range"),
        pytest.param({"nodePortAddresses": ["10.0.0.1"]}, "'10.0.0.1' is not a range", id="an address"),
        pytest.param({"oomScoreAdj": -1001}, ">= -1000 - at `oomScoreAdj`", id="oom score"),
        pytest.param({"conntrack": {"maxPerCore": -1}}, ">= 0 - at `conntrack.maxPerCore`", id="max per core"),
        pytest.param({"conntrack": {"udpTimeout": 5}}, "Expected `str | null`, got `int`", id="a number"),
        pytest.param({"conntrack": {"udpTimeout": "-1s"}}, "conntrack.udpTimeout: '-1s'", id="negative"),
        pytest.param({"mode": "iptables", "iptables": {"syncPeriod": "-1s"}}, "iptables.syncPeriod: '-1s'", id="ago"),
        pytest.param(
            {"nftables": {"syncPeriod": "1s", "minSyncPeriod": "2s"}}, "'2s' is longer than syncPeriod", id="periods"
        ),
        pytest.param({"iptables": {"masqueradeBit": -1}}, "iptables.masqueradeBit: -1: must be", id="other bit"),
        pytest.param({"clientConnection": {"burst": -1}}, ">= 0 - at `clientConnection.burst`", id="burst"),
        pytest.param({"logging": {"verbosity": -1}}, ">= 0 - at `logging.verbosity`", id="verbosity"),
    ],
)
def test_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        settings(**fields)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("fields", "warning"),
    [
        pytest.param({"clusterCidr": "10.0.0.0/8"}, "unknown field clusterCidr", id="unknown field"),
        pytest.param({"conntrack": {"max": 1}}, "unknown field conntrack.max", id="unknown field inside"),
        pytest.param({"logging": {"options": {"text": {"splitStream": True}}}}, "vmodule and options", id="streams"),
        pytest.param({"mode": "iptables", "ipvs": {"excludeCIDRs": ["x"]}}, "ipvs: counts in", id="ipvs ranges"),
        pytest.param({"logging": {"flushFrequency": 5000000000}}, "flushFrequency", id="flush in nanoseconds"),
        pytest.param({"featureGates": {"X": True}}, "featureGates: there are none: X", id="feature gates"),
        pytest.param({"clientConnection": {"qps": 5}}, "qps and burst", id="client limits"),
        pytest.param({"iptables": {"masqueradeAll": True}}, "masqueradeAll: counts in", id="the other mode"),
        pytest.param({"winkernel": {"sourceVip": "1.2.3.4"}}, "winkernel", id="winkernel"),
        pytest.param({"ipvs": {"scheduler": "rr"}}, "ipvs", id="ipvs scheduler"),
        pytest.param({"ipvs": {"tcpTimeout": "1m"}}, "ipvs", id="ipvs timeout"),
        pytest.param({"logging": {"flushFrequency": "5s"}}, "flushFrequency", id="flush"),
        pytest.param({"clientConnection": {"acceptContentTypes": "x/y"}}, "acceptContentTypes", id="accept"),
        pytest.param({"enableProfiling": True}, "enableProfiling", id="profiling"),
        pytest.param({"configSyncPeriod": "1m"}, "configSyncPeriod", id="resync"),
    ],
)
def test_warned_of(fields: dict[str, Any], warning: str) -> None:
    (found,) = settings(**fields).warnings
    assert warning in found


def test_configz_is_kube_proxys_with_what_is_in_force_here() -> None:
    """kube-proxy 1.36.3's answer to the same file, but for what differs here on purpose."""
    found: Any = render_configz(settings(mode="nftables", clusterCIDR="10.244.0.0/16", hostnameOverride="node1"))
    shown = found["kubeproxy.config.k8s.io"]
    theirs = yaml.safe_load(CONFIGZ)
    ours = {
        "clientConnection": {**theirs["clientConnection"], "contentType": "application/json", "qps": 0, "burst": 0},
        "logging": {**theirs["logging"], "flushFrequency": "0s", "options": None, "vmodule": None},
        "nftables": {**theirs["nftables"], "minSyncPeriod": "0s"},
        "iptables": {**theirs["iptables"], "localhostNodePorts": False},
        "configSyncPeriod": "0s",
    }
    wanted = theirs | ours
    assert {name: shown[name] for name in wanted} == wanted


@pytest.mark.parametrize("fields", [{}, {"mode": "ipvs", "bindAddress": "::"}, {"healthzBindAddress": "1.2.3.4:0"}])
def test_what_is_shown_means_the_same(fields: dict[str, Any]) -> None:
    given = settings(hostnameOverride="node1", **fields)
    again = compile_settings(parse_configuration(yaml.safe_dump(render_configuration(complete_document(given)))))
    for name in ("node", "options", "healthz", "metrics"):
        assert getattr(again, name) == getattr(given, name)


def test_who_is_local() -> None:
    assert settings(clusterCIDR="10.1.0.0/16,fd00::/64").node.pod_cidrs == ("10.1.0.0/16", "fd00::/64")
    by_node = settings(detectLocalMode="NodeCIDR", clusterCIDR="10.1.0.0/16")
    assert by_node.options.pod_cidrs_of_node
    assert by_node.node.pod_cidrs == ()
    bridge = settings(detectLocalMode="BridgeInterface", detectLocal={"bridgeInterface": "cni0"})
    assert bridge.node.pod_bridge == "cni0"
    prefix = settings(detectLocalMode="InterfaceNamePrefix", detectLocal={"interfaceNamePrefix": "veth"})
    assert prefix.node.pod_interface_prefix == "veth"


def test_node_port_addresses() -> None:
    given = settings(nodePortAddresses=["10.0.0.0/8", "fd00::/8"]).node
    assert given.node_port_cidrs == ("10.0.0.0/8", "fd00::/8")
    assert not given.node_ports_on_node_ips_only
    every = settings(nodePortAddresses=["0.0.0.0/0", "10.0.0.0/8", "fd00::/8"]).node
    assert every.node_port_cidrs == ("fd00::/8",)
    assert settings(nodePortAddresses=["primary"]).node.node_ports_on_node_ips_only


def test_node_and_rules() -> None:
    found = settings(
        hostnameOverride=" Node1 ",
        bindAddress="192.0.2.1",
        nftables={"masqueradeAll": True, "masqueradeBit": 3, "minSyncPeriod": "1.5s", "syncPeriod": "1m0s"},
        healthzBindAddress="[::1]:0",
        metricsBindAddress="127.0.0.2",
    )
    assert (found.node.name, found.node.node_ips) == ("node1", ("192.0.2.1",))
    assert (found.node.masquerade_all, found.node.masquerade_mark) == (True, 8)
    assert (found.options.min_sync_period, found.options.sync_period) == (1.5, 60.0)
    assert (found.healthz, found.metrics) == (None, Address("127.0.0.2", 10249))
    six = settings(bindAddress="::")
    assert (six.healthz, six.metrics) == (Address("::", 10256), Address("::1", 10249))
    assert settings(healthzBindAddress="fd00::7").healthz == Address("fd00::7", 10256)


@pytest.mark.parametrize(
    ("text", "seconds"), [("1h0m0.5s", 3600.5), ("15m", 900), ("100ms", 0.1), ("+5s", 5), (0, 0), (None, 0), ("0s", 0)]
)
def test_duration(text: Any, seconds: float) -> None:
    assert parse_duration(text, "x") == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["1", "1 s", "s", "-1s", "1h5"])
def test_no_duration(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a duration"):
        parse_duration(text, "x")


def test_ipvs() -> None:
    given = {"scheduler": "sh", "strictARP": True, "excludeCIDRs": ["192.0.2.0/24"], "tcpTimeout": "15m"}
    found = settings(mode="ipvs", ipvs=given | {"syncPeriod": "10s"}, iptables={"masqueradeBit": 2})
    wanted = IpvsOptions("sh", strict_arp=True, excluded=("192.0.2.0/24",), tcp=900)
    assert found.options.backend == IpvsBackend(wanted)
    assert (found.options.sync_period, found.node.masquerade_mark) == (10.0, 4)
    assert settings(mode="ipvs").options.backend == IpvsBackend(IpvsOptions("rr"))
    assert not settings(mode="ipvs").node.node_ports_on_node_ips_only


@pytest.mark.parametrize(
    ("fields", "served"),
    [
        ({"mode": "iptables"}, True),
        ({"mode": "iptables", "iptables": {"localhostNodePorts": False}}, False),
        ({"mode": "iptables", "nodePortAddresses": ["192.0.2.0/24"]}, False),
        ({"mode": "iptables", "nodePortAddresses": ["192.0.2.0/24", "127.0.0.0/8"]}, True),
        ({}, False),
        ({"iptables": {"localhostNodePorts": True}}, True),
        ({"mode": "userspace"}, False),
    ],
)
def test_node_ports_on_loopback(fields: dict[str, Any], served: bool) -> None:
    backend = settings(**fields).options.backend
    assert isinstance(backend, WithLoopbackPorts) == served
    assert backend.mode == fields.get("mode", "nftables")


@pytest.mark.parametrize(
    ("given", "changes"),
    [
        ({}, {}),
        ({"maxPerCore": 0}, {"max": None}),
        ({"maxPerCore": 100000}, {"max": "400000"}),
        ({"maxPerCore": 1000000}, {"max": "1048576"}),
        ({"min": 200000}, {"max": "200000"}),
        (
            {"tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "90s"},
            {"tcp_timeout_established": None, "tcp_timeout_close_wait": "90"},
        ),
        ({"tcpBeLiberal": True, "udpTimeout": "10s"}, {"tcp_be_liberal": "1", "udp_timeout": "10"}),
        ({"udpStreamTimeout": "100ms"}, {"udp_timeout_stream": "1"}),
    ],
)
def test_conntrack(given: dict[str, Any], changes: dict[str, str | None]) -> None:
    found = compile_settings(Document(settings(conntrack=given).document), cpus=4).options.sysctls
    wanted = {"max": "131072", "tcp_timeout_established": "86400", "tcp_timeout_close_wait": "3600", **changes}
    assert found == {f"net.netfilter.nf_conntrack_{n}": value for n, value in wanted.items() if value is not None}
