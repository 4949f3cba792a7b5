"""A loaded Corefile: plugin configurations, handlers, chains, and which server block a question belongs to.

``parse_server`` does all that can go wrong with a Corefile before anything runs: it raises CorefileError with file,
line, column and word. ``Instance`` then makes handlers and chains; starting and stopping them is the process's.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any

import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from seamark.dns.corefile.keys import SECURED, ZoneKey, parse_key
from seamark.dns.corefile.lexer import Token
from seamark.dns.corefile.parser import Corefile, ServerBlock
from seamark.dns.host import DEFAULT_LIMITS, Host, HttpHandler, Limits, Site, Timeouts
from seamark.dns.listener import Listener
from seamark.dns.order import ORDER, REFUSED
from seamark.dns.plugin import Answer, Next, Plugin, Query
from seamark.dns.reply import failed, reply_to, requery
from seamark.dns.server.ports import Security
from seamark.dns.server.proxied import Proxied
from seamark.dns.server.remembered import Again, Remembered, counters
from seamark.dns.wire.render import raw_size

MAX_DEPTH = 8
SETTLING = 0.02
ALL_CLASSES = frozenset({"chaos", "forward"})
DS = dns.rdatatype.DS


@dataclass(frozen=True, slots=True)
class ParsedBlock:
    keys: tuple[ZoneKey, ...]
    plugins: tuple[tuple[str, Any], ...]
    """(name, configuration) in the order of ``order.py``."""


def parse_server(corefile: Corefile, *, default_port: int = 53) -> tuple[ParsedBlock, ...]:
    """Every server block with every plugin's configuration. Raises CorefileError."""
    taken: set[tuple[ZoneKey, str]] = set()
    found = []
    for block in corefile.blocks:
        keys = [(key, token) for token in block.keys for key in parse_key(token, default_port=default_port)]
        plugins = tuple(_parse_plugins(block, [key for key, _ in keys]))
        viewed = any(name == "view" for name, _ in plugins)
        hosts = [host for name, config in plugins if name == "bind" for host in config.hosts] or [""]
        for key, token in keys:
            for host in hosts:
                if viewed:
                    continue
                if (key, host) in taken:
                    raise token.error(f"'{token.text}': {key} is served by another server block already")
                taken.add((key, host))
        _check_tls(keys, plugins)
        found.append(ParsedBlock(tuple(key for key, _ in keys), plugins))
    return tuple(found)


def _check_tls(keys: Sequence[tuple[ZoneKey, Token]], plugins: Sequence[tuple[str, Any]]) -> None:
    """CoreDNS serves plain TCP at tls:// without certificates."""
    for key, token in keys:
        if key.transport in SECURED and not any(name == "tls" for name, _ in plugins):
            raise token.error(f"'{token.text}' needs the plugin tls with a certificate and a key")


def _parse_plugins(block: ServerBlock, keys: Sequence[ZoneKey]) -> Iterator[tuple[str, Any]]:
    zones = tuple(dict.fromkeys(key.zone for key in keys))
    by_name: dict[str, list[Any]] = {}
    for directive in block.directives:
        name = directive.name
        if name.text not in ORDER:
            raise name.error(f"unknown plugin '{name.text}'")
        if name.text in REFUSED:
            raise name.error(f"plugin '{name.text}' of CoreDNS is not part of Seamark: {REFUSED[name.text]}")
        module = import_module(f"seamark.dns.plugins.{name.text}.config")
        if name.text in by_name and not getattr(module, "MANY", False):
            raise name.error(f"plugin '{name.text}' may be used once per server block")
        by_name.setdefault(name.text, []).append(module.parse(replace(directive, zones=zones)))
    for known in ORDER:
        for config in by_name.get(known, ()):
            yield known, config


def chain(plugins: Sequence[Plugin]) -> Next | None:
    """One function through all plugins; None for none. The end of the chain is a failure of the last plugin."""
    following: Next | None = None
    for plugin in reversed(plugins):
        following = _step(plugin, following or _end(plugin.name))
    return following


def _step(plugin: Plugin, following: Next) -> Next:
    async def step(query: Query) -> Answer:
        return await plugin.serve(query, following)

    return step


def _end(name: str) -> Next:
    async def end(query: Query) -> Answer:
        return failed(name, "no next plugin found")

    return end


