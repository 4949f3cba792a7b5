"""Informers -> the table: every change of the registry reaches the answers within one turn of the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from seamark.client.base import Transport
from seamark.client.client import Client
from seamark.client.http import ANONYMOUS, Credentials
from seamark.client.informer import Informer
from seamark.client.kubeconfig import ApiAccess, KubeconfigError, in_cluster, load_kubeconfig
from seamark.compile.dnsimports import ServiceImport, imported
from seamark.compile.dnstable import DnsTable
from seamark.dns.host import Host
from seamark.dns.plugins.kubernetes.config import Access, Config
from seamark.dns.plugins.kubernetes.limits import LimitedTransport
from seamark.machinery.clock import parse_time
from seamark.machinery.gvr import ENDPOINTSLICES, GVR, NAMESPACES, PODS, SERVICES
from seamark.model.endpointslice import EndpointSlice
from seamark.model.meta import LAST_CHANGE_TRIGGER_TIME, Object
from seamark.model.pod import Pod
from seamark.model.service import Namespace, Service
from seamark.model.snapshot import Change, Kind

AGENT = "seamark-dns"
PAGE = 500
SERVICEIMPORTS = GVR("multicluster.x-k8s.io", "v1alpha1", "serviceimports", "ServiceImport")


def open_client(config: Config, host: Host) -> Client:
    """Raises CorefileError, at the plugin's name, when the API server cannot be known."""
    if host.connect is not None:
        return host.connect(config)
    try:
        transport: Transport = _access(config.access, host).transport()
        if config.limits.any:
            transport = LimitedTransport(transport, config.limits, host.clock)
        return Client(transport, agent=AGENT)
    except (KubeconfigError, ValueError, OSError) as error:
        raise config.token.error(f"kubernetes: {error}") from error


def _access(access: Access, host: Host) -> ApiAccess:
    if access.kubeconfig:
        return load_kubeconfig(access.kubeconfig, access.context or None)
    if not access.endpoint:
        return in_cluster(host.environment)
    if access.tls is None:
        return ApiAccess(access.endpoint)
    certificate, key, authority = (Path(file).read_bytes() for file in access.tls)
    credentials = Credentials(certificate, key) if certificate else ANONYMOUS
    return ApiAccess(access.endpoint, ca=authority, credentials=credentials)


class Watching:
    """Keeps ``table`` at the state of the registry, from ``start`` to ``stop``; ``imports`` at that of what other
    clusters export, where there is such a zone.
    """

    def __init__(
        self, config: Config, client: Client, host: Host, table: DnsTable, imports: DnsTable | None = None
    ) -> None:
        self._config = config
        self._client = client
        self._host = host
        self._table = table
        self._imports = imports
        self._informers: list[Informer[Any]] = []
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def synced(self) -> bool:
        return bool(self._informers) and all(informer.synced for informer in self._informers)

    def start(self) -> None:
        config = self._config
        self._watch(NAMESPACES, "Namespace", Namespace, config.namespace_labels)
        self._watch(SERVICES, "Service", Service, config.labels)
        if config.endpoints:
            self._watch(ENDPOINTSLICES, "EndpointSlice", EndpointSlice, config.labels)
        if config.options.pods == "verified":
            self._watch(PODS, "Pod", Pod, config.labels)
        if self._imports is not None:
            self._watch(SERVICEIMPORTS, "Service", ServiceImport, config.labels)
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(informer.run()) for informer in self._informers]

    async def wait_synced(self) -> None:
        await asyncio.gather(*(informer.wait_synced() for informer in self._informers))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.close()

    def _watch(self, gvr: GVR, kind: Kind, projection: type[Object], selector: str) -> None:
        informer: Informer[Any] = Informer(
            self._client, gvr, projection, clock=self._host.clock, label_selector=selector, page=PAGE
        )
        informer.on_change(self._import_handler if projection is ServiceImport else self._handler(kind))
        self._informers.append(informer)

    def _handler(self, kind: Kind) -> Callable[[Any, Any, float], None]:
        def changed(old: Any, new: Any, seen: float) -> None:
            self._table.update(Change(kind, (new or old).key, old, new, seen))
            if self._imports is not None and kind != "Service":
                self._imports.update(self._as_import(Change(kind, (new or old).key, old, new, seen)))
            if kind == "EndpointSlice" and new is not None and self.synced:
                self._measure(cast(EndpointSlice, new))

        return changed

    def _import_handler(self, old: Any, new: Any, seen: float) -> None:
        assert self._imports is not None
        was, now = (item and item.as_service() for item in (old, new))
        self._imports.update(Change("Service", (new or old).key, was, now, seen))

    def _as_import(self, change: Change) -> Change:
        if change.kind != "EndpointSlice":
            return change
        naming = self._config.options.naming
        old, new = (
            item and imported(item, naming)
            for item in (cast("EndpointSlice | None", change.old), cast("EndpointSlice | None", change.new))
        )
        return Change(change.kind, change.key, old, new, change.committed)

    def _measure(self, item: EndpointSlice) -> None:
        """From the change that the slice tells of to the answer (the annotation is kube-controller-manager's)."""
        text = item.annotations.get(LAST_CHANGE_TRIGGER_TIME)
        service = self._table.service(item.service_key) if item.service_key else None
        if not text or service is None or not service.spec.selector:
            return
        kind = "headless_with_selector" if service.is_headless else "cluster_ip"
        try:
            seconds = self._host.clock.time() - parse_time(text)
        except ValueError:
            return
        self._host.metrics.programming.labels(kind).observe(max(seconds, 0.0))
