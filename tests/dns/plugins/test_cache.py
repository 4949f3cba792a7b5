"""Plugin cache: what is kept, for how long, and what is not."""

from __future__ import annotations

import asyncio
from typing import Any

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from seamark.dns.corefile.parser import parse_corefile
from seamark.dns.host import Host, Site
from seamark.dns.plugin import Answer, Query
from seamark.dns.plugins.cache.handler import Cache, make
from seamark.dns.reply import failed, reply_to
from seamark.dns.server.instance import parse_server
from seamark.testing.clock import FakeClock, settle

SOA = ("example.", 60, "IN", "SOA", "ns.example. h.example. 1 1 1 1 20")


class Behind:
    """The plugin behind: answers what it is told and counts."""

    def __init__(self) -> None:
        self.asked = 0
        self.rcode = dns.rcode.NOERROR
        self.records: list[tuple[Any, ...]] = [("a.example.", 300, "IN", "A", "10.0.0.1")]
        self.authority: list[tuple[Any, ...]] = []
        self.flags = 0
        self.by = "forward"
        self.silent = ""
        self.slow: asyncio.Event | None = None

    async def __call__(self, query: Query) -> Answer:
        self.asked += 1
        if self.slow is not None:
            await self.slow.wait()
        if self.silent:
            return failed("forward", self.silent)
        message = reply_to(query.message, self.rcode)
        message.flags |= self.flags
        message.answer = [dns.rrset.from_text(*record) for record in self.records]
        message.authority = [dns.rrset.from_text(*record) for record in self.authority]
        return Answer(self.rcode, message, self.by)


class Tables:
    """Stands for the plugin kubernetes."""

    version = 1

    def table_version(self, name: str) -> int:
        return self.version if name.endswith("example.") else 0


@pytest.fixture
def behind() -> Behind:
    return Behind()


@pytest.fixture
def make_cache(host: Host) -> Any:
    def build(text: str = "cache") -> Cache:
        corefile = parse_corefile(f". {{\n{text}\n}}\n", file="C", environment={})
        return make(parse_server(corefile)[0].plugins[0][1], Site(host, plugins=[("kubernetes", Tables())]))

    return build


async def ask(cache: Cache, behind: Behind, name: str = "a.example.", qtype: str = "A", **options: Any) -> Answer:
    message = dns.message.make_query(name, qtype, **options)
    parsed = dns.name.from_text(name)
    query = Query(
        message, parsed, message.question[0].rdtype, "192.0.2.7", "udp", dns.name.root, 0.0, server="dns://:53"
    )
    return await cache.serve(query, behind)


def ttls(answer: Answer) -> set[int]:
    assert answer.message is not None
    return {rrset.ttl for section in (answer.message.answer, answer.message.authority) for rrset in section}


async def test_an_answer_is_kept_and_its_ttl_runs_down(make_cache: Any, behind: Behind, clock: FakeClock) -> None:
    cache = make_cache()
    assert ttls(await ask(cache, behind)) == {300}
    await clock.advance(100)
    again = await ask(cache, behind)
    assert ttls(again) == {200}
    assert again.by == "cache"
    await clock.advance(199.5)
    assert ttls(await ask(cache, behind)) == {1}
    await clock.advance(1)
    assert ttls(await ask(cache, behind)) == {300}
    assert behind.asked == 2


@pytest.mark.parametrize(
    ("text", "given", "ttl"),
    [
        ("cache 30", 300, 30),
        ("cache 30", 7, 7),
        ("cache", 1, 5),
        ("cache 3", 1, 3),
        ("cache {\nsuccess 10 60 0\n}", 1, 1),
        ("cache", 100000, 3600),
    ],
)
async def test_the_ttl_has_bounds_on_the_miss_path_too(
    text: str, given: int, ttl: int, make_cache: Any, behind: Behind
) -> None:
    behind.records = [("a.example.", given, "IN", "A", "10.0.0.1"), ("b.example.", 5000, "IN", "A", "10.0.0.1")]
    cache = make_cache(text)
    assert ttls(await ask(cache, behind)) == {ttl}
    assert ttls(await ask(cache, behind)) == {ttl}
    assert behind.asked == 1


