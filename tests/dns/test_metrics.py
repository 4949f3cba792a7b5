"""Every metric of CoreDNS 1.15.0 that Seamark has a plugin for: its name, its labels, its buckets."""

from __future__ import annotations

import asyncio
from typing import Any

import dns.message
import pytest
from prometheus_client import Counter, Gauge, Histogram

from seamark.client.base import TransportError
from seamark.dns.metrics import Metrics
from seamark.dns.plugins.kubernetes.config import Limits
from seamark.dns.plugins.kubernetes.measured import MeasuredTransport
from seamark.machinery.wire import Request
from seamark.testing.clock import settle
from seamark.testing.ports import free_port

BLOCK = "server zone view"
KEPT = "server zones view"
DNS = "0.00025 0.0005 0.001 0.002 0.004 0.008 0.016 0.032 0.064 0.128 0.256 0.512 1.024 2.048 4.096 8.192"
SIZES = "0 100 200 300 400 511 1023 2047 4095 8291 16000 32000 48000 64000"
REST = ".005 .01 .025 .05 .1 .25 .5 1 2.5 5 10"
COREDNS = {
    "build_info": (Gauge, "version revision goversion", ""),
    "panics_total": (Counter, "", ""),
    "plugin_enabled": (Gauge, f"{BLOCK} name", ""),
    "dns_requests_total": (Counter, f"{BLOCK} proto family type", ""),
    "dns_do_requests_total": (Counter, BLOCK, ""),
    "dns_request_duration_seconds": (Histogram, BLOCK, DNS),
    "dns_request_size_bytes": (Histogram, f"{BLOCK} proto", SIZES),
    "dns_response_size_bytes": (Histogram, f"{BLOCK} proto", SIZES),
    "dns_responses_total": (Counter, f"{BLOCK} rcode plugin", ""),
    "dns_https_responses_total": (Counter, "server status", ""),
    "dns_https3_responses_total": (Counter, "server status", ""),
    "dns_quic_responses_total": (Counter, "server status", ""),
    "acl_blocked_requests_total": (Counter, BLOCK, ""),
    "acl_filtered_requests_total": (Counter, BLOCK, ""),
    "acl_allowed_requests_total": (Counter, BLOCK, ""),
    "acl_dropped_requests_total": (Counter, BLOCK, ""),
    "autopath_success_total": (Counter, "server", ""),
    "cache_entries": (Gauge, "server type zones view", ""),
    "cache_requests_total": (Counter, KEPT, ""),
    "cache_hits_total": (Counter, "server type zones view", ""),
    "cache_misses_total": (Counter, KEPT, ""),
    "cache_prefetch_total": (Counter, KEPT, ""),
    "cache_drops_total": (Counter, KEPT, ""),
    "cache_served_stale_total": (Counter, KEPT, ""),
    "cache_evictions_total": (Counter, "server type zones view", ""),
    "dns64_requests_translated_total": (Counter, "server", ""),
    "dnssec_cache_entries": (Gauge, "server type", ""),
    "dnssec_cache_hits_total": (Counter, "server", ""),
    "dnssec_cache_misses_total": (Counter, "server", ""),
    "forward_healthcheck_broken_total": (Counter, "", ""),
    "forward_max_concurrent_rejects_total": (Counter, "", ""),
    "grpc_requests_total": (Counter, "to", ""),
    "grpc_responses_total": (Counter, "to rcode", ""),
    "grpc_request_duration_seconds": (Histogram, "to", DNS),
    "health_request_duration_seconds": (Histogram, "", "0.00025 0.0025 0.025 0.25 2.5"),
    "health_request_failures_total": (Counter, "", ""),
    "hosts_entries": (Gauge, "hostsfile", ""),
    "hosts_reload_timestamp_seconds": (Gauge, "", ""),
    "kubernetes_dns_programming_duration_seconds": (Histogram, "service_kind", " ".join(
        f"{0.001 * 2**n:g}" if n < 10 else f"{0.001 * 2**n:.3f}" for n in range(20)
    )),
    "kubernetes_rest_client_request_duration_seconds": (Histogram, "verb host", REST),
    "kubernetes_rest_client_rate_limiter_duration_seconds": (
        Histogram, "verb host", REST,
    ),
    "kubernetes_rest_client_requests_total": (Counter, "code method host", ""),
    "local_localhost_requests_total": (Counter, "", ""),
    "proxy_request_duration_seconds": (Histogram, "proxy_name to rcode", DNS),
    "proxy_healthcheck_failures_total": (Counter, "proxy_name to", ""),
    "proxy_conn_cache_hits_total": (Counter, "proxy_name to proto", ""),
    "proxy_conn_cache_misses_total": (Counter, "proxy_name to proto", ""),
    "reload_failed_total": (Counter, "", ""),
    "reload_version_info": (Gauge, "hash value", ""),
    "shed_dropped_total": (Counter, "server reason", ""),
    "template_matches_total": (Counter, f"{BLOCK} class type", ""),
    "template_template_failures_total": (Counter, f"{BLOCK} class type section template", ""),
    "template_rr_failures_total": (Counter, f"{BLOCK} class type section template", ""),
}  # fmt: skip


