"""KubeProxyConfiguration kubeproxy.config.k8s.io/v1alpha1, field by field.

A field that nobody knows is left out and named (``Document.unknown``), as kube-proxy does: a file of a newer one works.
What the fields mean here says ``config.py``.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, NamedTuple

import msgspec
import yaml

API_VERSION = "kubeproxy.config.k8s.io/v1alpha1"
KIND = "KubeProxyConfiguration"

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")

Duration = str | None
Natural = Annotated[int, msgspec.Meta(ge=0)]


class ConfigError(Exception):
    """Says field, value and what to do."""


class Section(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Absent and null are the same."""


class ClientConnection(Section, frozen=True):
    kubeconfig: str = ""
    accept_content_types: str = ""
    content_type: str = ""
    qps: float = 0
    burst: Natural = 0


class Conntrack(Section, frozen=True):
    max_per_core: Natural | None = None
    min: Natural | None = None
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
    flush_frequency: Duration | int = None
    """A number is nanoseconds."""
    verbosity: Natural = 0
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
    oom_score_adj: Annotated[int, msgspec.Meta(ge=-1000, le=1000)] | None = None
    conntrack: Conntrack = Conntrack()
    config_sync_period: Duration = None
    port_range: str = ""
    windows_run_as_service: bool = False


class Document(NamedTuple):
    """``unknown``: the fields that were left out, with their path."""

    config: KubeProxyConfiguration
    unknown: tuple[str, ...] = ()


def parse_configuration(text: str) -> Document:
    """Raises ConfigError."""
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
    unknown: list[str] = []
    known = _select_known(_without_nulls(found), KubeProxyConfiguration, "", unknown)
    try:
        return Document(msgspec.convert(known, KubeProxyConfiguration), tuple(unknown))
    except msgspec.ValidationError as error:
        raise ConfigError(str(error).replace(" - at `$`", "").replace("`$.", "`")) from error


def _select_known(value: dict[str, Any], kind: type[Section], path: str, unknown: list[str]) -> dict[str, Any]:
    """The fields the section has; the others' paths go to ``unknown``."""
    fields = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
    unknown += [f"{path}{name}" for name in value if name not in fields]
    return {
        name: _select_known(item, fields[name], f"{path}{name}.", unknown)
        if isinstance(item, dict) and isinstance(fields[name], type) and issubclass(fields[name], Section)
        else item
        for name, item in value.items()
        if name in fields
    }


def render_configuration(config: KubeProxyConfiguration) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(config)
    return found


def parse_duration(text: Duration | int, field: str) -> float:
    """Seconds of a Go duration (``1h0m0.5s``), or of nanoseconds; nothing and zero are 0. Raises ConfigError."""
    if isinstance(text, int):
        return text * 1e-9
    if text in (None, "0", ""):
        return 0.0
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text.removeprefix("+"):
        raise ConfigError(f"{field}: {text!r} is not a duration such as 30s or 1h0m0s")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    return value
