"""The plugin kubernetes against a registry in memory: every row of the specification as a question."""

from __future__ import annotations

from typing import Any

import dns.message
import dns.rcode
import pytest

from seamark.testing.clock import settle
from seamark.testing.dnscase import DnsCase, render_records

COREFILE = """.:53 {
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }
    cache 30
    hosts /nonexistent {
        192.0.2.44 outside.example
        192.0.2.9 nine.example
        fallthrough
    }
    whoami
}
"""
SOA = "cluster.local. 30 IN SOA ns.dns.cluster.local. hostmaster.cluster.local. 1 7200 1800 86400 30"


def soa(zone: str) -> str:
    return SOA.replace("cluster.local.", zone)


def meta(name: str, namespace: str = "default", **more: object) -> dict[str, Any]:
    return {"name": name, "namespace": namespace, **more}


def service(name: str, ip: str, *ports: tuple[str, int], kind: str = "ClusterIP", **spec: object) -> dict[str, Any]:
    found = [{"name": n, "port": p, "protocol": "TCP"} for n, p in ports]
    fields = {"type": kind, "clusterIP": ip, "clusterIPs": [ip] if ip else [], "ports": found, **spec}
    return {"metadata": meta(name), "spec": fields}


def slices(name: str, of: str, *endpoints: dict[str, Any], port: int | None = 8080, **more: object) -> dict[str, Any]:
    ports = [{"name": "http", "port": port, "protocol": "TCP"}] if port else []
    labels = {"kubernetes.io/service-name": of}
    return {"metadata": meta(name, labels=labels, **more), "endpoints": list(endpoints), "ports": ports}


def at(address: str, **more: object) -> dict[str, Any]:
    return {"addresses": [address], **more}


@pytest.fixture
def registry(fake_api: Any) -> Any:
    fake_api.put("namespaces", {"metadata": {"name": "default"}})
    fake_api.put("services", service("web", "10.96.0.5", ("http", 80)))
    fake_api.put("services", service("heads", "None", ("http", 80)))
    fake_api.put("services", service("empty", "None"))
    fake_api.put("services", service("out", "", kind="ExternalName", externalName="Outside.example"))
    fake_api.put("services", service("lost", "", kind="ExternalName", externalName="nosuch.example"))
    fake_api.put("services", service("in", "", kind="ExternalName", externalName="web.default.svc.cluster.local"))
    fake_api.put("services", service("twice", "", kind="ExternalName", externalName="in.default.svc.cluster.local"))
    fake_api.put("services", service("loop", "", kind="ExternalName", externalName="loop.default.svc.cluster.local"))
    fake_api.put("services", service("broken", "", kind="ExternalName", externalName="gone.default.svc.cluster.local"))
    fake_api.put("endpointslices", slices("web-1", "web", at("10.244.1.4")))
    fake_api.put("endpointslices", slices("heads-1", "heads", at("10.244.1.5", hostname="db-0"), at("10.244.1.6")))
    return fake_api


WEB = "web.default.svc.cluster.local."
HEADS = "heads.default.svc.cluster.local."

