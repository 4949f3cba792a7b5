"""Keeps answers of the plugins behind it.

Answers of ``kubernetes`` and ``k8s_external`` are not kept: their table answers as fast, and a change must be seen at
once. What others answered for a name inside its zones (through fallthrough) is dropped as soon as the table changes.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from dataclasses import dataclass

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
from prometheus_client import Counter

from seamark.dns.corefile.keys import match_zone
from seamark.dns.host import Site
from seamark.dns.plugin import Answer, Next, Query
from seamark.dns.plugins.cache.config import Config
from seamark.dns.plugins.cache.items import Item, Key, bounded, compute_ttl, key_of, respelled, select_kind, with_ttl
from seamark.dns.reply import reply_to
from seamark.dns.waiting import within

TRANSFERS = (dns.rdatatype.AXFR, dns.rdatatype.IXFR)
QR, AD, DO = int(dns.flags.QR), int(dns.flags.AD), int(dns.flags.DO)
KEPT = int(dns.flags.AA | dns.flags.RA | dns.flags.AD) | 0xF
"""Of a kept answer: flags, and the rcode."""
ASKED = int(dns.flags.RD | dns.flags.CD)
FRESH = frozenset({"kubernetes", "k8s_external"})


class Cache:
    name = "cache"

    def __init__(self, config: Config, site: Site) -> None:
        self._config = config
        self._site = site
        self._clock = site.host.clock
        self._metrics = site.host.metrics
        self._items: dict[str, OrderedDict[Key, Item]] = {"success": OrderedDict(), "denial": OrderedDict()}
        self._labels = (",".join(config.zones), site.view)
        self._counters: dict[tuple[Counter, str, tuple[str, ...]], Counter] = {}
        self._refreshes: set[asyncio.Task[Answer]] = set()

    async def stop(self) -> None:
        for task in self._refreshes:
            task.cancel()

    async def serve(self, query: Query, following: Next) -> Answer:
        name = query.text
        if query.message.opcode() != dns.opcode.QUERY or match_zone(self._config.zones, name) is None:
            return await following(query)
        self._counter(self._metrics.cache_requests, query.server).inc()
        key = key_of(query.message, query.name, query.rdtype)
        now = self._clock.monotonic()
        item = self._find(key, name, now)
        if item is None:
            self._counter(self._metrics.cache_misses, query.server).inc()
            return await self._fetch(query, following, key)
        if item.left(now) <= 0:
            return await self._stale(query, following, key, item)
        self._count_hit(query, item.kind)
        if self._wants_prefetch(item, now):
            self._refresh(query, following, key, item)
        ttl = self._ttl(item, now)
        answer = self._answer(query, item, ttl)
        if not self._config.prefetch.amount:  # it wants to see every hit
            answer.lasting = _Hit(self, key, query.text, item, ttl)
        return answer

    def again(self, query: Query, answer: Answer) -> None:
        """Counts an answer that was given without asking here: one of ours, or of the table."""
        self._counter(self._metrics.cache_requests, query.server).inc()
        if isinstance(answer.lasting, _Hit):
            self._count_hit(query, answer.lasting.item.kind)
        else:
            self._counter(self._metrics.cache_misses, query.server).inc()

    def _count_hit(self, query: Query, kind: str) -> None:
        self._counter(self._metrics.cache_hits, query.server, _counted(kind)).inc()

    def _ttl(self, item: Item, now: float) -> int:
        return item.ttl if self._config.keepttl else item.left(now)

    def would_give(self, hit: _Hit) -> bool:
        """Whether the question would get the same item with the same TTL now."""
        now, item = self._clock.monotonic(), hit.item
        found = self._find(hit.key, hit.name, now)
        return found is item and item.left(now) > 0 and self._ttl(item, now) == hit.ttl

    def _counter(self, metric: Counter, server: str, *kind: str) -> Counter:
        """With its labels, looked up once."""
        found = self._counters.get((metric, server, kind))
        if found is None:
            found = self._counters[metric, server, kind] = metric.labels(server, *kind, *self._labels)
        return found

    def _find(self, key: Key, name: str, now: float) -> Item | None:
        """A success is preferred to a SERVFAIL, which passes."""
        found = [item for items in (self._items["denial"], self._items["success"]) if (item := items.get(key))]
        version = self._version(name)
        usable = [i for i in found if i.version == version and i.left(now) > -self._config.stale.seconds]
        usable = [i for i in usable if i.kind != "servfail" or i.left(now) > 0]
        prefers = self._config.stale.prefers_positive
        usable.sort(key=lambda item: (prefers and not item.answers, item.kind == "servfail"))
        return usable[0] if usable else None

    def _version(self, name: str) -> int:
        """The state of the tables that may answer ``name`` themselves one day."""
        handlers = (handler for _, handler in self._site.plugins if hasattr(handler, "table_version"))
        return sum(handler.table_version(name) for handler in handlers)

    async def _fetch(self, query: Query, following: Next, key: Key) -> Answer:
        version = self._version(query.text)
        answer = await following(query)
        if answer.message is None:
            if answer.error and answer.rcode == dns.rcode.SERVFAIL:
                self._keep(query, key, reply_to(query.message, dns.rcode.SERVFAIL), version)
            return answer
        if query.rdtype in TRANSFERS:
            return answer
        if answer.by in FRESH and not self._site.host.as_coredns:
            answer.message = bounded(answer.message, self._config)
            return answer
        if not _fits(query, answer.message):
            self._metrics.cache_drops.labels(query.server, *self._labels).inc()
            return answer
        item = self._keep(query, key, answer.message, version)
        if item is not None:
            answer.message = with_ttl(answer.message, item.ttl)
        return answer

    def _keep(self, query: Query, key: Key, message: dns.message.Message, version: int) -> Item | None:
        """Stores what may be stored; an excepted zone still gets the bounded TTL."""
        kind = select_kind(message)
        if kind is None:
            return None
        ttl = compute_ttl(message, kind, self._config)
        if ttl <= 0:
            return None
        item = Item(with_ttl(message, ttl), kind, ttl, self._clock.monotonic(), version)
        bounds = self._config.success if kind == "success" else self._config.denial
        if match_zone(bounds.excepted, query.text) is not None:
            return item
        items = self._items[_counted(kind)]
        if self._config.stale.prefers_positive and kind == "success" and not item.answers and key in items:
            return item  # an answer that is none does not put one aside
        items[key] = item
        items.move_to_end(key)
        if kind == "success":
            self._items["denial"].pop(key, None)
        if len(items) > bounds.capacity:
            items.popitem(last=False)
            self._metrics.cache_evictions.labels(query.server, _counted(kind), *self._labels).inc()
        self._metrics.cache_entries.labels(query.server, _counted(kind), *self._labels).set(len(items))
        return item

    async def _stale(self, query: Query, following: Next, key: Key, item: Item) -> Answer:
        """After its end: given at once and fetched anew meanwhile, or (verify) only if that fails or takes too long."""
        stale, now = self._config.stale, self._clock.monotonic()
        waits = bool(stale.recheck) and (item.refreshing or now < item.recheck_at)
        if stale.verify and not waits:
            answer = await self._verified(query, following, key, item)
            if answer is not None:
                return answer
        elif not waits:
            self._refresh(query, following, key, item)
        self._metrics.cache_stale.labels(query.server, *self._labels).inc()
        return self._answer(query, item, stale.ttl)

    async def _verified(self, query: Query, following: Next, key: Key, item: Item) -> Answer | None:
        """What upstream says now, None if that is of no use; what comes too late is kept for the next."""
        stale = self._config.stale
        item.refreshing = True
        asking = asyncio.ensure_future(self._again(query, following, key, item))
        self._refreshes.add(asking)
        asking.add_done_callback(self._refreshes.discard)
        try:
            whole = asyncio.shield(asking)
            answer = await (within(self._clock, stale.timeout, whole) if stale.timeout else whole)
        except TimeoutError:
            return None
        useful = answer.rcode in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)
        if stale.prefers_positive and item.answers:
            useful = answer.message is not None and bool(answer.message.answer)
        return answer if useful else None

    def _wants_prefetch(self, item: Item, now: float) -> bool:
        wanted = self._config.prefetch
        if not wanted.amount:
            return False
        hits = item.hit(now, wanted.period)
        return hits >= wanted.amount and item.left(now) <= math.ceil(wanted.percent / 100 * item.ttl)

    def _refresh(self, query: Query, following: Next, key: Key, item: Item) -> None:
        """In the background, once at a time."""
        if item.refreshing:
            return
        item.refreshing = True
        self._metrics.cache_prefetches.labels(query.server, *self._labels).inc()
        task = asyncio.get_running_loop().create_task(self._again(query, following, key, item))
        self._refreshes.add(task)
        task.add_done_callback(self._refreshes.discard)

    async def _again(self, query: Query, following: Next, key: Key, item: Item) -> Answer:
        """Fetches; one that fails is not tried again for a while."""
        try:
            answer = await self._fetch(query, following, key)
        finally:
            item.refreshing = False
        if answer.rcode not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            item.recheck_at = self._clock.monotonic() + self._config.stale.recheck
        for items in self._items.values():
            if key in items and items[key] is not item:
                items[key].hits, items[key].last_hit = item.hits, item.last_hit
        return answer

    def _answer(self, query: Query, item: Item, ttl: int) -> Answer:
        message = with_ttl(item.message, ttl)
        if not self._site.host.as_coredns:
            message = respelled(message, query.name)
        message.id = query.message.id
        kept, asked = int(item.message.flags) & KEPT, int(query.message.flags)
        if not (asked & AD or query.message.ednsflags & DO):
            kept &= ~AD
        message.flags = dns.flags.Flag(QR | kept | asked & ASKED)
        message.question = list(query.message.question)
        return Answer(item.message.rcode(), message, self.name)


@dataclass(frozen=True, slots=True)
class _Hit:
    """What a question was given; as ``Answer.lasting`` it tells whether that still holds."""

    cache: Cache
    key: Key
    name: str
    item: Item
    ttl: int

    def __call__(self) -> bool:
        return self.cache.would_give(self)


def _counted(kind: str) -> str:
    return "success" if kind == "success" else "denial"


def _fits(query: Query, message: dns.message.Message) -> bool:
    asked = message.question[0] if message.question else None
    return asked is not None and asked.name == query.name and asked.rdtype == query.rdtype


def make(config: Config, site: Site) -> Cache:
    return Cache(config, site)
