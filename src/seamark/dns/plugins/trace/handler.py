"""A span for the query and one for each plugin it goes through."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address

import dns.rcode
import dns.rdatatype

from seamark.dns.carried import HTTP_HEADERS
from seamark.dns.host import Site
from seamark.dns.plugin import Answer, Next, Plugin, Query
from seamark.dns.plugins.trace.b3 import Carried, parse_b3
from seamark.dns.plugins.trace.config import DATADOG, Config
from seamark.dns.plugins.trace.reporter import Reporter
from seamark.dns.plugins.trace.spans import Service, Span

TRACE_ID = "trace/traceid"
NOBODY = Carried()


class Trace:
    name = "trace"

    def __init__(self, config: Config, site: Site) -> None:
        self._config = config
        self._host = site.host
        self._site = site
        self._reporter = Reporter(config, site.host, _service(config, site))
        self._task: asyncio.Task[None] | None = None
        self._seen = 0

    async def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._reporter.run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
        await self._reporter.close()

    async def serve(self, query: Query, following: Next) -> Answer:
        self._seen += 1
        if not self._config.every or self._seen % self._config.every:
            return await following(query)
        carried = parse_b3(HTTP_HEADERS.get()) if self._config.kind != DATADOG else NOBODY
        trace = _Trace(self, carried.trace)
        query.trace = trace
        query.metadata[TRACE_ID] = lambda: trace.identity
        span = trace.root(carried, shared=self._config.client_server)
        answer = None
        try:
            answer = await following(query)
        finally:
            trace.close(span)
            query.trace = None
            self._tell(query, answer, span)
            if carried.sampled is not False:
                self._reporter.add(trace.spans)
        return answer

    def around(self, plugin: Plugin) -> Plugin:
        """The plugin, with a span for what it does."""
        return _Traced(plugin)

    def bits(self, count: int) -> str:
        return f"{self._host.random.getrandbits(count) or 1:0{count // 4}x}"

    def fresh(self) -> str:
        """The id of a trace, which its first span has as well; Datadog's begins with the time."""
        if self._config.kind == DATADOG:
            return f"{int(self._host.clock.time()):08x}00000000{self.bits(64)}"
        return self.bits(64)

    def now(self) -> int:
        """Nanoseconds of Unix time."""
        return int(self._host.clock.time() * 1e9)

    def _tell(self, query: Query, answer: Answer | None, span: Span) -> None:
        """What the query was, and what became of it; without an answer a plugin broke."""
        rcode = answer.rcode if answer is not None else dns.rcode.SERVFAIL
        span.error = answer.error if answer is not None else "the plugins failed"
        span.tags = {
            "name": query.text,
            "type": dns.rdatatype.to_text(query.rdtype),
            "rcode": dns.rcode.to_text(rcode),
            "proto": query.network,
            "remote": query.client,
        }


class _Trace:
    """The spans of one query; those that are open stand in one another."""

    def __init__(self, by: Trace, identity: str) -> None:
        self._by = by
        self.identity = identity or by.fresh()
        self.spans: list[Span] = []
        self._open: list[Span] = []

    def root(self, carried: Carried, *, shared: bool) -> Span:
        """Within the client's span, or the other end of it where it is ``shared``."""
        if not carried.trace:
            span = Span("servedns", self.identity, self.identity[-16:], self._by.now())
        elif shared:
            span = Span("servedns", self.identity, carried.span, self._by.now(), parent=carried.parent, shared=True)
        else:
            span = Span("servedns", self.identity, self._by.bits(64), self._by.now(), parent=carried.span)
        span.of_query, span.debug = True, carried.debug
        return self._begin(span)

    def open(self, name: str) -> Span:
        outer = self._open[-1]
        return self._begin(
            Span(name, self.identity, self._by.bits(64), self._by.now(), parent=outer.identity, debug=outer.debug)
        )

    def close(self, span: Span) -> None:
        self._open.pop()
        span.duration = max(1, self._by.now() - span.start)

    def _begin(self, span: Span) -> Span:
        self._open.append(span)
        self.spans.append(span)
        return span


class _Traced:
    def __init__(self, plugin: Plugin) -> None:
        self._plugin = plugin

    @property
    def name(self) -> str:
        return self._plugin.name

    async def serve(self, query: Query, following: Next) -> Answer:
        trace = query.trace
        if trace is None:
            return await self._plugin.serve(query, following)
        span = trace.open(self.name)
        try:
            return await self._plugin.serve(query, following)
        finally:
            trace.close(span)


def _service(config: Config, site: Site) -> Service:
    """With the address of plugin bind, which read it before."""
    try:
        address = str(ip_address(site.bind[0])) if site.bind else ""
    except ValueError:
        address = ""
    return Service(config.service, address, site.keys[0].port if address else 0)


def make(config: Config, site: Site) -> Trace:
    return Trace(config, site)
