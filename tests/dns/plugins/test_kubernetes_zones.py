"""Options of kubernetes with names of their own: zonal and multicluster; and what limits its requests."""

from __future__ import annotations

import asyncio
from typing import Any

import dns.message
import pytest

from seamark.dns.plugins.kubernetes.config import Limits
from seamark.dns.plugins.kubernetes.limits import LimitedTransport
from seamark.machinery.wire import Request, Response
from seamark.testing.clock import FakeClock, settle
from seamark.testing.dnscase import DnsCase

Z = "cluster.local."
M = "clusterset.local."
ZONAL = ". {\nkubernetes cluster.local {\nzonal\nttl 30\n}\n}\n"
SETS = ". {\nkubernetes cluster.local clusterset.local {\nmulticluster clusterset.local\nttl 30\n}\n}\n"


def soa(zone: str) -> str:
    return f"{zone} 30 IN SOA ns.dns.{zone} hostmaster.{zone} 1 7200 1800 86400 30"


def headless(name: str) -> dict[str, Any]:
    spec = {"clusterIP": "None", "clusterIPs": ["None"], "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}
    return {"metadata": {"name": name, "namespace": "default"}, "spec": spec}


def slice_of(name: str, labels: dict[str, str], *endpoints: dict[str, Any]) -> dict[str, Any]:
    ports = [{"name": "http", "port": 8080, "protocol": "TCP"}]
    return {
        "metadata": {"name": name, "namespace": "default", "labels": labels},
        "addressType": "IPv4",
        "endpoints": list(endpoints),
        "ports": ports,
    }


def owner(labels: str) -> str:
    return f"{labels}.heads.default.svc.{Z}"


IN_A, IN_B = "a.eu.pin._zone", "b.prefer._zone"


@pytest.mark.parametrize(
    "case",
    [
        DnsCase(owner(IN_A), answer=f"{owner(IN_A)} 30 IN A 10.0.0.1"),
        DnsCase(owner(IN_B), answer=f"{owner(IN_B)} 30 IN A 10.0.0.2"),
        DnsCase(
            owner(IN_B),
            "SRV",
            answer=f"{owner(IN_B)} 30 IN SRV 0 100 8080 10-0-0-2.heads.default.svc.{Z}",
            additional=f"10-0-0-2.heads.default.svc.{Z} 30 IN A 10.0.0.2",
        ),
        DnsCase(owner("c.pin._zone"), authority=soa(Z)),
        DnsCase(owner("c.pin._zone"), "TXT", authority=soa(Z)),
        DnsCase(
            owner("c.prefer._zone"),
            answer=f"{owner('c.prefer._zone')} 30 IN A 10.0.0.1\n{owner('c.prefer._zone')} 30 IN A 10.0.0.2",
        ),
        DnsCase(owner("c.other._zone"), rcode="NXDOMAIN", authority=soa(Z)),
        DnsCase(f"a.pin._zone.nosuch.default.svc.{Z}", rcode="NXDOMAIN", authority=soa(Z)),
        DnsCase(f"a.pin._zone.web.default.svc.{Z}", rcode="NXDOMAIN", authority=soa(Z)),
    ],
    ids=str,
)
async def test_names_of_topology_zones(case: DnsCase, fake_api: Any, serve: Any) -> None:
    fake_api.put("namespaces", {"metadata": {"name": "default"}})
    fake_api.put("services", headless("heads"))
    web = headless("web")
    web["spec"] |= {"clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1"]}
    fake_api.put("services", web)
    ends = [{"addresses": ["10.0.0.1"], "zone": "a.eu"}, {"addresses": ["10.0.0.2"], "zone": "b"}]
    fake_api.put("endpointslices", slice_of("heads-1", {"kubernetes.io/service-name": "heads"}, *ends))
    server = await serve(ZONAL)
    assert case.differences(await server.ask(case.query())) == []
    plain = await serve(ZONAL.replace("zonal\n", ""))
    assert (await plain.ask(case.query())).rcode().name == "NXDOMAIN"


SET = f"set.default.svc.{M}"
DB = f"db.default.svc.{M}"
POD = f"pod-0.east.{DB}"


