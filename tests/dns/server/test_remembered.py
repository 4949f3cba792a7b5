"""Answers given again without a walk through the chain: equal on the wire, counted, and gone with any change."""

from __future__ import annotations

from typing import Any

import dns.message
import pytest

from seamark.dns.listener import Listener, Source
from seamark.testing.clock import settle
from seamark.testing.dnsupstream import good

AT = Listener(53)
Z = "cluster.local."
COREFILE = """. {
errors
prometheus localhost:9153
kubernetes cluster.local in-addr.arpa {
ttl 30
}
cache 30
loadbalance
}
"""


def service(name: str, ip: str, **spec: Any) -> dict[str, Any]:
    ports = [{"name": "http", "port": 80, "protocol": "TCP"}]
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"clusterIP": ip, "clusterIPs": [ip], "ports": ports, **spec},
    }


@pytest.fixture
def registry(fake_api: Any) -> Any:
    fake_api.put("namespaces", {"metadata": {"name": "default"}})
    fake_api.put("services", service("web", "10.96.0.5"))
    fake_api.put("services", service("heads", "None"))
    fake_api.put("services", service("out", "", type="ExternalName", externalName="x.test"))
    fake_api.put("services", service("in", "", type="ExternalName", externalName=f"web.default.svc.{Z}"))
    labels = {"kubernetes.io/service-name": "heads"}
    ends = [{"addresses": ["10.244.1.5"]}, {"addresses": ["10.244.1.6"]}]
    meta = {"name": "heads-1", "namespace": "default", "labels": labels}
    ports = [{"name": "http", "port": 8080, "protocol": "TCP"}]
    fake_api.put("endpointslices", {"metadata": meta, "addressType": "IPv4", "endpoints": ends, "ports": ports})
    return fake_api


WEB = f"web.default.svc.{Z}"
KEPT = [WEB, WEB.upper(), f"_http._tcp.{WEB}", f"no.default.svc.{Z}", f"in.default.svc.{Z}", "5.0.96.10.in-addr.arpa."]
NOT_KEPT = [f"heads.default.svc.{Z}", f"out.default.svc.{Z}", "elsewhere.test."]


async def answered(server: Any, packet: bytes, client: str = "192.0.2.7") -> bytes:
    found = await server.core.answer(AT, packet, Source(client, 9), "udp")
    assert isinstance(found, bytes)
    return found


@pytest.mark.parametrize("name", KEPT + NOT_KEPT)
@pytest.mark.parametrize("rdtype", ["A", "AAAA", "SRV", "TXT", "PTR", "ANY"])
@pytest.mark.parametrize("options", [{}, {"payload": 1232, "want_dnssec": True}], ids=["plain", "edns"])
async def test_both_paths_say_the_same(
    name: str, rdtype: str, options: dict[str, Any], registry: Any, serve: Any
) -> None:
    server = await serve(COREFILE)
    packet = dns.message.make_query(name, rdtype, id=7, **options).to_wire()
    assert server.core.quick(AT, packet, "192.0.2.7") is None
    slow = await answered(server, packet)
    other = b"\0\x09" + packet[2:]
    quick = server.core.quick(AT, other, "192.0.2.8")
    if name in KEPT:
        assert quick is not None
    if quick is not None:
        assert quick == b"\0\x09" + slow[2:] == await answered(server, other)
    if name in NOT_KEPT and rdtype == "A":
        assert quick is None


async def test_answers_given_again_are_counted(registry: Any, serve: Any, host: Any) -> None:
    server = await serve(COREFILE)
    packet = dns.message.make_query(WEB, "A", payload=1232, want_dnssec=True).to_wire()

    def counted() -> list[str]:
        lines = host.metrics.text().decode().splitlines()
        wanted = ("coredns_dns_", "coredns_cache_requests", "coredns_cache_misses")
        return [line for line in lines if line.startswith(wanted) and "_bucket" not in line]

    await answered(server, packet)
    one = counted()
    await answered(server, packet)
    slow = [(a, b) for a, b in zip(one, counted(), strict=True) if a != b]
    assert len(slow) >= 8
    for _ in range(3):
        assert server.core.quick(AT, packet, "192.0.2.7") is not None
    assert (
        'coredns_dns_requests_total{family="1",proto="udp",server="dns://:53",type="A",view="",zone="."} 5.0'
        in counted()
    )
    assert 'coredns_cache_misses_total{server="dns://:53",view="",zones="."} 5.0' in counted()
    assert any(line.startswith("coredns_dns_response_size_bytes_count") and line.endswith(" 5.0") for line in counted())
    assert server.core.quick(AT, packet, "2001:db8::1") is None


