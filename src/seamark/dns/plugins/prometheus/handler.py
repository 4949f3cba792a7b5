"""Counts queries and answers of its server block and serves all metrics on /metrics."""

from __future__ import annotations

import dns.flags
import dns.rcode
import dns.rdatatype

from seamark.dns.host import HttpAnswer, Site
from seamark.dns.metrics import CONTENT_TYPE, type_label
from seamark.dns.plugin import Answer, Next, Query
from seamark.dns.plugins.prometheus.config import Config
from seamark.dns.wire.render import MAX_TCP, render

VIEW = ""


class Prometheus:
    name = "prometheus"

    def __init__(self, config: Config, site: Site) -> None:
        self._site = site
        self._metrics = site.host.metrics
        self._clock = site.host.clock
        site.http[config.address, "/metrics"] = self._answer

    async def start(self) -> None:
        for name, _ in self._site.plugins:
            for key in self._site.keys:
                self._metrics.plugin_enabled.labels(f"dns://:{key.port}", key.zone, VIEW, name).set(1)

    async def serve(self, query: Query, following: Next) -> Answer:
        answer = await following(query)
        zone = query.zone.to_text()
        labels = (query.server, zone, VIEW)
        metrics = self._metrics
        family = "2" if ":" in query.client else "1"
        kind = type_label(dns.rdatatype.to_text(query.rdtype))
        metrics.requests.labels(*labels, query.protocol, family, kind).inc()
        if query.message.edns >= 0 and query.message.ednsflags & dns.flags.DO:
            metrics.do_requests.labels(*labels).inc()
        metrics.duration.labels(*labels).observe(self._clock.monotonic() - query.received)
        metrics.request_size.labels(*labels, query.protocol).observe(query.size)
        if answer.message is not None:
            size = len(render(answer.message, MAX_TCP, None))
            metrics.response_size.labels(*labels, query.protocol).observe(size)
        metrics.responses.labels(*labels, dns.rcode.to_text(answer.rcode), answer.by).inc()
        return answer

    def _answer(self) -> HttpAnswer:
        return 200, CONTENT_TYPE, self._metrics.text()


def make(config: Config, site: Site) -> Prometheus:
    return Prometheus(config, site)