@pytest.mark.parametrize(
    "case",
    [
        DnsCase(SET, answer=f"{SET} 30 IN A 10.97.0.1"),
        DnsCase(
            f"_http._tcp.{SET}",
            "SRV",
            answer=f"_http._tcp.{SET} 30 IN SRV 0 100 80 {SET}",
            additional=f"{SET} 30 IN A 10.97.0.1",
        ),
        DnsCase(f"http.tcp.{SET}", rcode="NXDOMAIN", authority=soa(M)),
        DnsCase(POD, answer=f"{POD} 30 IN A 10.0.1.1"),
        DnsCase(f"pod-0.west.{DB}", rcode="NXDOMAIN", authority=soa(M)),
        DnsCase(f"pod-0.{DB}", rcode="NXDOMAIN", authority=soa(M)),
        DnsCase(DB, "SRV", answer=f"{DB} 30 IN SRV 0 100 8080 {POD}", additional=f"{POD} 30 IN A 10.0.1.1"),
        DnsCase(f"local.default.svc.{M}", rcode="NXDOMAIN", authority=soa(M)),
        DnsCase(f"set.default.svc.{Z}", rcode="NXDOMAIN", authority=soa(Z)),
    ],
    ids=str,
)
async def test_names_of_other_clusters(case: DnsCase, fake_api: Any, serve: Any) -> None:
    fake_api.put("namespaces", {"metadata": {"name": "default"}})
    fake_api.put("services", headless("local"))
    ports = [{"name": "http", "port": 80, "protocol": "TCP"}]
    for name, spec in (("set", {"type": "ClusterSetIP", "ips": ["10.97.0.1"]}), ("db", {"type": "Headless"})):
        fake_api.put(
            "serviceimports", {"metadata": {"name": name, "namespace": "default"}, "spec": {**spec, "ports": ports}}
        )
    labels = {
        "multicluster.kubernetes.io/service-name": "db",
        "multicluster.kubernetes.io/source-cluster": "east",
    }
    fake_api.put("endpointslices", slice_of("db-1", labels, {"addresses": ["10.0.1.1"], "hostname": "pod-0"}))
    server = await serve(SETS)
    assert case.differences(await server.ask(case.query())) == []


async def test_an_import_that_changes_is_seen_at_once(fake_api: Any, serve: Any) -> None:
    fake_api.put("namespaces", {"metadata": {"name": "default"}})
    server = await serve(SETS)
    question = dns.message.make_query(SET, "A")
    assert (await server.ask(question)).rcode().name == "NXDOMAIN"
    meta = {"name": "set", "namespace": "default"}
    fake_api.put("serviceimports", {"metadata": meta, "spec": {"ips": ["10.97.0.9"], "ports": [{"port": 1}]}})
    await settle()
    assert (await server.ask(question)).answer[0][0].to_text() == "10.97.0.9"
    fake_api.delete("serviceimports", "set")
    await settle()
    assert (await server.ask(question)).rcode().name == "NXDOMAIN"


class Counting:
    """Answers when told to, and knows how many wait."""

    def __init__(self) -> None:
        self.waiting = 0
        self.free = asyncio.Event()

    async def __call__(self, request: Request) -> Response:
        self.waiting += 1
        await self.free.wait()
        return Response(200)

    async def close(self) -> None:
        return None


async def test_no_more_requests_than_allowed_are_awaited(clock: FakeClock) -> None:
    inner = Counting()
    limited = LimitedTransport(inner, Limits(max_inflight=2), clock)
    tasks = [asyncio.ensure_future(limited(Request("GET", "/"))) for _ in range(5)]
    await settle()
    assert inner.waiting == 2
    inner.free.set()
    await asyncio.gather(*tasks)
    assert inner.waiting == 5


async def test_requests_come_at_the_rate_allowed(clock: FakeClock) -> None:
    inner = Counting()
    inner.free.set()
    limited = LimitedTransport(inner, Limits(qps=2, burst=3), clock)
    tasks = [asyncio.ensure_future(limited(Request("GET", "/"))) for _ in range(5)]
    await settle()
    assert inner.waiting == 3
    await clock.advance(0.5)
    assert inner.waiting == 4
    await clock.advance(0.5)
    assert inner.waiting == 5
    await asyncio.gather(*tasks)


async def test_lists_come_in_pages_where_they_are_not_streamed(fake_api: Any, serve: Any) -> None:
    fake_api.streaming = False
    fake_api.put("namespaces", {"metadata": {"name": "default"}})
    for number in range(1201):
        fake_api.put("services", headless(f"s{number}"))
    await serve(ZONAL)
    pages = [r for r in fake_api.requests if r.path.endswith("/services") and not r.flag("watch")]
    assert [r.param("limit") for r in pages] == ["500"] * 3
    assert [r.param("continue") for r in pages] == ["", "500", "1000"]
