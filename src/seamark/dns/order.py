"""The order in which plugins see a query: CoreDNS 1.15's, whatever the order in the Corefile.

``plugin_path`` is ours: before ``cache``, so that what it says may depend on who asks.

``IMPLEMENTED`` are those with a folder under ``plugins/``. The others are known by name so that a Corefile that uses
them is refused with a sentence that says so, and not taken for a spelling mistake.
"""

from __future__ import annotations

_WORDS = """
root metadata geoip cancel proxyproto quic grpc_server https https3 timeouts multisocket reload nsid bufsize bind debug
trace ready health pprof shed prometheus errors log dnstap local dns64 siit any chaos loadbalance tsig rewrite autopath
acl plugin_path cache header dnssec tls minimal template transfer dynupdate hosts route53 azure clouddns k8s_external
kubernetes file auto secondary etcd loop forward grpc erratic whoami on sign view nomad
"""
_HERE = """
acl any auto autopath bind bufsize cache cancel chaos debug dns64 dnssec dnstap erratic errors etcd file forward grpc
grpc_server header health hosts https https3 k8s_external kubernetes loadbalance local log loop metadata minimal
multisocket nsid on plugin_path prometheus proxyproto quic ready reload rewrite root secondary shed template timeouts
tls trace transfer tsig view whoami
"""
_CLOUD = "records of that cloud are read by its own name servers; forward to them"

ORDER: tuple[str, ...] = tuple(_WORDS.split())
REFUSED = {
    "azure": _CLOUD,
    "clouddns": _CLOUD,
    "route53": _CLOUD,
    "nomad": "it serves another orchestrator's services",
    "geoip": "it needs a licensed database",
    "sign": "signing belongs into the zone's own tool chain",
    "dynupdate": "names of a cluster come from its API",
    "siit": "it translates for networks without IPv4 services",
    "pprof": "it profiles Go programs",
}
"""Plugins that will not come, and why."""
IMPLEMENTED: frozenset[str] = frozenset(_HERE.split())