async def test_a_denial_is_kept_for_the_minimum_of_its_soa(make_cache: Any, behind: Behind, clock: FakeClock) -> None:
    behind.records, behind.authority, behind.rcode = [], [SOA], dns.rcode.NXDOMAIN
    cache = make_cache()
    first = await ask(cache, behind)
    assert ttls(first) == {20}
    await clock.advance(19)
    assert (await ask(cache, behind)).rcode == dns.rcode.NXDOMAIN
    await clock.advance(1)
    await ask(cache, behind)
    assert behind.asked == 2


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        pytest.param({"flags": dns.flags.TC}, "cache", id="truncated"),
        pytest.param({"rcode": dns.rcode.NXDOMAIN, "records": []}, "cache", id="NXDOMAIN without SOA"),
        pytest.param({"rcode": dns.rcode.REFUSED, "records": []}, "cache", id="REFUSED"),
        pytest.param(
            {"records": [("a.example.", 300, "IN", "CNAME", "b.example.")]}, "cache", id="an alias that ends nowhere"
        ),
        pytest.param({"by": "kubernetes"}, "cache", id="kubernetes"),
        pytest.param({}, "cache other.", id="another zone"),
        pytest.param({}, "cache {\ndisable success example\n}", id="disabled"),
        pytest.param({"silent": "no"}, "cache {\nservfail 0\n}", id="failures, when told so"),
    ],
)
async def test_what_is_not_kept(changes: dict[str, Any], text: str, make_cache: Any, behind: Behind) -> None:
    for field, value in changes.items():
        setattr(behind, field, value)
    cache = make_cache(text)
    await ask(cache, behind)
    await ask(cache, behind)
    assert behind.asked == 2


async def test_keys_are_name_type_do_and_cd(make_cache: Any, behind: Behind) -> None:
    cache = make_cache()
    await ask(cache, behind)
    answer = await ask(cache, behind, "A.EXAMPLE.")
    assert behind.asked == 1
    assert answer.message is not None and answer.message.question[0].name.to_text() == "A.EXAMPLE."
    await ask(cache, behind, qtype="AAAA")
    await ask(cache, behind, want_dnssec=True)
    await ask(cache, behind, flags=dns.flags.RD | dns.flags.CD)
    assert behind.asked == 4


async def test_a_failure_is_kept_for_five_seconds(make_cache: Any, behind: Behind, clock: FakeClock) -> None:
    behind.silent = "no healthy proxies"
    cache = make_cache()
    assert (await ask(cache, behind)).error
    await clock.advance(4)
    assert (await ask(cache, behind)).rcode == dns.rcode.SERVFAIL
    assert behind.asked == 1
    await clock.advance(1)
    behind.silent = ""
    assert (await ask(cache, behind)).rcode == dns.rcode.NOERROR


async def test_the_bits_of_the_answer_are_kept_and_those_of_the_query_repeated(make_cache: Any, behind: Behind) -> None:
    behind.flags = dns.flags.RA | dns.flags.AA | dns.flags.AD
    cache = make_cache()
    await ask(cache, behind)
    plain = (await ask(cache, behind)).message
    assert plain is not None and plain.flags == dns.flags.QR | dns.flags.RD | dns.flags.RA | dns.flags.AA
    asked_ad = (await ask(cache, behind, flags=dns.flags.AD)).message
    assert asked_ad is not None and asked_ad.flags & dns.flags.AD and not asked_ad.flags & dns.flags.RD


async def test_the_oldest_makes_room(make_cache: Any, behind: Behind, host: Host) -> None:
    cache = make_cache("cache {\nsuccess 2\n}")
    for name in ("a.example.", "b.example.", "c.example.", "a.example."):
        behind.records = [(name, 300, "IN", "A", "10.0.0.1")]
        await ask(cache, behind, name)
    assert behind.asked == 4
    assert 'coredns_cache_evictions_total{server="dns://:53",type="success",view="",zones="."} 2.0' in (
        host.metrics.text().decode()
    )


