"""``explain dns`` against the API: the walk, the object behind each record, and what would mend a name."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from seamark.client.client import Client
from seamark.compile.resolvconf import ResolvConf
from seamark.dns.corefile.parser import parse_corefile
from seamark.dns.host import Host
from seamark.explain.dns import Explanation, Question, serving
from seamark.machinery.gvr import ENDPOINTSLICES, NAMESPACES, PODS, SERVICES
from seamark.machinery.wire import ADMIN_GROUP, Identity
from seamark.testing.clock import FakeClock, settle

COREFILE = """.:53 {
    errors
    kubernetes cluster.local in-addr.arpa {
        pods insecure
    }
    hosts /nonexistent {
        192.0.2.44 known.example
        fallthrough
    }
    cache 30
    forward . 192.0.2.53 {
        except nowhere.example
    }
    loadbalance
}
"""
ADMIN = Identity("admin", (ADMIN_GROUP,))
POD = ResolvConf(("default.svc.cluster.local", "svc.cluster.local", "cluster.local"), options=("ndots:5",))


@pytest.fixture
def explain(client: Client, client_for: Any, clock: FakeClock) -> Any:
    async def run(name: str, rdtype: str = "") -> Explanation:
        host = Host(clock=clock, environment={}, random=random.Random(1), connect=lambda config: client_for(ADMIN))
        found = serving(parse_corefile(COREFILE, file="C", environment={}), host)
        starting = asyncio.ensure_future(found.__aenter__())
        await settle(200)
        explainer = await starting
        try:
            return await explainer.explain(name, rdtype, conf=POD, client="192.0.2.1", api=client)
        finally:
            await found.__aexit__(None, None, None)

    return run


@pytest.fixture
async def web(client: Client) -> None:
    await client.create(NAMESPACES, {"metadata": {"name": "shop"}})
    spec = {"ports": [{"name": "http", "port": 80}], "selector": {"app": "web"}}
    await client.create(SERVICES, {"metadata": {"name": "web", "namespace": "shop"}, "spec": spec})


def last(found: Explanation, walk: int = 0) -> list[Question]:
    return found.walks[walk].steps[-1][1]


async def test_each_record_has_its_object_with_revision_and_age(explain: Any, web: None, clock: FakeClock) -> None:
    await clock.advance(90)
    found = await explain("web.shop")
    glibc, musl = found.walks
    assert [step.name for step, _ in glibc.steps] == [
        "web.shop.default.svc.cluster.local.",
        "web.shop.svc.cluster.local.",
    ]
    assert (glibc.result, musl.result) == ("found", "found")
    a, aaaa = last(found)
    ((record, origin),) = a.records
    assert record.startswith("web.shop.svc.cluster.local. 5 IN A 10.")
    assert (origin.kind, origin.namespace, origin.name) == ("Service", "shop", "web")
    assert origin.resource_version.isdecimal()
    assert found.now - found.written[origin] == pytest.approx(90, abs=1)
    assert (aaaa.outcome, aaaa.block) == ("nodata", "dns://.:53")
    assert aaaa.reasons == ["Service shop/web has no AAAA record here; it has: A, SRV"]


async def test_each_slice_is_told_behind_its_own_records(explain: Any, client: Client) -> None:
    spec = {"clusterIP": "None", "ports": [{"port": 80}], "selector": {"app": "db"}}
    await client.create(SERVICES, {"metadata": {"name": "db", "namespace": "default"}, "spec": spec})
    for name, address in (("one", "10.244.1.5"), ("two", "10.244.2.5")):
        labels = {"kubernetes.io/service-name": "db"}
        body = {"addressType": "IPv4", "endpoints": [{"addresses": [address]}], "ports": []}
        meta = {"name": name, "namespace": "default", "labels": labels}
        await client.create(ENDPOINTSLICES, {"metadata": meta, **body})
    found = await explain("db", "A")
    ((question,),) = (questions for _, questions in found.walks[0].steps)
    assert {record.rsplit(" ", 1)[1]: origin.name for record, origin in question.records} == {
        "10.244.1.5": "one",
        "10.244.2.5": "two",
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("web", "Service web exists in namespace shop: ask for web.shop"),
        ("web.shopp", "namespace shopp does not exist; there is shop"),
        ("webb.shop", "there is no Service shop/webb; did you mean web?"),
        (
            "www.example.com",
            "3 names are asked for in vain before www.example.com.: write www.example.com. with a final dot, "
            "or give the pod dnsConfig with ndots:2",
        ),
        ("web.shop", "no pod of namespace shop has the labels app=web: create some, or correct the selector"),
    ],
)
async def test_what_would_mend_it(name: str, expected: str, explain: Any, web: None) -> None:
    assert expected in (await explain(name)).mend


async def test_pods_that_are_not_ready_are_named(explain: Any, web: None, client: Client) -> None:
    meta = {"name": "web-1", "namespace": "shop", "labels": {"app": "web"}}
    made = await client.create(PODS, {"metadata": meta, "spec": {"containers": [{"name": "c", "image": "x"}]}})
    reason = {"type": "Ready", "status": "False", "reason": "ContainersNotReady", "message": "c: probe fails"}
    await client.update_status(PODS, {**made, "status": {"phase": "Running", "conditions": [reason]}})
    found = await explain("web.shop")
    assert "0 of 1 pods with app=web are ready" in found.mend
    assert "Pod shop/web-1 is not ready: ContainersNotReady c: probe fails" in found.mend


async def test_questions_go_through_block_and_plugins_and_never_out(explain: Any) -> None:
    outside = last(await explain("www.example.com.", "A"))[0]
    assert outside.plugins == [("forward", "would ask 192.0.2.53:53")]
    assert (outside.outcome, outside.upstreams) == ("outside", ("192.0.2.53:53",))
    known = last(await explain("known.example.", "A"))[0]
    assert known.plugins == [("hosts", "answers NOERROR")]
    excepted = last(await explain("x.nowhere.example.", "A"))[0]
    assert excepted.outcome == "servfail"
    assert excepted.reasons == ["plugin/forward: no next plugin found"]


async def test_musl_is_told_where_it_ends_before_glibc(explain: Any, web: None, client: Client) -> None:
    """An alias whose target has no such record is NODATA: musl searches no further."""
    spec = {"type": "ExternalName", "externalName": "missing.default.svc.cluster.local"}
    await client.create(SERVICES, {"metadata": {"name": "known", "namespace": "default"}, "spec": spec})
    found = await explain("known", "A")
    glibc, musl = found.walks
    assert (len(musl.steps), musl.result) == (1, "nodata")
    assert (len(glibc.steps), glibc.result) == (4, "outside")