@dataclass(slots=True)
class Running:
    """One server block in service: its chain under one of its zones."""

    zone: dns.name.Name
    key: ZoneKey
    serve: Next | None
    again: tuple[Again, ...] | None = None
    """None: every question goes through the chain (``remembered``)."""
    takes: Callable[[Query], bool] | None = None
    """Whether a query is for this block (plugin view); None takes all."""


class Instance:
    """``serve`` is the server core without sockets: dispatch by longest zone, per port."""

    def __init__(
        self, blocks: Sequence[ParsedBlock], host: Host, *, wrap: Callable[[Plugin], Plugin] | None = None
    ) -> None:
        """``wrap`` puts something around each plugin that sees queries (explain)."""
        self.host = host
        self._wrap = wrap or _as_it_is
        self.sites: list[Site] = []
        self._zones: dict[Listener, dict[str, list[Running]]] = {}
        self._views: set[Listener] = set()
        self._proxied: dict[Listener, Proxied] = {}
        self._all_classes: set[Listener] = set()
        self.remembered = Remembered(host.clock)
        self.under_way = 0
        """Queries of clients that are being answered."""
        for block in blocks:
            self._add(block)

    def _add(self, block: ParsedBlock) -> None:
        view = next((config.name for name, config in block.plugins if name == "view"), "")
        site = Site(self.host, block.keys, everyone=lambda: tuple(self.plugins()), view=view)
        site.lookup = lambda query, name, rdtype: self.lookup(site.listeners[0], query, name, rdtype)
        self.sites.append(site)
        for name, config in block.plugins:
            handler = import_module(f"seamark.dns.plugins.{name}.handler").make(config, site)
            site.plugins.append((name, handler))
        tracer = next((handler for name, handler in site.plugins if name == "trace"), None)
        serving = [self._wrap(handler) for _, handler in site.plugins if hasattr(handler, "serve")]
        if tracer is not None:
            serving = [plugin if plugin is tracer else tracer.around(plugin) for plugin in serving]
        serve = chain(serving)
        for at in site.listeners:
            if site.proxied is not None:
                self._proxied.setdefault(at, site.proxied)
            zones = self._zones.setdefault(at, {})
            for key in block.keys:
                if (key.port, key.transport) == (at.port, at.transport):
                    running = Running(dns.name.from_text(key.zone), key, serve, counters(site.plugins), _filter(site))
                    zones.setdefault(key.zone, []).append(running)
            if any(name in ALL_CLASSES for name, _ in block.plugins):
                self._all_classes.add(at)
            if view:
                self._views.add(at)

    @property
    def listeners(self) -> tuple[Listener, ...]:
        return tuple(self._zones)

    def zones(self, at: Listener) -> tuple[str, ...]:
        """Those served there."""
        return tuple(sorted(self._zones[at]))

    def takes_all_classes(self, at: Listener) -> bool:
        """Whether queries of classes other than IN reach the plugins there."""
        return at in self._all_classes

    def timeouts(self, at: Listener) -> Timeouts:
        """Those of the first server block there that gives any."""
        given = (site.timeouts for site in self.sites if site.timeouts is not None and at in site.listeners)
        return next(given, Timeouts())

    def limits(self, at: Listener) -> Limits:
        """Those of the first server block there that gives any."""
        given = (
            site.limits[at.transport] for site in self.sites if at.transport in site.limits and at in site.listeners
        )
        return next(given, DEFAULT_LIMITS.get(at.transport, Limits()))

    def sockets(self, at: Listener) -> int:
        """How many to listen on; 0 = one that nobody shares."""
        return next((site.sockets for site in self.sites if site.sockets and at in site.listeners), 0)

    def proxied(self, at: Listener) -> Proxied | None:
        """What the first server block there says that says anything. Asked for every datagram."""
        return self._proxied.get(at)

    def security(self, at: Listener) -> Security:
        """Of the first server block there that has any."""
        secure = (
            site for site in self.sites if at.transport != "dns" and site.tls is not None and at in site.listeners
        )
        return next((Security(site.tls, site.certificate) for site in secure), Security())

    def plugins(self) -> Iterator[tuple[str, Any]]:
        for site in self.sites:
            yield from site.plugins

    def http(self) -> Mapping[tuple[str, str], HttpHandler]:
        return {where: handler for site in self.sites for where, handler in site.http.items()}

    def http_tls(self) -> Mapping[str, ssl.SSLContext]:
        """By address."""
        return {at: tls for site in self.sites for at, tls in site.http_tls.items() if tls is not None}

    def find(self, at: Listener, query: Query) -> Running | None:
        """The block with the longest zone around the name; for DS, which belongs to the parent of its zone, the
        shortest but the root (as CoreDNS). Of several with one zone the first whose view takes the query.
        """
        zones = self._zones.get(at, {})
        parent: Running | None = None
        name, start = query.text, 0
        while start < len(name) and name != ".":
            running = _first(zones.get(name[start:], ()), query)
            if running is not None and query.rdtype != DS:
                return running
            parent = running or parent
            start = _next_label(name, start)
        return parent or _first(zones.get(".", ()), query)

    def always_finds(self, at: Listener) -> bool:
        """Whether a name alone tells the block: no views there."""
        return at not in self._views

    async def serve(self, at: Listener, query: Query) -> Answer:
        """Through the chain of the block in charge; REFUSED without one. Never raises."""
        running = self.find(at, query)
        if running is None or running.serve is None:
            return Answer(dns.rcode.REFUSED)
        query.zone = running.zone
        query.server = at.label
        try:
            return await running.serve(query)
        except Exception as error:  # a defect of one plugin must not cost the others their answers
            self.host.metrics.panics.inc()
            self.host.log(f"[ERROR] Recovered from a failure in server: {at.label} {error!r}")
            return Answer(dns.rcode.SERVFAIL)

    async def lookup(
        self, at: Listener, query: Query, name: dns.name.Name, rdtype: dns.rdatatype.RdataType
    ) -> dns.message.Message | None:
        """A question of our own on behalf of ``query``'s client; None if it has come round too often."""
        if query.depth >= MAX_DEPTH:
            return None
        own = requery(query, name, rdtype=rdtype)
        own.depth += 1
        own.size = raw_size(own.message)
        answer = await self.serve(at, own)
        return answer.message if answer.message is not None else reply_to(own.message, answer.rcode)

    async def start(self) -> None:
        """In chain order, block by block; what was started is stopped again if one fails."""
        started: list[Any] = []
        try:
            for _, handler in self.plugins():
                if hasattr(handler, "start"):
                    await handler.start()
                started.append(handler)
        except BaseException:
            for handler in reversed(started):
                if hasattr(handler, "stop"):
                    await handler.stop()
            raise

    async def settled(self, seconds: float) -> None:
        """Waits for the queries under way, but not for ever."""
        end = self.host.clock.monotonic() + seconds
        while self.under_way and self.host.clock.monotonic() < end:
            await self.host.clock.sleep(SETTLING)

    async def stop(self) -> None:
        for _, handler in self.plugins():
            if hasattr(handler, "stop"):
                await handler.stop()


