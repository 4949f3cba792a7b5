"""Runs commands when the server block starts and ends."""

from __future__ import annotations

import asyncio

from seamark.dns.corefile.lexer import CorefileError
from seamark.dns.host import Site
from seamark.dns.plugins.on.config import Config


class On:
    """Sees no queries."""

    name = "on"

    def __init__(self, config: Config, site: Site) -> None:
        self._config = config
        self._host = site.host
        self._running: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Raises CorefileError for a command that fails, unless it runs in the background."""
        if self._config.event == "startup":
            await self._run()

    async def stop(self) -> None:
        if self._config.event == "shutdown":
            try:
                await self._run()
            except CorefileError as error:
                self._host.log(f"[ERROR] plugin/on: {error}")

    async def _run(self) -> None:
        if not self._config.waits:
            task = asyncio.get_running_loop().create_task(self._run_aside())
            self._running.add(task)
            task.add_done_callback(self._running.discard)
            return
        why = await self._host.run(self._config.command)
        if why:
            raise self._config.token.error(f"on {self._config.event}: {' '.join(self._config.command)}: {why}")

    async def _run_aside(self) -> None:
        why = await self._host.run(self._config.command)
        if why:
            self._host.log(f"[ERROR] plugin/on: {' '.join(self._config.command)}: {why}")


def make(config: Config, site: Site) -> On:
    return On(config, site)
