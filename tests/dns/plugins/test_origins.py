"""Who asked and what answered: ``log`` with class origin, and the count of searches that lead nowhere."""

from __future__ import annotations

from typing import Any

import dns.message
import pytest

from seamark.dns.listener import Listener
from seamark.dns.metrics import Metrics
from seamark.dns.plugins.kubernetes import wasted
from seamark.model.meta import ObjectKey

POD = "10.244.1.7"
TOTAL = "seamark_dns_wasted_search_queries_total"
COREFILE = """. {
    log . "{name} {rcode}" {
        class origin
    }
    kubernetes cluster.local in-addr.arpa {
        pods verified
    }
}
"""


@pytest.fixture
def registry(fake_api: Any) -> Any:
    fake_api.put("namespaces", {"metadata": {"name": "default"}})
    status = {"phase": "Running", "podIP": POD, "podIPs": [{"ip": POD}]}
    fake_api.put("pods", {"metadata": {"name": "asker", "namespace": "default"}, "status": status})
    spec = {"clusterIP": "10.96.0.5", "clusterIPs": ["10.96.0.5"]}
    fake_api.put("services", {"metadata": {"name": "web", "namespace": "default"}, "spec": spec})
    alias = {"type": "ExternalName", "externalName": "web.default.svc.cluster.local"}
    fake_api.put("services", {"metadata": {"name": "alias", "namespace": "default"}, "spec": alias})
    return fake_api


@pytest.mark.parametrize(
    ("name", "qtype", "client", "expected"),
    [
        ("web.default.svc.cluster.local.", "A", POD, "namespace=default pod=asker object=Service/default/web@103"),
        ("5.0.96.10.in-addr.arpa.", "PTR", POD, "namespace=default pod=asker object=Service/default/web@103"),
        (
            "alias.default.svc.cluster.local.",
            "A",
            POD,
            "namespace=default pod=asker object=Service/default/alias@104,Service/default/web@103",
        ),
        ("no.default.svc.cluster.local.", "A", POD, "namespace=default pod=asker object=-"),
        ("web.default.svc.cluster.local.", "A", "192.0.2.7", "namespace=- pod=- object=Service/default/web@103"),
        ("outside.example.", "A", POD, "namespace=default pod=asker object=-"),
    ],
)
async def test_log_tells_the_origin(
    name: str, qtype: str, client: str, expected: str, serve: Any, registry: Any
) -> None:
    server = await serve(COREFILE)
    await server.ask(dns.message.make_query(name, qtype), client=client)
    assert server.log[-1].endswith(f" {expected}")


def counted(server: Any) -> list[str]:
    text = server.core._host.metrics.text().decode()
    return [line.split("total")[1] for line in text.splitlines() if line.startswith(TOTAL)]


async def test_searches_that_lead_nowhere_are_counted_by_pod(serve: Any, registry: Any) -> None:
    server = await serve(". {\nkubernetes cluster.local {\npods verified\n}\n}\n")
    for suffix in ("default.svc.cluster.local.", "svc.cluster.local.", "cluster.local."):
        await server.ask(dns.message.make_query(f"www.example.com.{suffix}", "A"), client=POD)
    await server.ask(dns.message.make_query("www.example.com.", "A"), client=POD)
    await server.ask(dns.message.make_query("web.default.svc.cluster.local.", "A"), client=POD)
    await server.ask(dns.message.make_query("www.example.com.svc.cluster.local.", "A"), client="192.0.2.7")
    assert counted(server) == ['{namespace="default",pod="asker"} 3.0']
    again = dns.message.make_query("www.example.com.svc.cluster.local.", "A").to_wire()
    assert server.core.quick(Listener(53), again, f"::ffff:{POD}"), "known without a walk through the chain"
    assert counted(server) == ['{namespace="default",pod="asker"} 4.0']


def test_the_count_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wasted, "MAX_PODS", 2)
    metrics = Metrics()
    counts = wasted.WastedSearches(metrics, "cluster.local.")
    for name in ("a", "b", "a", "c"):
        counts.count(ObjectKey("x", name), "q.cluster.local.")
    counts.count(ObjectKey("x", "d"), "q.example.")
    counts.count(None, "q.cluster.local.")
    lines = [line for line in metrics.text().decode().splitlines() if line.startswith(TOTAL)]
    assert sorted(lines) == [
        'seamark_dns_wasted_search_queries_total{namespace="x",pod="a"} 2.0',
        'seamark_dns_wasted_search_queries_total{namespace="x",pod="c"} 1.0',
    ]
