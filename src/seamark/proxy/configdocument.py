"""KubeProxyConfiguration kubeproxy.config.k8s.io/v1alpha1, field by field, read strictly.

A field that kube-proxy does not know is an error that names it. What the fields mean here says ``config.py``.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
import yaml

API_VERSION = "kubeproxy.config.k8s.io/v1alpha1"
KIND = "KubeProxyConfiguration"

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")

Duration = str | int | None


class ConfigError(Exception):
    """Says field, value and what to do."""


class Section(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Absent and null are the same."""


class ClientConnection(Section, frozen=True):
    kubeconfig: str = ""
    accept_content_types: str = ""
    content_type: str = ""
    qps: float = 0
    burst: int = 0


class Conntrack(Section, frozen=True):
    max_per_core: int | None = None
    min: int | None = None
    tcp_established_timeout: Duration = None
    tcp_close_wait_timeout: Duration = None
    tcp_be_liberal: bool = False
    udp_timeout: Duration = None
    udp_stream_timeout: Duration = None


class DetectLocal(Section, frozen=True):
    bridge_interface: str = ""
    interface_name_prefix: str = ""


class Iptables(Section, frozen=True):
    masquerade_bit: int | None = None
    masquerade_all: bool = False
    localhost_node_ports: bool | None = None
    sync_period: Duration = None
    min_sync_period: Duration = None


class Nftables(Section, frozen=True):
    masquerade_bit: int | None = None
    masquerade_all: bool = False
    sync_period: Duration = None
    min_sync_period: Duration = None


class Ipvs(Section, frozen=True):
    sync_period: Duration = None
    min_sync_period: Duration = None
    scheduler: str = ""
    exclude_cidrs: list[str] | None = msgspec.field(default=None, name="excludeCIDRs")
    strict_arp: bool = msgspec.field(default=False, name="strictARP")
    tcp_timeout: Duration = None
    tcp_fin_timeout: Duration = None
    udp_timeout: Duration = None


class Winkernel(Section, frozen=True):
    network_name: str = ""
    source_vip: str = ""
    enable_dsr: bool = msgspec.field(default=False, name="enableDSR")
    root_hns_endpoint_name: str = ""
    forward_health_check_vip: bool = False


class Logging(Section, frozen=True):
    format: str = ""
    flush_frequency: Duration = None
    verbosity: int = 0
    vmodule: list[dict[str, Any]] | None = None
    options: dict[str, Any] | None = None


class KubeProxyConfiguration(Section, frozen=True):
    api_version: str = ""
    kind: str = ""
    feature_gates: dict[str, bool] | None = None
    client_connection: ClientConnection = ClientConnection()
    logging: Logging = Logging()
    hostname_override: str = ""
    bind_address: str = ""
    healthz_bind_address: str = ""
    metrics_bind_address: str = ""
    bind_address_hard_fail: bool = False
    enable_profiling: bool = False
    show_hidden_metrics_for_version: str = ""
    mode: str = ""
    iptables: Iptables = Iptables()
    ipvs: Ipvs = Ipvs()
    nftables: Nftables = Nftables()
    winkernel: Winkernel = Winkernel()
    detect_local_mode: str = ""
    detect_local: DetectLocal = DetectLocal()
    cluster_cidr: str = msgspec.field(default="", name="clusterCIDR")
    node_port_addresses: list[str] | None = None
    oom_score_adj: int | None = None
    conntrack: Conntrack = Conntrack()
    config_sync_period: Duration = None
    port_range: str = ""
    windows_run_as_service: bool = False


def parse_configuration(text: str) -> KubeProxyConfiguration:
    """The document. Raises ConfigError."""
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"not YAML: {error}") from error
    if not isinstance(found, dict):
        raise ConfigError(f"must hold a {KIND}, not {type(found).__name__}")
    if (found.get("apiVersion"), found.get("kind")) != (API_VERSION, KIND):
        raise ConfigError(
            f"apiVersion and kind must be {API_VERSION} {KIND}, not {found.get('apiVersion')} {found.get('kind')}"
        )
    try:
        return msgspec.convert(_without_nulls(found), KubeProxyConfiguration)
    except msgspec.ValidationError as error:
        raise ConfigError(str(error).replace(" - at `$`", "").replace("`$.", "`")) from error


def render_configuration(config: KubeProxyConfiguration) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(config)
    return found


def parse_duration(text: Duration, field: str) -> float:
    """Seconds of a Go duration (``1h0m0.5s``); nothing and zero are 0. Raises ConfigError."""
    if text in (None, 0, "0", ""):
        return 0.0
    parts = _PART.findall(str(text))
    if not parts or "".join(number + unit for number, unit in parts) != str(text):
        raise ConfigError(f"{field}: {text!r} is not a duration such as 30s or 1h0m0s")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    return value