async def test_any_change_of_the_table_ends_them(registry: Any, serve: Any) -> None:
    server = await serve(COREFILE)
    packet = dns.message.make_query(f"late.default.svc.{Z}", "A").to_wire()
    await answered(server, packet)
    assert server.core.quick(AT, packet, "192.0.2.7") is not None
    registry.put("services", service("late", "10.96.0.77"))
    await settle()
    assert server.core.quick(AT, packet, "192.0.2.7") is None
    assert dns.message.from_wire(await answered(server, packet)).answer[0][0].to_text() == "10.96.0.77"


@pytest.mark.parametrize("plugin", ["log", "hosts /nonexistent", "acl", "header {\nresponse set ra\n}", "minimal"])
async def test_plugins_that_want_to_see_questions_see_all(plugin: str, registry: Any, serve: Any) -> None:
    server = await serve(COREFILE.replace("errors\n", f"errors\n{plugin}\n"))
    packet = dns.message.make_query(f"no.default.svc.{Z}", "A").to_wire()
    await answered(server, packet)
    assert server.core.quick(AT, packet, "192.0.2.7") is None


async def test_what_is_not_known_yet_is_not_kept(fake_api: Any, serve: Any) -> None:
    fake_api.available = False
    server = await serve(COREFILE)
    packet = dns.message.make_query(WEB, "A").to_wire()
    await answered(server, packet)
    assert server.core.quick(AT, packet, "192.0.2.7") is None


async def cached(serve: Any, upstream: Any, options: str = "") -> tuple[Any, bytes]:
    """A server that was asked twice for a name outside, and the question."""
    above = await upstream(good("192.0.2.1"))
    server = await serve(
        f". {{\nprometheus localhost:9153\ncache 30 {{\n{options}\n}}\nforward . 127.0.0.1:{above.port}\n}}\n"
    )
    packet = dns.message.make_query("www.example.com.", "A").to_wire()
    await answered(server, packet)
    assert server.core.quick(AT, packet, "192.0.2.7") is None
    await answered(server, packet)
    return server, packet


async def test_what_the_cache_gave_lasts_until_its_ttl_is_another_one(serve: Any, upstream: Any, host: Any) -> None:
    server, packet = await cached(serve, upstream)
    for left in (30, 29, 0):
        slow = await answered(server, packet)
        assert dns.message.from_wire(slow).answer[0].ttl == (left or 30)
        if left:
            assert server.core.quick(AT, b"\0\x09" + packet[2:], "192.0.2.7") == b"\0\x09" + slow[2:]
            spelled = packet.replace(b"www", b"wWw")
            assert server.core.quick(AT, spelled, "192.0.2.7") is None
        await server.clock.advance(1 if left == 30 else 30)
        assert server.core.quick(AT, packet, "192.0.2.7") is None
    hits = 'coredns_cache_hits_total{server="dns://:53",type="success",view="",zones="."} 5.0'
    requests = 'coredns_cache_requests_total{server="dns://:53",view="",zones="."} 7.0'
    assert {hits, requests} <= set(host.metrics.text().decode().splitlines())


@pytest.mark.parametrize(("options", "is_kept"), [("keepttl", True), ("prefetch 5 1m 10%", False)])
async def test_prefetch_wants_to_see_every_hit(serve: Any, upstream: Any, options: str, *, is_kept: bool) -> None:
    server, packet = await cached(serve, upstream, options)
    await server.clock.advance(2)
    assert (server.core.quick(AT, packet, "192.0.2.7") is not None) is is_kept
