"""The order in which plugins see a query: CoreDNS 1.15's, whatever the order in the Corefile.

``plugin_path`` is ours: before ``cache``, so that what it says may depend on who asks.

Those that will not come are known by name, so that a Corefile that uses one is refused with a sentence that says why,
and not taken for a spelling mistake.
"""

from __future__ import annotations

_WORDS = """
root metadata geoip cancel proxyproto quic grpc_server https https3 timeouts multisocket reload nsid bufsize bind debug
trace ready health pprof shed prometheus errors log dnstap local dns64 siit any chaos loadbalance tsig rewrite autopath
acl plugin_path cache header dnssec tls minimal template transfer dynupdate hosts route53 azure clouddns k8s_external
kubernetes file auto secondary etcd loop forward grpc erratic whoami on sign view nomad
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
IMPLEMENTED = frozenset(ORDER) - REFUSED.keys()
"""Those with a folder under ``plugins/``."""
