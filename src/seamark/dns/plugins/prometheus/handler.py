"""Counts queries and answers of its server block and serves all metrics on /metrics."""

from __future__ import annotations

import ssl
from importlib import import_module
from pathlib import Path

import dns.flags
import dns.name
import dns.rcode
import dns.rdatatype
from prometheus_client import Counter

from seamark.dns.corefile.lexer import Token
from seamark.dns.host import HttpAnswer, Site
from seamark.dns.metrics import CONTENT_TYPE, OTHER, Metrics, type_label
from seamark.dns.plugin import Answer, Next, Query
from seamark.dns.plugins.prometheus.config import Config


class _OfZone:
    """The metrics of one server, zone, view and protocol, looked up once. ``labels``: the first three."""

    def __init__(self, metrics: Metrics, labels: tuple[str, str, str], protocol: str) -> None:
        self._metrics = metrics
        self._labels = labels
        self._protocol = protocol
        self._duration = metrics.duration.labels(*self._labels)
        self._request_size = metrics.request_size.labels(*self._labels, protocol)
        self._response_size = metrics.response_size.labels(*self._labels, protocol)
        self._requests: dict[tuple[bool, int], Counter] = {}
        self._responses: dict[tuple[int, str], Counter] = {}

    def count(self, query: Query, answer: Answer, by: str, seconds: float) -> None:
        """``by`` is the plugin that answered."""
        self._request_of(query).inc()
        if query.message.edns >= 0 and query.message.ednsflags & dns.flags.DO:
            self._metrics.do_requests.labels(*self._labels).inc()
        self._duration.observe(seconds)
        self._request_size.observe(query.size)
        self._response_of(answer.rcode, by).inc()
        answer.sent = self._response_size.observe

    def _request_of(self, query: Query) -> Counter:
        key = (":" in query.client, int(query.rdtype))
        found = self._requests.get(key)
        if found is None:
            kind = type_label(dns.rdatatype.to_text(query.rdtype))
            found = self._metrics.requests.labels(*self._labels, self._protocol, "2" if key[0] else "1", kind)
            if kind != OTHER:  # made-up types must not fill this dictionary either
                self._requests[key] = found
        return found

    def _response_of(self, rcode: dns.rcode.Rcode, by: str) -> Counter:
        key = (int(rcode), by)
        found = self._responses.get(key)
        if found is None:
            labels = (*self._labels, dns.rcode.to_text(rcode), by)
            found = self._responses[key] = self._metrics.responses.labels(*labels)
        return found


class Prometheus:
    name = "prometheus"

    def __init__(self, config: Config, site: Site) -> None:
        self._site = site
        self._metrics = site.host.metrics
        self._clock = site.host.clock
        self._as_coredns = site.host.as_coredns
        self._of_zone: dict[tuple[str, dns.name.Name, str], _OfZone] = {}
        site.http[config.address, "/metrics"] = self._answer
        if config.tls is not None:
            site.http_tls[config.address] = _secured(config.tls)

    async def start(self) -> None:
        for name, _ in (plugin for plugin in self._site.plugins if hasattr(plugin[1], "serve")):
            for at in self._site.listeners:
                for key in self._site.keys:
                    if (key.port, key.transport) == (at.port, at.transport):
                        self._metrics.plugin_enabled.labels(at.label, key.zone, self._site.view, name).set(1)

    async def serve(self, query: Query, following: Next) -> Answer:
        answer = await following(query)
        self.again(query, answer)
        return answer

    def again(self, query: Query, answer: Answer) -> None:
        """Counts one answer."""
        labels = (query.server, query.zone, query.protocol)
        found = self._of_zone.get(labels)
        if found is None:
            block = (query.server, query.zone.to_text(), self._site.view)
            found = self._of_zone[labels] = _OfZone(self._metrics, block, query.network)
        by = self._first_behind(answer) if self._as_coredns else answer.by
        found.count(query, answer, by, self._clock.monotonic() - query.received)

    def _first_behind(self, answer: Answer) -> str:
        """What CoreDNS calls the plugin that answered: the one it asked itself, none where the server has to write."""
        if answer.message is None:
            return ""
        names = [name for name, handler in self._site.plugins if hasattr(handler, "serve")]
        return next(iter(names[names.index(self.name) + 1 :]), "")

    def _answer(self) -> HttpAnswer:
        return 200, CONTENT_TYPE, self._metrics.text()


def _secured(file: Token) -> ssl.SSLContext | None:
    """Raises CorefileError."""
    read_web = import_module("seamark.dns.plugins.prometheus.web").read_web  # YAML is for few
    try:
        found: ssl.SSLContext | None = read_web(Path(file.text))
    except (OSError, ValueError) as error:
        raise file.error(f"prometheus: '{file.text}' cannot be used: {error}") from error
    return found


def make(config: Config, site: Site) -> Prometheus:
    return Prometheus(config, site)
