"""The DNS server against the real API: what a client writes is what a resolver reads, by the next turn of the loop."""

from __future__ import annotations

from typing import Any

import dns.message

from seamark.client.client import Client
from seamark.machinery.gvr import ENDPOINTSLICES, NAMESPACES, SERVICES
from seamark.testing.clock import settle
from seamark.testing.dnscase import DnsCase, render_records

COREFILE = ". {\nkubernetes cluster.local in-addr.arpa {\nttl 30\n}\ncache 30\nloadbalance\n}\n"
WEB = "web.default.svc.cluster.local."
HEADS = "heads.default.svc.cluster.local."


def slice_of(service: str, *addresses: str) -> dict[str, Any]:
    return {
        "metadata": {"name": f"{service}-1", "namespace": "default", "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}} for address in addresses],
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    }


async def test_services_and_slices_come_and_go(client: Client, host: Any, serve: Any) -> None:
    host.connect = lambda config: client
    server = await serve(COREFILE)

    async def ask(name: str, qtype: str = "A") -> set[str]:
        await settle(200)
        found = await server.ask(dns.message.make_query(name, qtype))
        return {record.split(" IN ", 1)[1] for record in render_records(found.answer)}

    missing = DnsCase(WEB, rcode="NXDOMAIN")
    assert (await server.ask(missing.query())).rcode().name == "NXDOMAIN"
    spec = {"ports": [{"name": "http", "port": 80}], "selector": {"app": "web"}}
    made = await client.create(SERVICES, {"metadata": {"name": "web", "namespace": "default"}, "spec": spec})
    address = made["spec"]["clusterIP"]
    assert await ask(WEB) == {f"A {address}"}
    assert await ask(f"_http._tcp.{WEB}", "SRV") == {f"SRV 0 100 80 {WEB}"}
    reverse = ".".join(reversed(address.split("."))) + ".in-addr.arpa."
    assert await ask(reverse, "PTR") == {f"PTR {WEB}"}

    heads = {"metadata": {"name": "heads", "namespace": "default"}, "spec": {**spec, "clusterIP": "None"}}
    await client.create(SERVICES, heads)
    slice_object = await client.create(ENDPOINTSLICES, slice_of("heads", "10.244.1.5", "10.244.2.5"))
    assert await ask(HEADS) == {"A 10.244.1.5", "A 10.244.2.5"}
    slice_object["endpoints"] = slice_of("heads", "10.244.1.9")["endpoints"]
    await client.update(ENDPOINTSLICES, slice_object)
    assert await ask(HEADS) == {"A 10.244.1.9"}
    assert await ask("9.1.244.10.in-addr.arpa.", "PTR") == {f"PTR 10-244-1-9.{HEADS}"}

    await client.delete(SERVICES, "web", namespace="default")
    assert await ask(WEB) == set()
    assert await ask(reverse, "PTR") == set()


async def test_a_namespace_made_later_is_exposed(client: Client, host: Any, serve: Any) -> None:
    host.connect = lambda config: client
    server = await serve(COREFILE)
    await client.create(NAMESPACES, {"metadata": {"name": "later"}})
    spec = {"type": "ExternalName", "externalName": "x.example"}
    await client.create(SERVICES, {"metadata": {"name": "out", "namespace": "later"}, "spec": spec})
    await settle(200)
    found = await server.ask(dns.message.make_query("out.later.svc.cluster.local.", "CNAME"))
    assert render_records(found.answer) == {"out.later.svc.cluster.local. 30 IN CNAME x.example."}
