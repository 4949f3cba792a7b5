"""Decides whether a query is for this server block. It stands in no chain: the dispatcher asks it."""

from __future__ import annotations

from collections.abc import Callable

from seamark.dns.host import Site
from seamark.dns.plugin import Query
from seamark.dns.plugins.view.config import Config


class View:
    name = "view"

    def __init__(self, config: Config) -> None:
        self.view = config.name
        self._conditions = [condition.evaluate for condition in config.conditions]

    def takes(self, query: Query) -> bool:
        """Whether every expression holds; one that cannot be evaluated does not."""
        try:
            return all(evaluate(query) for evaluate in self._conditions)
        except ValueError:
            return False

    def metadata(self, query: Query) -> dict[str, Callable[[], str]]:
        return {"view/name": lambda: self.view}


def make(config: Config, site: Site) -> View:
    return View(config)
