"""The messages for a name: asks etcd, reads values, bounds leases, keeps groups together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import dns.name

from seamark.dns.plugins.etcd.config import Config
from seamark.dns.plugins.etcd.gateway import Gateway
from seamark.dns.plugins.etcd.message import Entry, Message, fits, key_of, parse_value, select_group, select_ttl


class MissingError(Exception):
    """There is no key for the name and none below it."""


class Directory:
    def __init__(self, config: Config, gateway: Gateway) -> None:
        self._config = config
        self._gateway = gateway

    async def find(self, name: dns.name.Name, *, exact: bool = False, texts: bool = False) -> list[Message]:
        """``exact`` looks at the name's own key alone; ``texts`` takes messages without a host as well.

        Raises MissingError; EtcdError; ValueError for a value that is no message.
        """
        key, wild = key_of(name, self._config.prefix)
        entries = await self._entries(key, exact=exact)
        if wild:
            entries = [entry for entry in entries if fits(entry.key, self._config.prefix, name)]
        values = [(entry, parse_value(entry)) for entry in entries]
        leases = await self._leases(entries)
        bounds = (self._config.min_lease_ttl, self._config.max_lease_ttl)
        found = [
            Message(entry.key, value, select_ttl(value, leases.get(entry.lease), bounds))
            for entry, value in values
            if value.host or (texts and value.text)
        ]
        return select_group(found)

    async def _entries(self, key: str, *, exact: bool) -> Sequence[Entry]:
        """What is below a key hides the key itself."""
        found = [] if exact else await self._gateway.below(key)
        found = found or await self._gateway.get(key)
        if not found:
            raise MissingError(key)
        return found

    async def _leases(self, entries: Sequence[Entry]) -> dict[int, int]:
        asked = sorted({entry.lease for entry in entries if entry.lease})
        return dict(zip(asked, await asyncio.gather(*map(self._gateway.left, asked)), strict=True))
