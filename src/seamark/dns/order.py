"""The order in which plugins see a query: CoreDNS 1.15's, whatever the order in the Corefile.

``IMPLEMENTED`` are those with a folder under ``plugins/``. The others are known by name so that a Corefile that uses
them is refused with a sentence that says so, and not taken for a spelling mistake.
"""

from __future__ import annotations

_WORDS = """
root metadata geoip cancel proxyproto quic grpc_server https https3 timeouts multisocket reload nsid bufsize bind debug
trace ready health pprof shed prometheus errors log dnstap local dns64 siit any chaos loadbalance tsig rewrite autopath
acl cache header dnssec tls minimal template transfer dynupdate hosts route53 azure clouddns k8s_external kubernetes
file auto secondary etcd loop forward grpc erratic whoami on sign view nomad
"""
_HERE = "cache errors forward health hosts kubernetes loadbalance log loop prometheus ready reload whoami"

ORDER: tuple[str, ...] = tuple(_WORDS.split())
IMPLEMENTED: frozenset[str] = frozenset(_HERE.split())
