"""200 OK on /ready once every plugin that has to is ready; else 503 and the names of those that are not."""

from __future__ import annotations

from seamark.dns.host import HttpAnswer, Site
from seamark.dns.plugins.ready.config import Config

TEXT = "text/plain; charset=utf-8"


class Ready:
    """Sees no queries. A plugin that was ready once is not asked again, unless ``continuously``."""

    name = "ready"

    def __init__(self, config: Config, site: Site) -> None:
        self._config = config
        self._site = site
        self._done: set[int] = set()
        site.http[config.address, "/ready"] = self._answer

    def _answer(self) -> HttpAnswer:
        waiting = []
        for name, handler in self._site.everyone():
            if id(handler) in self._done or not hasattr(handler, "ready"):
                continue
            if not handler.ready():
                why = handler.why_not_ready() if hasattr(handler, "why_not_ready") else ""
                waiting.append(f"{name} ({why})" if why else name)
            elif not self._config.continuously:
                self._done.add(id(handler))
        if waiting:
            told = ",".join(sorted(set(waiting)))
            self._site.host.log(f'[INFO] plugin/ready: Plugins not ready: "{told}"')
            return 503, TEXT, told.encode()
        return 200, TEXT, b"OK"


def make(config: Config, site: Site) -> Ready:
    return Ready(config, site)
