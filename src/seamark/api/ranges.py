"""The pools of ClusterIPs follow the store: IPAddresses are what is taken, ServiceCIDRs the ranges there are.

Before a write that may take an address the pools hear what happened in the store since, whoever wrote it: a hand-made
IPAddress takes its address away, a deleted one gives it back, a ready ServiceCIDR brings a range.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from seamark.resources.core.allocators import ServicePools
from seamark.resources.networking.ipaddress import IPADDRESS
from seamark.resources.networking.servicecidr import DEFAULT_NAME, SERVICECIDR, is_ready
from seamark.store.base import CompactedError, Entry, Event, Store, Watch

PREFIX = "/registry/networking.k8s.io/"


class AddressFollower:
    """Brings the pools up to date with the store. Without ``load`` it does nothing: the settings' ranges are all."""

    def __init__(self, store: Store, pools: ServicePools) -> None:
        self._store = store
        self._pools = pools
        self._watch: Watch | None = None
        self._ranges: dict[str, list[str]] = {}

    async def load(self) -> None:
        page = await self._store.list(prefix=PREFIX)
        ips = [e.key.removeprefix(IPADDRESS.key_prefix) for e in page.entries if e.key.startswith(IPADDRESS.key_prefix)]
        self._pools.keep_only(ips)
        self._load_ranges(page.entries)
        if self._watch is not None:
            self._watch.close()
        self._watch = self._store.watch(prefix=PREFIX, after=page.revision)

    async def load_ranges(self) -> None:
        """The ranges alone, before it is known who has what of them."""
        self._load_ranges((await self._store.list(prefix=SERVICECIDR.key_prefix)).entries)

    def _load_ranges(self, entries: Iterable[Entry]) -> None:
        self._ranges = {}
        for entry in entries:
            if entry.key.startswith(SERVICECIDR.key_prefix):
                self._note_range(entry.key, entry.value)
        self._offer()

    async def follow(self) -> None:
        if self._watch is None:
            return
        try:
            events = self._watch.take()
        except CompactedError:
            await self.load()
            return
        for event in events:
            self._apply(event)

    def _apply(self, event: Event) -> None:
        key = event.key
        if key.startswith(SERVICECIDR.key_prefix):
            self._note_range(key, event.value)
            self._offer()
        elif key.startswith(IPADDRESS.key_prefix):
            ip = key.removeprefix(IPADDRESS.key_prefix)
            if event.value is not None:
                self._pools.note_address(ip)
            elif ip not in self._pools.under_way:
                self._pools.free_ip(ip)

    def _note_range(self, key: str, value: bytes | None) -> None:
        obj = msgspec.json.decode(value) if value is not None else {"metadata": {}}
        self._ranges.pop(key, None)
        if is_ready(obj):
            self._ranges[key] = obj["spec"]["cidrs"]

    def _offer(self) -> None:
        """The settings' own ranges first, then by name."""
        ordered = sorted(self._ranges.items(), key=lambda item: (not item[0].endswith(f"/{DEFAULT_NAME}"), item[0]))
        self._pools.set_ranges(list(dict.fromkeys(cidr for _, cidrs in ordered for cidr in cidrs)))
