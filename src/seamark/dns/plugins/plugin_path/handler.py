"""Plugins out of a directory of Python files, loaded as they come and go.

What such a plugin breaks is one answer: an exception, a wrong result or too long a wait is SERVFAIL for that query, a
log line and a count. A file that does not load leaves the one before it in use.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import dns.message
import dns.name
import dns.rdatatype

from seamark.dns.host import Site
from seamark.dns.plugin import Answer, Next, Query
from seamark.dns.plugins.plugin_path.config import Config
from seamark.dns.plugins.plugin_path.loading import Loaded, PluginFileError, list_files, load_plugin
from seamark.dns.reply import failed
from seamark.dns.server.loading import stamp
from seamark.dns.waiting import within
from seamark.machinery.clock import Clock
from seamark.model.pod import Pod

LOOK = 1.0


class Surroundings:
    """What a plugin of a file may ask: a ``seamark.dns.plugin.Cluster``, for classes that take an argument."""

    def __init__(self, site: Site) -> None:
        self._site = site

    @property
    def clock(self) -> Clock:
        return self._site.host.clock

    def pod(self, address: str) -> Pod | None:
        asked = (handler for _, handler in self._site.plugins if hasattr(handler, "pod_at"))
        return next((found for handler in asked if (found := handler.pod_at(address)) is not None), None)

    async def lookup(
        self, query: Query, name: dns.name.Name, rdtype: dns.rdatatype.RdataType
    ) -> dns.message.Message | None:
        return await self._site.lookup(query, name, rdtype)

    def log(self, line: str) -> None:
        self._site.host.log(f"[INFO] plugin/plugin_path: {line}")


class PluginPath:
    name = "plugin_path"

    def __init__(self, config: Config, site: Site) -> None:
        self._config = config
        self._host = site.host
        self._directory = site.root / config.directory
        self._surroundings = Surroundings(site)
        self._loaded: dict[Path, Loaded] = {}
        self._refused: dict[Path, tuple[int, int, int]] = {}
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._look()
        self._watching = asyncio.get_running_loop().create_task(self._watch())

    async def stop(self) -> None:
        if self._watching is not None:
            self._watching.cancel()

    async def serve(self, query: Query, following: Next) -> Answer:
        for path in sorted(self._loaded, reverse=True):
            following = self._step(self._loaded[path], following)
        return await following(query)

    def _step(self, loaded: Loaded, following: Next) -> Next:
        async def step(query: Query) -> Answer:
            return await self._guarded(loaded, query, following)

        return step

    async def _guarded(self, loaded: Loaded, query: Query, following: Next) -> Answer:
        try:
            return await within(self._host.clock, self._config.timeout, self._run(loaded, query, following))
        except TimeoutError as error:
            return self._spoilt(loaded, str(error))

    async def _run(self, loaded: Loaded, query: Query, following: Next) -> Answer:
        try:
            answer = await loaded.plugin.serve(query, following)
        except (Exception, SystemExit) as error:
            return self._spoilt(loaded, f"{type(error).__name__}: {error}")
        return answer if isinstance(answer, Answer) else self._spoilt(loaded, f"serve gave {_kind(answer)}")

    def _spoilt(self, loaded: Loaded, why: str) -> Answer:
        self._host.metrics.plugin_failures.labels(loaded.name).inc()
        self._host.log(f"[ERROR] plugin/plugin_path: {loaded.name}: {why}")
        return failed(self.name, f"{loaded.name}: {why}")

    async def _watch(self) -> None:
        while True:
            await self._host.clock.sleep(LOOK)
            self._look()

    def _look(self) -> None:
        """Takes what is new or changed, drops what is gone."""
        files = list_files(self._directory)
        for path in self._loaded.keys() - set(files):
            self._host.log(f"[INFO] plugin/plugin_path: {path} is gone")
            del self._loaded[path]
        for path in files:
            (now,) = stamp([str(path)])
            known = self._loaded.get(path)
            if (known is None or known.seen != now) and self._refused.get(path) != now:
                self._load(path, now)

    def _load(self, path: Path, now: tuple[int, int, int]) -> None:
        try:
            self._loaded[path] = load_plugin(path, self._surroundings)
        except PluginFileError as error:
            self._refused[path] = now
            kept = "; the one before stays in use" if path in self._loaded else ""
            self._host.log(f"[ERROR] plugin/plugin_path: {error}{kept}")
            return
        self._refused.pop(path, None)
        self._host.log(f"[INFO] plugin/plugin_path: {path} is in use as {self._loaded[path].name}")


def _kind(found: object) -> str:
    return f"{type(found).__name__}, not an Answer"


def make(config: Config, site: Site) -> PluginPath:
    return PluginPath(config, site)
