"""The settings of one cluster: given on the first ``seamark up``, kept in the data directory, the same ever after.

``parse_settings`` and ``merge_settings`` are pure; ``datadir.py`` reads and writes the file.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

import msgspec

from seamark.agent.eviction import ThresholdError, parse_thresholds
from seamark.cli.errors import UserError
from seamark.controllers.selection import SelectionError, parse_controllers

FORMAT = 1
"""Format of ``seamark.json``. A file with a higher number was written by a newer Seamark."""

API_PORT = 6443
FABRIC_CIDR = "192.168.100.0/24"
NODE_PREFIX = 24
"""Each node's pod range is a /24 of the pod range, as kube-controller-manager's default is."""

DOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
REGISTRY = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9.]*[A-Za-z0-9])?(:[0-9]{1,5})?")
EVICTION_HARD = "memory.available<100Mi,nodefs.available<5%,imagefs.available<5%,nodefs.inodesFree<5%"
"""Less wary of the disk than kubelet's: the machine is somebody's, and its disk may be nearly full for years."""
Network = ipaddress.IPv4Network
_COUNTS = ("max_requests_inflight", "max_mutating_requests_inflight", "audit_log_maxsize", "audit_log_maxbackup")


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line said; None = not said."""

    max_requests_inflight: int | None = None
    max_mutating_requests_inflight: int | None = None
    audit_log_path: str | None = None
    audit_policy_file: str | None = None
    audit_log_maxsize: int | None = None
    audit_log_maxbackup: int | None = None
    nodes: int | None = None
    host: bool | None = None
    port: int | None = None
    service_cidr: str | None = None
    pod_cidr: str | None = None
    cluster_domain: str | None = None
    cluster_dns: str | None = None
    pull: bool | None = None
    insecure_registries: tuple[str, ...] | None = None
    registry_mirrors: tuple[str, ...] | None = None
    static_pods: str | None = None
    eviction_hard: str | None = None
    image_gc: tuple[int, int] | None = None
    oci_runtime: str | None = None
    controllers: str | None = None
    disable_kube_proxy: bool | None = None
    node_local_dns: bool | None = None
    advertise_address: str | None = None


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a cluster is made from. ``port`` is that of the API server on 127.0.0.1. ``pull``: registries may be
    asked, from the machine's own network; else the cluster sends nothing outside.
    """

    format: int = FORMAT
    max_requests_inflight: int = 400
    max_mutating_requests_inflight: int = 200
    audit_log_path: str = ""
    audit_policy_file: str = ""
    audit_log_maxsize: int = 0
    audit_log_maxbackup: int = 0
    nodes: int = 1
    host: bool = False
    port: int = API_PORT
    service_cidr: str = "10.96.0.0/12"
    pod_cidr: str = "10.244.0.0/16"
    cluster_domain: str = "cluster.local"
    cluster_dns: str = "10.96.0.10"
    node_ports: tuple[int, int] = (30000, 32767)
    pull: bool = False
    insecure_registries: tuple[str, ...] = ()
    registry_mirrors: tuple[str, ...] = ()  # HOST=URL
    static_pods: str = ""
    eviction_hard: str = EVICTION_HARD
    image_gc: tuple[int, int] = (85, 80)
    oci_runtime: str = "runc"  # by name or path
    controllers: str = "*"
    disable_kube_proxy: bool = False  # the nodes' Services are somebody else's
    node_local_dns: bool = False
    advertise_address: str = ""

    @property
    def kubernetes_ip(self) -> str:
        """The ClusterIP of ``default/kubernetes``: the first address of the service range."""
        return str(ipaddress.ip_network(self.service_cidr)[1])

    @property
    def node_names(self) -> tuple[str, ...]:
        return tuple("master1" if i == 0 else f"node{i}" for i in range(self.nodes))

    def node_address(self, index: int) -> str:
        return str(ipaddress.ip_network(FABRIC_CIDR)[11 + index])

    def node_pod_cidr(self, index: int) -> str:
        whole = Network(self.pod_cidr)
        if self.nodes <= 1 and whole.prefixlen > NODE_PREFIX:
            return self.pod_cidr
        first = int(whole.network_address) + (index << (32 - NODE_PREFIX))
        return f"{ipaddress.ip_address(first)}/{NODE_PREFIX}"


def _network(option: str, text: str) -> Network:
    try:
        return Network(text)
    except ValueError as error:
        raise UserError(f"{option} {text}: not an IPv4 range such as 10.96.0.0/12 ({error})") from None


def _service_network(text: str) -> Network:
    network = _network("--service-cidr", text)
    if not 12 <= network.prefixlen <= 28:
        raise UserError(f"--service-cidr {text}: the prefix must be between /12 and /28")
    return network


def check_settings(settings: Settings) -> Settings:
    """The same settings, or UserError for the first that cannot work."""
    service = _service_network(settings.service_cidr)
    pods = _network("--pod-cidr", settings.pod_cidr)
    if service.overlaps(pods):
        raise UserError(f"--pod-cidr {settings.pod_cidr} overlaps --service-cidr {settings.service_cidr}")
    for option, network in (("--service-cidr", service), ("--pod-cidr", pods)):
        if network.overlaps(Network(FABRIC_CIDR)):
            raise UserError(f"{option} {network} overlaps the addresses of the nodes, {FABRIC_CIDR}")
    if not 0 <= settings.nodes <= 100:
        raise UserError(f"--nodes {settings.nodes}: between 0 and 100")
    ranges = 1 << max(0, NODE_PREFIX - pods.prefixlen)
    if settings.nodes > ranges:
        raise UserError(f"--pod-cidr {settings.pod_cidr}: too small for {settings.nodes} nodes with a /24 each")
    if settings.host and settings.nodes > 1:
        raise UserError(f"--host makes this machine the one node; --nodes {settings.nodes} needs --isolated")
    _check_names(settings, service)
    _check_api(settings)
    for registry in settings.insecure_registries:
        check_registry(registry)
    for mirror in settings.registry_mirrors:
        parse_mirror(mirror)
    try:
        parse_thresholds(settings.eviction_hard)
    except ThresholdError as error:
        raise UserError(f"--eviction-hard {error}") from None
    high, low = settings.image_gc
    if not 0 <= low < high <= 100:
        raise UserError(f"--image-gc {high},{low}: HIGH,LOW percent of the disk, HIGH above LOW, 100 = never")
    return settings


def _check_api(settings: Settings) -> None:
    try:
        parse_controllers(settings.controllers)
    except SelectionError as error:
        raise UserError(f"--controllers {settings.controllers}: {error}") from None
    if settings.advertise_address:
        _check_advertised(settings)
    for name in _COUNTS:
        if getattr(settings, name) < 0:
            raise UserError(f"--{name.replace('_', '-')} {getattr(settings, name)}: cannot be a negative number")
    if bool(settings.audit_log_path) != bool(settings.audit_policy_file):
        raise UserError("--audit-log-path and --audit-policy-file need each other: the policy says what is told")


def _check_advertised(settings: Settings) -> None:
    """Endpoints refuse the same addresses."""
    given = f"--advertise-address {settings.advertise_address}"
    try:
        address = ipaddress.IPv4Address(settings.advertise_address)
    except ValueError:
        raise UserError(f"{given}: not an IPv4 address") from None
    if address.is_loopback or address.is_unspecified or address.is_link_local or address.is_multicast:
        raise UserError(f"{given}: an address that others can reach; not loopback, link-local or multicast")
    if settings.nodes:
        raise UserError(f"{given}: the API server is at the first node's address; give it with --nodes 0")


def check_registry(text: str) -> str:
    if not REGISTRY.fullmatch(text):
        raise UserError(f"--insecure-registry {text}: not HOST or HOST:PORT, without http:// and path")
    return text


def parse_mirror(text: str) -> tuple[str, str]:
    host, _, url = text.partition("=")
    parts = urlsplit(url)
    if not REGISTRY.fullmatch(host) or parts.scheme not in ("http", "https") or not parts.netloc or parts.query:
        raise UserError(f"--registry-mirror {text}: not HOST=URL, such as docker.io=https://mirror.lan:5000")
    return host, url


def _check_names(settings: Settings, service: Network) -> None:
    if not DOMAIN.fullmatch(settings.cluster_domain) or len(settings.cluster_domain) > 200:
        raise UserError(f"--cluster-domain {settings.cluster_domain}: not a lower-case DNS name")
    try:
        dns = ipaddress.IPv4Address(settings.cluster_dns)
    except ValueError:
        raise UserError(f"--cluster-dns {settings.cluster_dns}: not an IPv4 address") from None
    if dns not in service or str(dns) == settings.kubernetes_ip:
        raise UserError(
            f"--cluster-dns {dns}: must lie in --service-cidr {settings.service_cidr} "
            f"and not be its first address, {settings.kubernetes_ip}"
        )


def merge_settings(given: Given, kept: Settings | None, *, free_port: int) -> Settings:
    """What the command line says over what the data directory keeps over the defaults.

    A range or domain cannot change once objects were made with it: UserError. ``free_port`` is used where neither
    says a port.
    """
    said = {name: value for name in Given.__struct_fields__ if (value := getattr(given, name)) is not None}
    if kept is None:
        if "service_cidr" in said and "cluster_dns" not in said:
            said["cluster_dns"] = str(_service_network(str(said["service_cidr"]))[10])
        return check_settings(msgspec.structs.replace(Settings(port=free_port), **said))
    for name in ("service_cidr", "pod_cidr", "cluster_domain", "cluster_dns", "host"):
        if name in said and said[name] != getattr(kept, name):
            option = "--" + name.replace("_", "-")
            raise UserError(
                f"{option} {said[name]}: this data directory was made with {getattr(kept, name)}; "
                "use another --data-dir, or `seamark down --purge` first"
            )
    return check_settings(msgspec.structs.replace(kept, **said))


def parse_settings(data: bytes, where: str) -> Settings:
    """The kept settings. UserError for a file that is damaged or of a newer Seamark."""
    try:
        version = msgspec.json.decode(data, type=dict).get("format", 0)
        if isinstance(version, int) and version > FORMAT:
            raise UserError(f"{where}: written by a newer Seamark (format {version}, this one reads {FORMAT})")
        return msgspec.json.decode(data, type=Settings)
    except msgspec.DecodeError as error:
        raise UserError(f"{where}: damaged ({error}); restore it or remove the data directory") from None
