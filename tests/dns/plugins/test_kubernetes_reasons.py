"""Why there is no answer: extended errors of kubernetes, for clients that send EDNS."""

from __future__ import annotations

from typing import Any

import dns.edns
import dns.message
import pytest

Z = "cluster.local."
COREFILE = ". {\nkubernetes cluster.local in-addr.arpa {\nttl 3\nOPTIONS\n}\ncache 30\n}\n"


def service(name: str, ip: str, **spec: Any) -> dict[str, Any]:
    ports = [{"name": "web", "port": 80, "protocol": "TCP"}]
    return {
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"clusterIP": ip, "clusterIPs": [ip], "ports": ports, **spec},
    }


@pytest.fixture
def registry(fake_api: Any) -> Any:
    for name in ("default", "hidden"):
        fake_api.put("namespaces", {"metadata": {"name": name}})
    fake_api.put("services", service("web", "10.96.0.5"))
    fake_api.put("services", service("db", "None"))
    fake_api.put("services", service("idle", "None"))
    fake_api.put("services", service("out", "", type="ExternalName", externalName="x.test"))
    meta = {"name": "db-1", "namespace": "default", "labels": {"kubernetes.io/service-name": "db"}}
    ports = [{"name": "sql", "port": 5432, "protocol": "TCP"}]
    ends = [{"addresses": ["10.244.1.5"], "hostname": "db-0"}]
    fake_api.put("endpointslices", {"metadata": meta, "endpoints": ends, "ports": ports, "addressType": "IPv4"})
    unready = [{"addresses": [f"10.244.1.{n}"], "conditions": {"ready": False}} for n in (6, 7, 8)]
    meta = {"name": "idle-1", "namespace": "default", "labels": {"kubernetes.io/service-name": "idle"}}
    fake_api.put("endpointslices", {"metadata": meta, "endpoints": unready, "ports": ports, "addressType": "IPv4"})
    return fake_api


@pytest.mark.parametrize(
    ("name", "rdtype", "why"),
    [
        (
            "_http._tcp.web.default.svc",
            "SRV",
            "Service default/web has no port named http over tcp; it has: web/tcp 80",
        ),
        ("web.default.svc", "AAAA", "Service default/web has no AAAA record here; it has: A, SRV"),
        ("idle.default.svc", "A", "Service default/idle has no ready endpoints (0 of 3)"),
        ("x.web.default.svc", "A", "Service default/web has no ready endpoints (0 of 0)"),
        ("db-1.db.default.svc", "A", "Service default/db has no endpoint named db-1; it has: db-0"),
        ("_web._tcp.db.default.svc", "SRV", "Service default/db has no port named web over tcp; it has: sql/tcp 5432"),
        ("a.b.c.web.default.svc", "A", "Service default/web has no names that long"),
        ("nosuch.default.svc", "A", "there is no Service default/nosuch"),
        ("web.nosuch.svc", "A", "there is no namespace nosuch"),
        ("web.hidden.svc", "A", "namespace hidden is not among those that are served"),
        ("10-0-0-1.default.pod", "A", "names of pods are off (pods disabled)"),
        ("out.default.svc", "SRV", "Service default/out is an alias to x.test"),
        ("web.default", "A", "names here are SERVICE.NAMESPACE.svc and ADDRESS.NAMESPACE.pod"),
    ],
)
async def test_reasons(name: str, rdtype: str, why: str, registry: Any, serve: Any) -> None:
    server = await serve(COREFILE.replace("OPTIONS", "namespaces default"))
    found = await server.ask(dns.message.make_query(f"{name}.{Z}", rdtype, payload=1232))
    assert [(option.code, option.text) for option in found.options] == [(dns.edns.EDECode.OTHER, why)]
    assert not found.ednsflags and found.payload == 1232
    plain = await server.ask(dns.message.make_query(f"{name}.{Z}", rdtype))
    assert plain.edns == -1


async def test_answers_and_peers_say_nothing(registry: Any, serve: Any) -> None:
    server = await serve(COREFILE.replace("OPTIONS\n", ""))
    for name, rdtype in ((f"web.default.svc.{Z}", "A"), (Z, "A"), ("9.9.9.9.in-addr.arpa.", "PTR")):
        assert not (await server.ask(dns.message.make_query(name, rdtype, use_edns=0))).options
    off = await serve(COREFILE.replace("OPTIONS", "extended_errors off"))
    assert not (await off.ask(dns.message.make_query(f"no.default.svc.{Z}", "A", use_edns=0))).options
