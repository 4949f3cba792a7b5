"""Whether anybody still sends new connections to a pod: what its SIGTERM waits for, at most a second.

The service proxies are in this process and are asked themselves. DNS runs in pods: each is asked over HTTP, from a
node, whether it has the EndpointSlices from which the pod is gone (``/visible`` of the plugin health). One that cannot
be asked, or does not follow a registry, holds nothing up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from seamark.agent.connect import Connect, connected
from seamark.client.base import TransportError
from seamark.client.client import Client
from seamark.client.informer import Informer
from seamark.machinery.clock import Clock
from seamark.machinery.gvr import ENDPOINTSLICES
from seamark.machinery.status import StatusError
from seamark.model.endpointslice import EndpointSlice
from seamark.model.meta import HEADLESS_LABEL
from seamark.proxy.proxy import ServiceProxy

log = logging.getLogger(__name__)

DNS_SERVICE = "kubernetes.io/service-name=kube-dns"
HEALTH_PORT = 8080
PATIENCE = "1s"


def lists(one: EndpointSlice, ip: str) -> bool:
    """Whether the slice offers the address for new connections, and not only since its Service offers all it has."""
    return any(ip in (e.addresses or ()) and e.is_ready and not e.is_terminating for e in one.endpoints or ())


class Leaving:
    """``connect`` opens connections on a node. ``run`` until cancelled."""

    def __init__(self, client: Client, proxies: Sequence[ServiceProxy], connect: Connect, *, clock: Clock) -> None:
        self._client = client
        self._proxies = proxies
        self._connect = connect
        self._headless = Informer(client, ENDPOINTSLICES, EndpointSlice, clock=clock, label_selector=HEADLESS_LABEL)
        self._changed = asyncio.Event()
        self._revision = ""  # of the headless slice that was seen last
        self._headless.on_change(self._on_slice)

    async def run(self) -> None:
        await self._headless.run()

    async def wait_unrouted(self, ip: str) -> None:
        await asyncio.gather(self._wait_unlisted(ip), *(proxy.wait_unrouted(ip) for proxy in self._proxies))
        revisions = [self._revision, *(proxy.slice_revision for proxy in self._proxies)]
        newest = max(filter(str.isdecimal, revisions), key=int, default="")
        if newest:
            servers = [server for server in await self._dns_servers() if server != ip]
            await asyncio.gather(*(self._wait_visible(server, newest) for server in servers))

    def _on_slice(self, old: EndpointSlice | None, new: EndpointSlice | None, seen: float) -> None:
        if new is not None:
            self._revision = new.metadata.resource_version
        self._changed.set()
        self._changed = asyncio.Event()

    async def _wait_unlisted(self, ip: str) -> None:
        """Until no headless Service names the pod: those have no rules, so no proxy follows them."""
        await self._headless.wait_synced()
        while any(lists(one, ip) for one in self._headless.items.values()):
            await self._changed.wait()

    async def _dns_servers(self) -> list[str]:
        try:
            slices = await self._client.list(
                ENDPOINTSLICES, namespace="kube-system", query={"labelSelector": DNS_SERVICE}
            )
        except (StatusError, TransportError) as error:
            log.warning("DNS servers not known, not waited for: %s", error)
            return []
        found = [endpoint for one in slices for endpoint in one.get("endpoints") or ()]
        ready = [e for e in found if (e.get("conditions") or {}).get("ready") is not False]
        return [address for endpoint in ready for address in endpoint.get("addresses") or ()]

    async def _wait_visible(self, server: str, revision: str) -> None:
        request = f"GET /visible?revision={revision}&timeout={PATIENCE} HTTP/1.1\r\nHost: {server}\r\n"
        try:
            async with connected(self._connect, server, HEALTH_PORT) as (reader, writer):
                writer.write(f"{request}Connection: close\r\n\r\n".encode())
                status = await reader.readline()
        except OSError as error:
            log.info("DNS server not asked server=%s error=%s", server, error)
            return
        if b" 504 " in status:
            log.info("DNS server behind server=%s revision=%s", server, revision)
