"""The DNS server as a process: load, listen, reload, end.

What holds: a Corefile that does not load, or an instance that does not start, changes nothing; the instance in service
keeps its sockets, its HTTP ports and its answers. Sockets belong to the process, so a reload drops no packet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from seamark.dns.corefile.lexer import CorefileError
from seamark.dns.corefile.parser import Corefile
from seamark.dns.host import Host
from seamark.dns.listener import Listener
from seamark.dns.server.core import Core
from seamark.dns.server.event import INVALID, report
from seamark.dns.server.http import HttpPorts
from seamark.dns.server.instance import Instance, other_files, parse_server
from seamark.dns.server.loading import fingerprint, read_or_empty, stamp
from seamark.dns.server.ports import Port, Sockets, bind_sockets, open_port
from seamark.dns.server.streams import Serving

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

    async def start(self) -> None:
        """Serving when it returns. Raises CorefileError or OSError, and then nothing is left open."""
        corefile = self._load()
        self._files = tuple(file for file, _ in corefile.files)
        await self._take(corefile)
        for key in (key for site in self._serving.sites for key in site.keys):
            self._host.log(f"{key.zone}:{key.port}")
        self._watch()

    async def reload(self) -> bool:
        """Takes the Corefile as it is now, if it changed and is sound; True if it was taken."""
        async with self._reloading:
            try:
                corefile = self._load()
            except LOADING as error:
                return await self._refuse(str(error), str(error))
            self._files = tuple(file for file, _ in corefile.files)
            found = fingerprint(corefile)
            if found in (self._fingerprint, self._refused) and self._others == self._read_others():
                self._refused = self._refused if found == self._refused else ""
                return False
            self._host.log("[INFO] Reloading")
            try:
                await self._take(corefile)
            except LOADING as error:
                return await self._refuse(found, str(error))
            self._host.log("[INFO] Reloading complete")
        self._watch()
        return True

    async def stop(self) -> None:
        """Ready closes first; then ``lameduck`` passes while everything else still works; then all ends."""
        if self._watcher is not None:
            self._watcher.cancel()
        await self._http.close("/ready")
        lameduck = max((h.lameduck for _, h in self._serving.plugins() if hasattr(h, "lameduck")), default=0.0)
        if lameduck:
            self._host.log(f"[INFO] plugin/health: Going into lameduck mode for {lameduck:g}s")
            await self._host.clock.sleep(lameduck)
        await self.kill()

    async def kill(self) -> None:
        """Ends at once."""
        if self._watcher is not None:
            self._watcher.cancel()
        for where in list(self._ports):
            await self._close(where)
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
            await instance.start()
            self._instance = instance
            for where, sockets in bound.items():
                self._ports[where] = await self._open(where[1], sockets, instance)
            await self._http.serve(instance.http())
        except BaseException:
            self._instance = previous
            for where, sockets in bound.items():
                await self._give_up(where, sockets)
            await instance.stop()
            raise
        self._fingerprint, self._refused = fingerprint(corefile), ""
        self._others = self._read_others()
        self._announce(corefile)
        await self._retire(previous, instance)

    def _read_others(self) -> tuple[str, ...]:
        """The files besides the Corefile that decide what plugins do (resolv.conf of forward), as they are now."""
        return tuple(read_or_empty(file) for file in other_files(self._serving))

    async def _retire(self, previous: Instance | None, instance: Instance) -> None:
        for where, port in list(self._ports.items()):
            if where not in self._wanted(instance):
                await self._close(where)
            elif where[1].transport != "dns" and previous is not None:
                await port.renew(instance.security(where[1]))
        if previous is not None:
            await previous.stop()
        for _, handler in instance.plugins():
            if hasattr(handler, "serving"):
                handler.serving()

    def _announce(self, corefile: Corefile) -> None:
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

    async def _refuse(self, identity: str, why: str) -> bool:
        """Tells once about each Corefile that cannot be taken: in the log, in a metric, as an Event on the pod."""
        if identity == self._refused:
            return False
        self._refused = identity
        self._host.log(f"[ERROR] Corefile changed but reload failed: {why}; the last good one stays in service")
        self._host.metrics.reload_failed.inc()
        told = f"{why}; the last good Corefile stays in service"
        await report(self._host, self._serving.plugins(), INVALID, told)
        return False


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