async def test_a_change_of_the_table_ends_what_others_said(make_cache: Any, behind: Behind, host: Host) -> None:
    cache = make_cache()
    tables = cache._site.plugins[0][1]
    await ask(cache, behind)
    tables.version = 2
    await ask(cache, behind)
    assert behind.asked == 2


async def test_stale_answers_have_no_ttl_and_are_fetched_anew(
    make_cache: Any, behind: Behind, clock: FakeClock
) -> None:
    cache = make_cache("cache {\nserve_stale 1h\n}")
    await ask(cache, behind)
    await clock.advance(400)
    behind.records = [("a.example.", 50, "IN", "A", "10.0.0.2")]
    assert ttls(await ask(cache, behind)) == {0}
    await settle()
    assert ttls(await ask(cache, behind)) == {50}
    assert behind.asked == 2
    await clock.advance(4000)
    assert ttls(await ask(cache, behind)) == {50}


async def test_stale_answers_that_are_verified_first(make_cache: Any, behind: Behind, clock: FakeClock) -> None:
    cache = make_cache("cache {\nserve_stale 1h verify\n}")
    await ask(cache, behind)
    await clock.advance(400)
    behind.silent = "down"
    assert ttls(await ask(cache, behind)) == {0}
    await clock.advance(6)
    behind.silent = ""
    assert ttls(await ask(cache, behind)) == {300}


async def test_a_slow_verification_is_not_waited_for(make_cache: Any, behind: Behind, clock: FakeClock) -> None:
    cache = make_cache("cache {\nserve_stale 1h verify 100ms 30s\n}")
    await ask(cache, behind)
    await clock.advance(400)
    behind.slow = asyncio.Event()
    behind.records = [("a.example.", 50, "IN", "A", "10.0.0.2")]
    asking = asyncio.ensure_future(ask(cache, behind))
    await settle()
    assert not asking.done()
    await clock.advance(0.1)
    assert ttls(await asking) == {30}
    behind.slow.set()
    await settle()
    assert ttls(await ask(cache, behind)) == {50}, "what came too late is there for the next"
    assert behind.asked == 2


@pytest.mark.parametrize("mode", ["immediate 30s 10s", "verify 0 30s 10s"])
async def test_a_refresh_that_failed_is_not_tried_again_for_a_while(
    mode: str, make_cache: Any, behind: Behind, clock: FakeClock
) -> None:
    cache = make_cache(f"cache {{\nservfail 0\nserve_stale 1h {mode}\n}}")
    await ask(cache, behind)
    await clock.advance(400)
    behind.silent = "down"
    for _ in range(3):
        assert ttls(await ask(cache, behind)) == {30}
        await settle()
    assert behind.asked == 2
    await clock.advance(10)
    assert ttls(await ask(cache, behind)) == {30}
    await settle()
    assert behind.asked == 3


@pytest.mark.parametrize(("policy", "expected"), [("", {20}), ("serve_stale_policy prefer_positive", {0})])
async def test_an_answer_is_preferred_to_a_denial_where_that_is_wanted(
    policy: str, expected: set[int], make_cache: Any, behind: Behind, clock: FakeClock
) -> None:
    cache = make_cache(f"cache {{\nserve_stale 1h\n{policy}\n}}")
    await ask(cache, behind)
    await clock.advance(400)
    behind.rcode, behind.records, behind.authority = dns.rcode.NXDOMAIN, [], [SOA]
    await ask(cache, behind)
    await settle()
    assert ttls(await ask(cache, behind)) == expected


async def test_what_is_asked_often_is_fetched_before_it_ends(make_cache: Any, behind: Behind, clock: FakeClock) -> None:
    cache = make_cache("cache {\nprefetch 2 10m 20%\n}")
    await ask(cache, behind)
    await ask(cache, behind)
    await clock.advance(241)
    assert ttls(await ask(cache, behind)) == {59}
    await settle()
    assert behind.asked == 2
    assert ttls(await ask(cache, behind)) == {300}


async def test_keepttl(make_cache: Any, behind: Behind, clock: FakeClock) -> None:
    cache = make_cache("cache {\nkeepttl\n}")
    await ask(cache, behind)
    await clock.advance(100)
    assert ttls(await ask(cache, behind)) == {300}