CASES = [
    DnsCase(WEB, "A", answer=f"{WEB} 30 IN A 10.96.0.5"),
    DnsCase(WEB, "AAAA", authority=SOA),
    DnsCase(WEB, "MX", authority=SOA),
    DnsCase(WEB, "TXT", authority=SOA),
    DnsCase(WEB, "HTTPS", authority=SOA),
    DnsCase(WEB, "ANY", authority=SOA),
    DnsCase(WEB, "PTR", authority=SOA),
    DnsCase(WEB, "CNAME", authority=SOA),
    DnsCase(WEB, "SOA", authority=SOA),
    DnsCase("nosuch.default.svc.cluster.local.", "SOA", authority=SOA),
    DnsCase(
        f"_http._tcp.{WEB}",
        "SRV",
        answer=f"_http._tcp.{WEB} 30 IN SRV 0 100 80 {WEB}",
        additional=f"{WEB} 30 IN A 10.96.0.5",
    ),
    DnsCase(f"_nope._tcp.{WEB}", "SRV", "NXDOMAIN", authority=SOA),
    DnsCase(f"_http._tcp.{WEB}", "A", answer=f"_http._tcp.{WEB} 30 IN A 10.96.0.5"),
    DnsCase(HEADS, "A", answer=f"{HEADS} 30 IN A 10.244.1.5\n{HEADS} 30 IN A 10.244.1.6"),
    DnsCase(
        HEADS,
        "SRV",
        answer=f"{HEADS} 30 IN SRV 0 50 8080 db-0.{HEADS}\n{HEADS} 30 IN SRV 0 50 8080 10-244-1-6.{HEADS}",
        additional=f"db-0.{HEADS} 30 IN A 10.244.1.5\n10-244-1-6.{HEADS} 30 IN A 10.244.1.6",
    ),
    DnsCase(f"db-0.{HEADS}", "A", answer=f"db-0.{HEADS} 30 IN A 10.244.1.5"),
    DnsCase("empty.default.svc.cluster.local.", "A", "NXDOMAIN", authority=SOA),
    DnsCase("nosuch.default.svc.cluster.local.", "A", "NXDOMAIN", authority=SOA),
    DnsCase("nosuch.default.svc.cluster.local.", "HTTPS", "NXDOMAIN", authority=SOA),
    DnsCase("web.missing.svc.cluster.local.", "A", "NXDOMAIN", authority=SOA),
    DnsCase("missing.svc.cluster.local.", "A", "NXDOMAIN", authority=SOA),
    DnsCase("default.svc.cluster.local.", "A", authority=SOA),
    DnsCase("default.svc.cluster.local.", "TXT", "NXDOMAIN", authority=SOA),
    DnsCase("svc.cluster.local.", "A", authority=SOA),
    DnsCase("cluster.local.", "A", authority=SOA),
    DnsCase("cluster.local.", "TXT", "NXDOMAIN", authority=SOA),
    DnsCase("cluster.local.", "SOA", answer=SOA),
    DnsCase(
        "cluster.local.",
        "NS",
        answer="cluster.local. 30 IN NS ns.dns.cluster.local.",
        additional="ns.dns.cluster.local. 30 IN A 10.244.9.9",
    ),
    DnsCase("ns.dns.cluster.local.", "A", answer="ns.dns.cluster.local. 30 IN A 10.244.9.9"),
    DnsCase("ns.dns.cluster.local.", "AAAA", authority=SOA),
    DnsCase("dns.cluster.local.", "A", "NXDOMAIN", authority=SOA),
    DnsCase("hostmaster.cluster.local.", "A", "NXDOMAIN", authority=SOA),
    DnsCase("dns-version.cluster.local.", "TXT", answer='dns-version.cluster.local. 30 IN TXT "1.1.0"'),
    DnsCase("dns-version.in-addr.arpa.", "TXT", answer='dns-version.in-addr.arpa. 30 IN TXT "1.1.0"'),
    DnsCase("dns-version.cluster.local.", "A", "NXDOMAIN", authority=SOA),
    DnsCase(
        "10-244-7-7.default.pod.cluster.local.", "A", answer="10-244-7-7.default.pod.cluster.local. 30 IN A 10.244.7.7"
    ),
    DnsCase("10-244-7-7.default.pod.cluster.local.", "AAAA", authority=SOA),
    DnsCase("default.pod.cluster.local.", "A", authority=SOA),
    DnsCase("words.default.pod.cluster.local.", "A", "NXDOMAIN", authority=SOA),
    DnsCase("5.0.96.10.in-addr.arpa.", "PTR", answer=f"5.0.96.10.in-addr.arpa. 30 IN PTR {WEB}"),
    DnsCase("4.1.244.10.in-addr.arpa.", "PTR", answer=f"4.1.244.10.in-addr.arpa. 30 IN PTR 10-244-1-4.{WEB}"),
    DnsCase("5.1.244.10.in-addr.arpa.", "PTR", answer=f"5.1.244.10.in-addr.arpa. 30 IN PTR db-0.{HEADS}"),
    DnsCase("in-addr.arpa.", "A", authority=soa("in-addr.arpa.")),
    # ExternalName
    DnsCase(
        "out.default.svc.cluster.local.",
        "A",
        answer="out.default.svc.cluster.local. 30 IN CNAME Outside.example.\nOutside.example. 30 IN A 192.0.2.44",
    ),
    DnsCase(
        "out.default.svc.cluster.local.", "AAAA", answer="out.default.svc.cluster.local. 30 IN CNAME Outside.example."
    ),
    DnsCase(
        "out.default.svc.cluster.local.", "CNAME", answer="out.default.svc.cluster.local. 30 IN CNAME Outside.example."
    ),
    DnsCase(
        "lost.default.svc.cluster.local.",
        "AAAA",
        answer="lost.default.svc.cluster.local. 30 IN CNAME nosuch.example.",
        additional="",
        aa=True,
    ),
    DnsCase("out.default.svc.cluster.local.", "SRV", authority=SOA),
    DnsCase("out.default.svc.cluster.local.", "TXT", authority=SOA),
    DnsCase("_http._tcp.out.default.svc.cluster.local.", "SRV", "NXDOMAIN", authority=SOA),
    DnsCase(
        "twice.default.svc.cluster.local.",
        "A",
        answer="twice.default.svc.cluster.local. 30 IN CNAME in.default.svc.cluster.local.\n"
        f"in.default.svc.cluster.local. 30 IN CNAME {WEB}\n{WEB} 30 IN A 10.96.0.5",
    ),
    DnsCase("in.default.svc.cluster.local.", "AAAA", authority=SOA),
    DnsCase("loop.default.svc.cluster.local.", "A", authority=SOA),
    DnsCase("broken.default.svc.cluster.local.", "A", authority=SOA),
    # spelling
    DnsCase(
        "_HTTP._tcp.WEB.default.svc.CLUSTER.local.",
        "SRV",
        answer="_HTTP._tcp.WEB.default.svc.CLUSTER.local. 30 IN SRV 0 100 80 web.default.svc.CLUSTER.local.",
        additional="web.default.svc.CLUSTER.local. 30 IN A 10.96.0.5",
    ),
    DnsCase("WEB.default.SVC.cluster.LOCAL.", "AAAA", authority=soa("cluster.LOCAL.")),
    DnsCase("5.0.96.10.IN-addr.ARPA.", "PTR", answer=f"5.0.96.10.IN-addr.ARPA. 30 IN PTR {WEB}"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_answers(case: DnsCase, registry: Any, serve: Any) -> None:
    server = await serve(COREFILE)
    for _ in range(2):  # the second is the remembered one
        found = await server.ask(case.query())
        assert case.differences(found) == []


async def test_only_nxdomain_falls_through(registry: Any, serve: Any) -> None:
    """whoami is next; the table of cases has NODATA at in-addr.arpa, which does not reach it."""
    server = await serve(COREFILE)
    name = "1.0.0.127.in-addr.arpa."
    found = await server.ask(dns.message.make_query(name, "PTR"))
    assert [r.split(" ", 2)[2] for r in sorted(render_records(found.additional))] == [
        "IN A 192.0.2.7",
        "IN SRV 0 0 40212 .",
    ]


async def test_the_version_has_a_ttl_of_its_own_which_cache_bounds_like_any_other(registry: Any, serve: Any) -> None:
    server = await serve(". {\nkubernetes cluster.local\n}")
    case = DnsCase("dns-version.cluster.local.", "TXT", answer='dns-version.cluster.local. 28800 IN TXT "1.1.0"')
    assert case.differences(await server.ask(case.query())) == []


async def test_transfers_are_refused(registry: Any, serve: Any) -> None:
    server = await serve(COREFILE)
    found = await server.ask(dns.message.make_query("cluster.local.", "AXFR"), protocol="tcp")
    assert found.rcode() == dns.rcode.REFUSED
    assert not found.flags & 0x0400


async def test_the_name_servers_are_the_services_that_lead_here(registry: Any, serve: Any) -> None:
    registry.put("services", service("kube-dns", "10.96.0.10", ("dns", 53)))
    registry.put("endpointslices", slices("kube-dns-1", "kube-dns", at("10.244.9.9")))
    server = await serve(COREFILE)
    case = DnsCase(
        "cluster.local.",
        "NS",
        answer="cluster.local. 30 IN NS kube-dns.default.svc.cluster.local.",
        additional="kube-dns.default.svc.cluster.local. 30 IN A 10.96.0.10",
    )
    assert case.differences(await server.ask(case.query())) == []
    address = DnsCase("ns.dns.cluster.local.", answer="ns.dns.cluster.local. 30 IN A 10.96.0.10")
    assert address.differences(await server.ask(address.query())) == []


async def test_a_change_is_answered_at_once_in_spite_of_the_cache(registry: Any, serve: Any) -> None:
    server = await serve(COREFILE)
    case = DnsCase(HEADS, answer=f"{HEADS} 30 IN A 10.244.1.5\n{HEADS} 30 IN A 10.244.1.6")
    assert case.differences(await server.ask(case.query())) == []
    registry.put("endpointslices", slices("heads-1", "heads", at("10.244.1.99")))
    await settle()
    now = DnsCase(HEADS, answer=f"{HEADS} 30 IN A 10.244.1.99")
    assert now.differences(await server.ask(now.query())) == []
    registry.delete("services", "heads")
    await settle()
    gone = DnsCase(HEADS, rcode="NXDOMAIN", authority=SOA)
    assert gone.differences(await server.ask(gone.query())) == []


async def test_what_fell_through_is_forgotten_when_the_table_changes(registry: Any, serve: Any) -> None:
    server = await serve(COREFILE)
    reverse = dns.message.make_query("9.2.0.192.in-addr.arpa.", "PTR")
    assert (await server.ask(dns.message.make_query("7.7.7.7.in-addr.arpa.", "PTR"))).answer == []
    registry.put("services", service("seven", "7.7.7.7"))
    await settle()
    found = await server.ask(dns.message.make_query("7.7.7.7.in-addr.arpa.", "PTR"))
    assert found.answer[0][0].to_text() == "seven.default.svc.cluster.local."
    assert (await server.ask(reverse)).answer[0][0].to_text() == "nine.example."


async def test_the_serial_is_the_time_of_the_last_change(registry: Any, serve: Any) -> None:
    server = await serve(COREFILE)
    await server.clock.advance(1000)
    registry.put("services", service("late", "10.96.0.77", ("http", 80)))
    await settle()
    found = await server.ask(dns.message.make_query("cluster.local.", "SOA"))
    assert found.answer[0][0].serial == int(server.clock.time())
    await server.clock.advance(1000)
    again = service("late", "10.96.0.77", ("http", 80))
    again["metadata"]["labels"] = {"a": "b"}
    registry.put("services", again)
    await settle()
    found = await server.ask(dns.message.make_query("cluster.local.", "SOA"))
    assert found.answer[0][0].serial == int(server.clock.time()) - 1000


async def test_until_the_lists_are_complete_a_missing_name_is_servfail(fake_api: Any, serve: Any) -> None:
    fake_api.available = False
    server = await serve(COREFILE)
    assert any("unsynced" in line for line in server.log)
    assert server.plugin("kubernetes").ready() is False
    case = DnsCase("web.default.svc.cluster.local.", rcode="SERVFAIL", authority=SOA.replace("ns.dns", "ns.dns"))
    assert case.differences(await server.ask(case.query())) == []
    apex = await server.ask(dns.message.make_query("cluster.local.", "SOA"))
    assert apex.rcode() == dns.rcode.NOERROR and apex.answer
    fake_api.available = True
    await server.clock.advance(60)
    assert server.plugin("kubernetes").ready() is True
    case = DnsCase("web.default.svc.cluster.local.", rcode="NXDOMAIN", authority=SOA)
    assert case.differences(await server.ask(case.query())) == []


async def test_options_reach_the_registry_and_the_table(registry: Any, serve: Any) -> None:
    server = await serve(
        """cluster.local {
            kubernetes {
                namespaces default
                labels app in (a, b)
                pods verified
                noendpoints
                ignore empty_service
            }
        }"""
    )
    watched = {r.path.rsplit("/", 1)[-1]: r.param("labelSelector") for r in registry.requests if r.flag("watch")}
    assert watched == {"namespaces": "", "services": "app in (a, b)", "pods": "app in (a, b)"}
    assert (await server.ask(dns.message.make_query(WEB, "A"))).rcode() == dns.rcode.NXDOMAIN


async def test_programming_time_is_measured(registry: Any, serve: Any, host: Any) -> None:
    from seamark.machinery.clock import format_time

    await serve(COREFILE)
    spec = service("timed", "10.96.0.88", ("http", 80), selector={"app": "x"})
    registry.put("services", spec)
    await settle()
    changed = {"endpoints.kubernetes.io/last-change-trigger-time": format_time(host.clock.time() - 2)}
    registry.put("endpointslices", slices("timed-1", "timed", at("10.244.1.50"), annotations=changed))
    await settle()
    name = 'coredns_kubernetes_dns_programming_duration_seconds_sum{service_kind="cluster_ip"} 2.0'
    assert name in host.metrics.text().decode()
