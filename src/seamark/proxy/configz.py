"""``/configz`` and ``--write-config-to``: the configuration document with what is in force where it says nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from msgspec import structs

from seamark.proxy.config import DETECT_MODES, OOM_SCORE_ADJ, PRIMARY, SYNC_PERIOD, Address, ProxySettings
from seamark.proxy.configdocument import KubeProxyConfiguration, Section, render_configuration
from seamark.proxy.sysctls import CLOSE_WAIT, ESTABLISHED, MAX_PER_CORE, MIN

NEVER = "0s"
NOT_SERVED = Address("0.0.0.0", 0)
S = TypeVar("S", bound=Section)


def render_configz(settings: ProxySettings) -> dict[str, object]:
    return {"kubeproxy.config.k8s.io": render_configuration(complete_document(settings))}


def complete_document(settings: ProxySettings) -> KubeProxyConfiguration:
    """Read again it means the same."""
    given, node, mode = settings.document, settings.node, settings.options.backend.mode
    rules = {"masquerade_bit": 14}
    conntrack = {
        "max_per_core": MAX_PER_CORE,
        "min": MIN,
        "tcp_established_timeout": f"{ESTABLISHED // 3600}h0m0s",
        "tcp_close_wait_timeout": f"{CLOSE_WAIT // 3600}h0m0s",
    }
    return structs.replace(
        given,
        mode=mode,
        hostname_override=node.name,
        bind_address=given.bind_address or "0.0.0.0",
        healthz_bind_address=str(settings.healthz or NOT_SERVED),
        metrics_bind_address=str(settings.metrics or NOT_SERVED),
        client_connection=structs.replace(given.client_connection, content_type="application/json"),
        detect_local_mode=given.detect_local_mode or DETECT_MODES[0],
        node_port_addresses=[PRIMARY] if node.node_ports_on_node_ips_only else given.node_port_addresses,
        iptables=_over(given.iptables, {**rules, "localhost_node_ports": mode == "iptables"}, used=mode == "iptables"),
        nftables=_over(given.nftables, rules, used=mode == "nftables"),
        ipvs=_over(given.ipvs, {}, used=mode == "ipvs"),
        conntrack=_over(given.conntrack, conntrack),
        logging=_over(given.logging, {"format": "text"}),
        oom_score_adj=OOM_SCORE_ADJ if given.oom_score_adj is None else given.oom_score_adj,
        config_sync_period=given.config_sync_period or NEVER,
    )


def _over(section: S, defaults: Mapping[str, object], *, used: bool = False) -> S:
    """The defaults where the section says nothing. ``used``: it is the section of the mode."""
    absent = {name for name in section.__struct_fields__ if getattr(section, name) in (None, "")}
    found: dict[str, object] = {n: NEVER for n in absent if n.endswith(("_period", "_timeout", "_frequency"))}
    if used:
        found["sync_period"] = f"{SYNC_PERIOD:g}s"
    return structs.replace(section, **{name: v for name, v in (found | dict(defaults)).items() if name in absent})
