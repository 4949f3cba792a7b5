"""The DNS server as a process: load, listen, reload, end.

What holds: a Corefile that does not load, or an instance that does not start, changes nothing; the instance in service
keeps its sockets, its HTTP ports and its answers. Sockets belong to the process, so a reload drops no packet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from http import HTTPStatus
from typing import Any

from seamark.dns.corefile.block import go_duration
from seamark.dns.corefile.lexer import CorefileError
from seamark.dns.corefile.parser import Corefile
from seamark.dns.host import Asked, Host, HttpAnswer
from seamark.dns.listener import Listener
from seamark.dns.server.core import Core
from seamark.dns.server.event import INVALID, report
from seamark.dns.server.http import Handlers, HttpPorts
from seamark.dns.server.instance import Instance, other_files, parse_server
from seamark.dns.server.loading import fingerprint, read_or_empty, stamp
from seamark.dns.server.ports import Port, Sockets, bind_sockets, open_port
from seamark.dns.server.streams import Serving

READY = "/ready"
PATIENCE = 6.0
"""Seconds that queries under way get when their instance, or the server, ends: the five of ``forward``, and one."""
GLANCE = 1.0
"""Seconds between two glances at the files' stamps, within the plugin's interval."""

Where = tuple[str, Listener]
"""An address, and the listener that is there: one without an address of its own may be at several."""

LOADING = (CorefileError, OSError, UnicodeDecodeError)


class Process:
    """``load`` reads the Corefile anew each time it is called. ``hosts`` are the addresses to listen on."""

    def __init__(self, host: Host, load: Callable[[], Corefile], *, hosts: tuple[str, ...] = ("",)) -> None:
        self._host = host
        self._load = load
        self._hosts = hosts
        self._instance: Instance | None = None
        self._files: tuple[str, ...] = ()
        self._others: tuple[str, ...] = ()
        self._fingerprint = ""
        self._refused = ""
        self._ports: dict[Where, Port] = {}
        self._http = HttpPorts()
        self._core = Core(host, self._current)
        self._reloading = asyncio.Lock()
        self._watcher: asyncio.Task[None] | None = None
        self.retiring: set[asyncio.Task[None]] = set()
        """Ends of instances that still answer what they were asked."""

    async def start(self) -> None:
        """Serving when it returns. Raises CorefileError or OSError, and then nothing is left open."""
        corefile = self._load()
        self._files = tuple(file for file, _ in corefile.files)
        await self._take(corefile)
        if not self._host.quiet:
            for line in _told_zones(self._serving):
                self._host.log(line)
        self._announce()
        self._watch()

    async def reload(self, *, anew: bool = False) -> bool:
        """Takes the Corefile as it is now, if it changed and is sound; True if it was taken. ``anew``: also if it did
        not change, for the files that plugins read (certificates, zones).
        """
        async with self._reloading:
            try:
                corefile = self._load()
            except LOADING as error:
                return await self._refuse(str(error), str(error), again=anew)
            self._files = tuple(file for file, _ in corefile.files)
            found = fingerprint(corefile)
            known = found in (self._fingerprint, self._refused) and self._others == self._read_others()
            if known and not anew:
                self._refused = self._refused if found == self._refused else ""
                return False
            self._host.log("[INFO] Reloading")
            try:
                await self._take(corefile)
            except LOADING as error:
                return await self._refuse(found, str(error), again=anew)
            self._announce()
            self._host.log("[INFO] Reloading complete")
        self._watch()
        return True

    async def stop(self) -> None:
        """Ready closes first; then ``lameduck`` passes while everything else still works; then all ends."""
        if self._watcher is not None:
            self._watcher.cancel()
        await self._http.close(READY)
        lameduck = max((h.lameduck for _, h in self._serving.plugins() if hasattr(h, "lameduck")), default=0.0)
        if lameduck:
            self._host.log(f"[INFO] plugin/health: Going into lameduck mode for {go_duration(lameduck)}")
            await self._host.clock.sleep(lameduck)
        for port in self._ports.values():
            port.refuse()
        await self._serving.settled(PATIENCE)
        await self.kill()

    async def kill(self) -> None:
        """Ends at once."""
        if self._watcher is not None:
            self._watcher.cancel()
        for where in list(self._ports):
            await self._close(where)
        for task in self.retiring:
            task.cancel()
        await asyncio.gather(*self.retiring, return_exceptions=True)
        if self._instance is not None:
            await self._instance.stop()
        await self._http.close()

    @property
    def _serving(self) -> Instance:
        if self._instance is None:
            raise RuntimeError("the server has not been started")
        return self._instance

    def _current(self) -> Instance:
        return self._serving

    async def _take(self, corefile: Corefile) -> None:
        """Builds, starts and swaps in an instance; on any failure what runs goes on."""
        for warning in corefile.warnings:
            self._host.log(f"[WARNING] {warning}")
        instance = Instance(parse_server(corefile, default_port=self._host.port), self._host)
        wanted = self._wanted(instance)
        bound = _bind([where for where in wanted if where not in self._ports], instance)
        previous = self._instance
        try:
            if previous is None:
                await self._http.serve(_not_yet_ready(instance.http()), instance.http_tls())
            await instance.start()
            self._instance = instance
            for where, sockets in bound.items():
                self._ports[where] = await self._open(where[1], sockets, instance)
            await self._http.serve(instance.http(), instance.http_tls())
        except BaseException:
            self._instance = previous
            for where, sockets in bound.items():
                await self._give_up(where, sockets)
            await instance.stop()
            if previous is None:
                await self._http.close()
            raise
        self._fingerprint, self._refused = fingerprint(corefile), ""
        self._others = self._read_others()
        await self._retire(previous, instance)

    def _read_others(self) -> tuple[str, ...]:
        """The files besides the Corefile that decide what plugins do (resolv.conf of forward), as they are now."""
        return tuple(read_or_empty(file) for file in other_files(self._serving))

    async def _end(self, instance: Instance) -> None:
        """Once it has answered what it was asked."""
        try:
            await instance.settled(PATIENCE)
        finally:
            await instance.stop()

    async def _retire(self, previous: Instance | None, instance: Instance) -> None:
        for where, port in list(self._ports.items()):
            if where not in self._wanted(instance):
                await self._close(where)
            elif where[1].transport != "dns" and previous is not None:
                await port.renew(instance.security(where[1]))
        if previous is not None:
            self.retiring.add(task := asyncio.get_running_loop().create_task(self._end(previous)))
            task.add_done_callback(self.retiring.discard)
        for _, handler in instance.plugins():
            if hasattr(handler, "serving"):
                handler.serving()

    def _announce(self) -> None:
        if self._reload_plugin() is not None:
            digest = self._fingerprint
            self._host.metrics.reload_version.clear()
            self._host.metrics.reload_version.labels("sha512", digest).set(1)
            self._host.log(f"[INFO] plugin/reload: Running configuration SHA512 = {digest}")

    def _wanted(self, instance: Instance) -> list[Where]:
        return [(host, at) for at in instance.listeners for host in ((at.host,) if at.host else self._hosts)]

    async def _open(self, at: Listener, sockets: Sockets, instance: Instance) -> Port:
        serving = Serving(
            at,
            self._core.answer,
            self._host.clock,
            self._host.metrics,
            timeouts=lambda: self._serving.timeouts(at),
            limits=lambda: self._serving.limits(at),
            proxied=lambda: self._serving.proxied(at),
        )
        return await open_port(sockets, serving, instance.security(at), self._core.quick)

    async def _give_up(self, where: Where, sockets: Sockets) -> None:
        if where in self._ports:
            await self._close(where)
        sockets.close()

    async def _close(self, where: Where) -> None:
        await self._ports.pop(where).drain()

    # reloading

    def _reload_plugin(self) -> Any:
        return next((handler for name, handler in self._serving.plugins() if name == "reload"), None)

    def _watch(self) -> None:
        """Follows the plugin reload of the instance in service."""
        plugin = self._reload_plugin()
        if self._watcher is not None and self._watcher is not asyncio.current_task():
            self._watcher.cancel()
        self._watcher = None
        if plugin is not None:
            self._watcher = asyncio.get_running_loop().create_task(self._poll(plugin.interval, plugin.jitter))

    async def _poll(self, interval: float, jitter: float) -> None:
        while True:
            await self._wait_for_look(interval + self._host.random.uniform(-jitter, jitter))
            if await self.reload():
                return  # the instance that is now in service has its own watcher

    async def _wait_for_look(self, seconds: float) -> None:
        """Until the time is over, or a file that was read is another one: its inode, size or time tell at a glance."""
        clock, files = self._host.clock, (*self._files, *other_files(self._serving))
        seen = stamp(files)
        until = clock.monotonic() + seconds
        while (left := until - clock.monotonic()) > 0:
            await clock.sleep(min(GLANCE, left))
            if stamp(files) != seen:
                return

    async def _refuse(self, identity: str, why: str, *, again: bool) -> bool:
        """Tells once about each Corefile that cannot be taken, or ``again``: in the log, in a metric, as an Event on
        the pod.
        """
        if identity == self._refused and not again:
            return False
        self._refused = identity
        told = f"Corefile changed but reload failed: {why}; the last good one stays in service"
        self._host.log(f"[ERROR] plugin/reload: {told}")
        self._host.metrics.reload_failed.inc()
        told = f"{why}; the last good Corefile stays in service"
        await report(self._host, self._serving.plugins(), INVALID, told)
        return False


def _told_zones(instance: Instance) -> Iterator[str]:
    """What is served where, a line each, as CoreDNS tells it at the start."""
    for at in instance.listeners:
        scheme = "" if at.transport == "dns" else f"{at.transport}://"
        where = f" on {at.host}" if at.host else ""
        for zone in instance.zones(at):
            yield f"{scheme}{zone}:{at.port}{where}"


def _not_yet_ready(handlers: Handlers) -> Handlers:
    """What a starting server says over HTTP: that it lives, and nobody is told that it is ready."""
    found = dict(handlers)
    for where, handler in handlers.items():
        if where[1] == READY and not isinstance(handler, Asked):
            found[where] = partial(_starting, handler)
    return found


def _starting(ready: Callable[[], HttpAnswer]) -> HttpAnswer:
    status, kind, body = ready()
    return (status, kind, body) if status != HTTPStatus.OK else (HTTPStatus.SERVICE_UNAVAILABLE, kind, b"starting")


def _bind(wanted: list[Where], instance: Instance) -> dict[Where, Sockets]:
    """Sockets for each address, or none at all. Before plugins start: a query that comes while they do waits in its
    socket instead of being refused by the kernel.
    """
    found: dict[Where, Sockets] = {}
    try:
        for host, at in wanted:
            found[host, at] = bind_sockets(at, host, instance.sockets(at))
    except OSError:
        for sockets in found.values():
            sockets.close()
        raise
    return found