def _filter(site: Site) -> Callable[[Query], bool] | None:
    """What the block's view says of a query; its expressions may read metadata, so that comes first."""
    handlers = dict(site.plugins)
    if "view" not in handlers:
        return None
    takes = handlers["view"].takes
    collect = handlers["metadata"].collect if "metadata" in handlers else None

    def decide(query: Query) -> bool:
        before = query.metadata
        if collect is not None:
            query.metadata = dict(before)
            collect(query)
        found = bool(takes(query))
        query.metadata = query.metadata if found else before
        return found

    return decide


def _first(blocks: Sequence[Running], query: Query) -> Running | None:
    return next((running for running in blocks if running.takes is None or running.takes(query)), None)


def _as_it_is(plugin: Plugin) -> Plugin:
    return plugin


def other_files(instance: Instance) -> tuple[str, ...]:
    """What plugins read when they were made, and want to be made anew for."""
    found = (file for _, handler in instance.plugins() for file in getattr(handler, "files", ()))
    return tuple(dict.fromkeys(found))


def _next_label(name: str, at: int) -> int:
    """Where the next label starts; backslash escapes a dot."""
    while at < len(name):
        if name[at] == "\\":
            at += 2
        elif name[at] == ".":
            return at + 1
        else:
            at += 1
    return at
