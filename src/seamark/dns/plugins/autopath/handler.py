"""Searches on behalf of the client: one query instead of four."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dns.exception
import dns.name
import dns.rcode
from dns.rdtypes.ANY.CNAME import CNAME

from seamark.compile.resolvconf import parse_resolv_conf
from seamark.dns.corefile.keys import match_zone
from seamark.dns.host import Site
from seamark.dns.plugin import Answer, Next, Query
from seamark.dns.plugins.autopath.config import Config
from seamark.dns.reply import failed, requery, rrset_of

RESOLV_CONF = Path("/etc/resolv.conf")


class Autopath:
    name = "autopath"

    def __init__(self, config: Config, site: Site) -> None:
        self._config = config
        self._site = site
        self._success = site.host.metrics.autopath_success
        self._search: tuple[str, ...] = ()

    async def start(self) -> None:
        """Reads the search list. Raises CorefileError if kubernetes is to tell it and cannot."""
        config = self._config
        path = self._site.root / config.file if config.file is not None else RESOLV_CONF
        try:
            self._search = tuple(map(_absolute, parse_resolv_conf(path.read_text(errors="replace")).searches))
        except OSError as error:
            if config.file is not None:
                raise config.token.error(f"autopath: cannot read '{path}': {error.strerror}") from error
        if config.file is None and (handler := self._kubernetes()) is None:
            raise config.token.error("autopath: there is no kubernetes in this server block")
        elif config.file is None and not handler.knows_pods:
            raise config.token.error("autopath: kubernetes needs 'pods verified' to know its clients")

    async def serve(self, query: Query, following: Next) -> Answer:
        search = self._list_of(query) if match_zone(self._config.zones, query.text) is not None else ()
        if not search or match_zone(search[:1], query.text) is None:
            return await following(query)
        if query.text == search[0]:
            as_coredns = self._site.host.as_coredns
            return failed(self.name, f"{query.text} is the search domain") if as_coredns else await following(query)
        base = query.name.relativize(dns.name.from_text(search[0]))
        first: Answer | None = None
        for element in search:
            try:
                name = base.concatenate(dns.name.from_text(element))
            except dns.exception.DNSException:  # too long
                continue
            answer = await following(requery(query, name))
            first = first or answer
            if answer.error:
                return answer
            if answer.message is not None and answer.message.rcode() != dns.rcode.NXDOMAIN:
                self._success.labels(query.server).inc()
                return _alias(query, name, answer)
        if first is None:
            return await following(query)
        if first.message is not None:
            first.message.question = list(query.message.question)
        return first

    def _list_of(self, query: Query) -> tuple[str, ...]:
        """Ends with the root: the name as the client's user wrote it."""
        if self._config.file is not None:
            return (*self._search, ".")
        handler = self._kubernetes()
        found = handler.search_list(query.client) if handler is not None else ()
        return (*found, *self._search, ".") if found else ()

    def _kubernetes(self) -> Any:
        return next((handler for name, handler in self._site.plugins if name == "kubernetes"), None)


def _alias(query: Query, name: dns.name.Name, answer: Answer) -> Answer:
    message = answer.message
    assert message is not None
    message.question = list(query.message.question)
    if message.answer and name != query.name:
        asked = query.message.question[0]
        link = CNAME(asked.rdclass, 5, message.answer[0].name)  # type: ignore[no-untyped-call]
        message.answer = [rrset_of(query.name, message.answer[0].ttl, [link]), *message.answer]
    return answer


def _absolute(name: str) -> str:
    return name.lower() if name.endswith(".") else f"{name.lower()}."


def make(config: Config, site: Site) -> Autopath:
    return Autopath(config, site)
