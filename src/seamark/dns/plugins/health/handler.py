"""200 OK on /health for as long as the process lives; ``lameduck`` is how long that is after it was told to end.

``/visible?revision=N`` on the same port waits until a revision of the registry is in the answers: what a test or a
deployment asks between ``kubectl apply`` and relying on a name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from seamark.dns.corefile.block import duration
from seamark.dns.corefile.lexer import CorefileError, Token
from seamark.dns.host import Asked, HttpAnswer, Site
from seamark.dns.plugins.health.config import Config

TEXT = "text/plain; charset=utf-8"
WAIT, MAX_WAIT = 10.0, 60.0


class Health:
    """Sees no queries. ``lameduck`` is read by the process when it ends."""

    name = "health"

    def __init__(self, config: Config, site: Site) -> None:
        self.lameduck = config.lameduck
        self._site = site
        site.http[config.address, "/health"] = self._answer
        site.http[config.address, "/visible"] = Asked(self._visible)

    def _answer(self) -> HttpAnswer:
        return 200, TEXT, b"OK"

    async def _visible(self, asked: Mapping[str, str]) -> HttpAnswer:
        """``revision`` is a resourceVersion, ``timeout`` how long to wait for it (10s, 60s at most)."""
        revision = asked.get("revision", "")
        if not (revision.isascii() and revision.isdecimal()):
            return 400, TEXT, b"revision: a resourceVersion is wanted: /visible?revision=N[&timeout=10s]\n"
        try:
            seconds = duration(Token(asked.get("timeout", f"{WAIT:g}s"), "timeout", 1, 1), most=MAX_WAIT)
        except CorefileError as error:
            return 400, TEXT, f"timeout: {error.message}\n".encode()
        tables = [handler for _, handler in self._site.everyone() if hasattr(handler, "visible")]
        if not tables:
            return 404, TEXT, b"no plugin here follows a registry\n"
        found = await asyncio.gather(*(handler.visible(int(revision), seconds) for handler in tables))
        if all(found):
            return 200, TEXT, f"{revision} is visible\n".encode()
        return 504, TEXT, f"{revision} is not visible after {seconds:g}s\n".encode()


def make(config: Config, site: Site) -> Health:
    return Health(config, site)
