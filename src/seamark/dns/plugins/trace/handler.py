"""A span for the query and one for each plugin it goes through."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import dns.rcode
import dns.rdatatype

from seamark.dns.host import Site
from seamark.dns.plugin import Answer, Next, Plugin, Query
from seamark.dns.plugins.trace.config import Config
from seamark.dns.plugins.trace.reporter import Reporter, Span

TRACE_ID = "trace/traceid"


class Trace:
    name = "trace"

    def __init__(self, config: Config, site: Site) -> None:
        self._config = config
        self._host = site.host
        self._reporter = Reporter(config, site.host)
        self._task: asyncio.Task[None] | None = None
        self._seen = -1

    async def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._reporter.run())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
        await self._reporter.close()

    async def serve(self, query: Query, following: Next) -> Answer:
        self._seen += 1
        if self._seen % self._config.every:
            return await following(query)
        trace = _Trace(self, f"{self._host.random.getrandbits(128):032x}")
        query.trace = trace
        query.metadata[TRACE_ID] = lambda: trace.identity
        span = trace.open("servedns")
        try:
            answer = await following(query)
        finally:
            trace.close(span)
            query.trace = None
        span["kind"] = "SERVER"
        span["tags"] = {
            "coredns.io/name": query.text,
            "coredns.io/type": dns.rdatatype.to_text(query.rdtype),
            "coredns.io/rcode": dns.rcode.to_text(answer.rcode),
            "coredns.io/proto": query.protocol,
            "coredns.io/remote": query.client,
        }
        self._reporter.add(trace.spans)
        return answer

    def around(self, plugin: Plugin) -> Plugin:
        """The plugin, with a span for what it does."""
        return _Traced(plugin)

    def metadata(self, query: Query) -> dict[str, Callable[[], str]]:
        return {TRACE_ID: query.metadata.get(TRACE_ID, str)}

    def span(self, trace: str, parent: str, name: str) -> Span:
        found: Span = {
            "traceId": trace,
            "id": f"{self._host.random.getrandbits(64) or 1:016x}",
            "name": name,
            "timestamp": int(self._host.clock.time() * 1e6),
            "localEndpoint": {"serviceName": self._config.service},
        }
        return found | ({"parentId": parent} if parent else {})

    def now(self) -> int:
        """Microseconds of Unix time."""
        return int(self._host.clock.time() * 1e6)


class _Trace:
    """The spans of one query; those that are open stand in one another."""

    def __init__(self, by: Trace, identity: str) -> None:
        self._by = by
        self.identity = identity
        self.spans: list[Span] = []
        self._open: list[str] = []

    def open(self, name: str) -> Span:
        span = self._by.span(self.identity, self._open[-1] if self._open else "", name)
        self._open.append(span["id"])
        self.spans.append(span)
        return span

    def close(self, span: Span) -> None:
        self._open.pop()
        span["duration"] = max(1, self._by.now() - span["timestamp"])


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


def make(config: Config, site: Site) -> Trace:
    return Trace(config, site)
