"""The metrics of CoreDNS, by its names, on a registry of our own, so that its dashboards work unchanged.

Only values that are really measured; what CoreDNS has no name for begins with ``seamark_dns_``. The registry lives as
long as the process; what a reload takes out of use keeps its last value, as with CoreDNS.
"""

from __future__ import annotations

import re

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

SECONDS = tuple(0.00025 * 2**n for n in range(16))
SLIM_SECONDS = tuple(0.00025 * 10**n for n in range(5))
REST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
SIZES = (0, 100, 200, 300, 400, 511, 1023, 2047, 4095, 8291, 16000, 32000, 48000, 64000)
PROGRAMMING = tuple(0.001 * 2**n for n in range(20))
TYPES = frozenset(
    "A AAAA MX SOA CNAME PTR TXT NS SRV DS DNSKEY RRSIG NSEC NSEC3 HTTPS IXFR AXFR ANY".split()  # noqa: SIM905
)

OTHER = "other"
_WHOLE_BOUND = re.compile(rb'le="(\d+)\.0"')
CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


class Metrics:
    """Every metric of the process, ready to be labelled."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self.registry)
        block = ["server", "zone", "view"]
        self.build_info = self._gauge("build_info", "Version of the server.", ["version", "revision", "goversion"])
        self.panics = self._counter("panics", "Queries in which a plugin broke.")
        self.plugin_enabled = self._gauge("plugin_enabled", "Plugins of each server block.", [*block, "name"])

        self.requests = self._counter("dns_requests", "Queries.", [*block, "proto", "family", "type"])
        self.do_requests = self._counter("dns_do_requests", "Queries with the DO bit.", block)
        self.duration = self._histogram("dns_request_duration_seconds", "Time to answer.", block, SECONDS)
        self.request_size = self._histogram("dns_request_size_bytes", "Size of queries.", [*block, "proto"], SIZES)
        self.response_size = self._histogram("dns_response_size_bytes", "Size of answers.", [*block, "proto"], SIZES)
        self.responses = self._counter("dns_responses", "Answers.", [*block, "rcode", "plugin"])

        kept = ["server", "zones", "view"]
        self.cache_entries = self._gauge("cache_entries", "Answers in the cache.", ["server", "type", *kept[1:]])
        self.cache_hits = self._counter("cache_hits", "Answers from the cache.", ["server", "type", *kept[1:]])
        self.cache_misses = self._counter("cache_misses", "Queries not in the cache.", kept)
        self.cache_requests = self._counter("cache_requests", "Queries the cache has seen.", kept)
        self.cache_prefetches = self._counter("cache_prefetch", "Answers fetched before they ran out.", kept)
        self.cache_drops = self._counter("cache_drops", "Answers that did not fit their query.", kept)
        self.cache_stale = self._counter("cache_served_stale", "Answers served after they ran out.", kept)
        self.cache_evictions = self._counter("cache_evictions", "Answers pushed out.", ["server", "type", *kept[1:]])

        self._add_upstreams()
        self._add_transports()
        self.acl = {
            action: self._counter(f"acl_{word}_requests", f"Queries {word} by acl.", block)
            for action, word in (
                ("block", "blocked"),
                ("filter", "filtered"),
                ("allow", "allowed"),
                ("drop", "dropped"),
            )
        }
        self.local_requests = self._counter("local_localhost_requests", "Queries with localhost in front or behind.")
        self.dns64_translated = self._counter("dns64_requests_translated", "Answers made of A records.", ["server"])
        self.autopath_success = self._counter("autopath_success", "Searches answered at once.", ["server"])
        of_template = [*block, "class", "type"]
        self.template_matches = self._counter("template_matches", "Queries a template answered.", of_template)
        self.template_failures = self._counter(
            "template_template_failures", "Templates that failed.", [*of_template, "section", "template"]
        )
        self.template_rr_failures = self._counter(
            "template_rr_failures", "Templates that gave no record.", [*of_template, "section", "template"]
        )

        self.hosts_entries = self._gauge("hosts_entries", "Entries of hosts.", ["hostsfile"])
        self.hosts_reloaded = self._gauge("hosts_reload_timestamp_seconds", "When the file was last read.")
        self.reload_failed = self._counter("reload_failed", "Corefiles that could not be loaded.")
        self.reload_version = self._gauge("reload_version_info", "The Corefile in service.", ["hash", "value"])
        self.programming = self._histogram(
            "kubernetes_dns_programming_duration_seconds",
            "From a change of endpoints to its answer.",
            ["service_kind"],
            PROGRAMMING,
        )
        self.health_duration = self._histogram(
            "health_request_duration_seconds", "Time of a request to the own health port.", [], SLIM_SECONDS
        )
        self.health_failures = self._counter("health_request_failures", "Failed requests to the own health port.")
        self._add_rest_client()
        self._add_own()

    def _add_upstreams(self) -> None:
        to = ["proxy_name", "to"]
        self.proxy_duration = self._histogram(
            "proxy_request_duration_seconds", "Time of upstreams.", [*to, "rcode"], SECONDS
        )
        self.proxy_failures = self._counter("proxy_healthcheck_failures", "Failed health probes.", to)
        self.proxy_conn_hits = self._counter("proxy_conn_cache_hits", "Connections used again.", [*to, "proto"])
        self.proxy_conn_misses = self._counter("proxy_conn_cache_misses", "Connections opened.", [*to, "proto"])
        self.forward_broken = self._counter("forward_healthcheck_broken", "Queries while every upstream was down.")
        self.forward_rejects = self._counter("forward_max_concurrent_rejects", "Queries over max_concurrent.")

    def _add_rest_client(self) -> None:
        """Of the connection to the API server."""
        for_request = ["verb", "host"]
        self.rest_requests = self._counter(
            "kubernetes_rest_client_requests", "Requests to the API server.", ["code", "method", "host"]
        )
        self.rest_duration = self._histogram(
            "kubernetes_rest_client_request_duration_seconds",
            "From a request to the head of its answer.",
            for_request,
            REST_SECONDS,
        )
        self.rest_waited = self._histogram(
            "kubernetes_rest_client_rate_limiter_duration_seconds",
            "How long requests waited for their turn.",
            for_request,
            REST_SECONDS,
        )

    def _add_transports(self) -> None:
        """Of transports besides UDP and TCP, and what is done to replies on their way."""
        self.dnssec_entries = self._gauge("dnssec_cache_entries", "Signatures kept.", ["server", "type"])
        self.dnssec_hits = self._counter("dnssec_cache_hits", "Signatures given again.", ["server"])
        self.dnssec_misses = self._counter("dnssec_cache_misses", "Signatures made.", ["server"])
        self.shed_dropped = self._counter("shed_dropped", "Queries dropped under overload.", ["server", "reason"])
        self.grpc_requests = self._counter("grpc_requests", "Queries over gRPC.", ["to"])
        self.grpc_responses = self._counter("grpc_responses", "Answers over gRPC.", ["to", "rcode"])
        self.grpc_duration = self._histogram("grpc_request_duration_seconds", "Time of upstreams.", ["to"], SECONDS)
        self.https_responses = self._counter("dns_https_responses", "Answers over HTTPS.", ["server", "status"])
        self.https3_responses = self._counter("dns_https3_responses", "Answers over HTTP/3.", ["server", "status"])
        self.quic_responses = self._counter("dns_quic_responses", "Answers over QUIC.", ["server", "status"])

    def _add_own(self) -> None:
        """What CoreDNS does not measure."""
        self.propagation = Histogram(
            "seamark_dns_propagation_seconds",
            "From the commit of a change to its answer; commit times of other API servers are known to the second.",
            ["kind", "service_kind", "commit_time"],
            buckets=PROGRAMMING,
            registry=self.registry,
        )
        self.stale = Gauge(
            "seamark_dns_table_stale", "1 while the table is that of the snapshot.", registry=self.registry
        )
        self.snapshot_time = Gauge(
            "seamark_dns_snapshot_timestamp_seconds", "When the snapshot in use was made.", registry=self.registry
        )
        self.wasted_searches = Counter(
            "seamark_dns_wasted_search_queries",
            "Queries of a pod for names of the cluster that a search list made and that lead nowhere.",
            ["namespace", "pod"],
            registry=self.registry,
        )
        self.plugin_failures = Counter(
            "seamark_dns_plugin_path_failures", "Answers that a plugin file spoilt.", ["plugin"], registry=self.registry
        )
        self.upstream_disabled = Gauge(
            "seamark_dns_upstream_disabled", "1 while an upstream loops back here.", ["to"], registry=self.registry
        )

    def text(self) -> bytes:
        """The exposition format of Prometheus. Bounds are written as Go writes them: servers of both kinds are added up
        by the label le.
        """
        return _WHOLE_BOUND.sub(rb'le="\1"', generate_latest(self.registry))

    def _counter(self, name: str, about: str, labels: list[str] | None = None) -> Counter:
        return Counter(f"coredns_{name}", about, labels or [], registry=self.registry)

    def _gauge(self, name: str, about: str, labels: list[str] | None = None) -> Gauge:
        return Gauge(f"coredns_{name}", about, labels or [], registry=self.registry)

    def _histogram(self, name: str, about: str, labels: list[str], buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"coredns_{name}", about, labels, buckets=buckets, registry=self.registry)


def type_label(rdtype: str) -> str:
    """Rare types count as ``other``, so that made-up types cannot fill the registry."""
    return rdtype if rdtype in TYPES else OTHER