def metrics_of(held: Metrics) -> dict[str, Any]:
    values = [
        each for value in vars(held).values() for each in (value.values() if isinstance(value, dict) else [value])
    ]
    kinds = (Counter, Gauge, Histogram)
    return {
        each._name.removeprefix("coredns_") + ("_total" if isinstance(each, Counter) else ""): each
        for each in values
        if isinstance(each, kinds) and each._name.startswith("coredns_")
    }


def test_the_names_are_coredns_s() -> None:
    assert sorted(metrics_of(Metrics())) == sorted(COREDNS)


@pytest.mark.parametrize("name", COREDNS)
def test_labels_and_buckets(name: str) -> None:
    kind, labels, buckets = COREDNS[name]
    found = metrics_of(Metrics())[name]
    assert type(found) is kind and sorted(found._labelnames) == sorted(labels.split())
    if kind is Histogram:
        assert list(found._kwargs["buckets"]) == pytest.approx([float(word) for word in buckets.split()])


async def test_bounds_are_written_as_go_does(serve: Any, host: Any) -> None:
    server = await serve(f".:53 {{\nprometheus 127.0.0.1:{free_port()}\nwhoami\n}}\n")
    await server.ask(dns.message.make_query("a.test.", "A"))
    text = host.metrics.text().decode()
    assert 'le="100"' in text and 'le="0.00025"' in text and 'le="+Inf"' in text and '.0"' not in text
    assert "process_resident_memory_bytes" in text, "dashboards of CoreDNS show it"


@pytest.mark.parametrize(("as_coredns", "plugins"), [(False, {"hosts"}), (True, {"errors", ""})])
async def test_the_plugin_that_answered(serve: Any, host: Any, as_coredns: bool, plugins: set[str]) -> None:
    host.as_coredns = as_coredns
    server = await serve(
        f".:53 {{\nerrors\nprometheus 127.0.0.1:{free_port()}\nhosts none {{\n10.0.0.1 a.test\n}}\n}}\n"
    )
    for name in ("a.test.", "b.test."):
        await server.ask(dns.message.make_query(name, "A"))
    lines = [
        line for line in host.metrics.text().decode().splitlines() if line.startswith("coredns_dns_responses_total")
    ]
    assert {line.split('plugin="')[1].split('"')[0] for line in lines} == plugins


async def test_it_asks_its_own_health_port(serve: Any, host: Any, clock: Any, log: list[str]) -> None:
    server = await serve(f".:53 {{\nhealth 127.0.0.1:{free_port()}\nwhoami\n}}\n")
    server.plugin("health").serving()
    await settle(50)
    await clock.advance(1)
    await settle(200)
    assert "coredns_health_request_failures_total 1" in host.metrics.text().decode(), "nothing listens in this test"
    assert log[-1].startswith('[WARNING] plugin/health: Local health request to "http://127.0.0.1:')


async def test_requests_to_the_api_server_are_measured(host: Any, fake_api: Any, clock: Any) -> None:
    transport = MeasuredTransport(fake_api, "https://api.test:6443", host).limited(Limits(qps=1, burst=1))
    await transport(Request("GET", "/api/v1/services"))
    waiting = asyncio.ensure_future(transport(Request("GET", "/api/v1/services")))
    await settle()
    await clock.advance(1)
    await waiting
    fake_api.available = False
    failing = asyncio.ensure_future(transport(Request("POST", "/api/v1/events")))
    await settle()
    await clock.advance(1)
    with pytest.raises(TransportError):
        await failing
    text, name = host.metrics.text().decode(), "coredns_kubernetes_rest_client"
    assert f'{name}_requests_total{{code="200",host="api.test:6443",method="GET"}} 2' in text
    assert f'{name}_requests_total{{code="<error>",host="api.test:6443",method="POST"}} 1' in text
    assert f'{name}_request_duration_seconds_count{{host="api.test:6443",verb="GET"}} 2' in text
    assert f'{name}_rate_limiter_duration_seconds_sum{{host="api.test:6443",verb="GET"}} 1.0' in text
