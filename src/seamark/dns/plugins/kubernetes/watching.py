"""Informers -> the table: every change of the registry reaches the answers within one turn of the loop.

With ``snapshot FILE`` the table is what the file holds until every first list is complete; what those do not hold goes
then. The file follows the table a while behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from seamark.client.client import Client, WatchEvent
from seamark.client.committed import commit_time, revision_of
from seamark.client.http import ANONYMOUS, Credentials
from seamark.client.informer import Informer
from seamark.client.kubeconfig import ApiAccess, KubeconfigError, in_cluster, load_kubeconfig
from seamark.compile.dnsimports import ServiceImport, imported
from seamark.compile.dnstable import DnsTable
from seamark.dns.host import Host
from seamark.dns.plugins.kubernetes.config import Access, Config
from seamark.dns.plugins.kubernetes.measured import MeasuredTransport
from seamark.dns.plugins.kubernetes.propagation import observe_propagation
from seamark.dns.plugins.kubernetes.saved import (
    Snapshot,
    SnapshotError,
    parse_objects,
    parse_snapshot,
    render_snapshot,
    write_snapshot,
)
from seamark.dns.plugins.kubernetes.visible import Visible
from seamark.machinery.clock import parse_time
from seamark.machinery.gvr import ENDPOINTSLICES, GVR, NAMESPACES, PODS, SERVICES
from seamark.model.endpointslice import EndpointSlice
from seamark.model.meta import LAST_CHANGE_TRIGGER_TIME, Object
from seamark.model.pod import Pod
from seamark.model.service import Namespace, Service
from seamark.model.snapshot import Change, Kind

AGENT = "seamark-dns"
PAGE = 500
SAVE_PAUSE = 10.0
SERVICEIMPORTS = GVR("multicluster.x-k8s.io", "v1alpha1", "serviceimports", "ServiceImport")


def open_client(config: Config, host: Host) -> Client:
    """Raises CorefileError, at the plugin's name, when the API server cannot be known."""
    if host.connect is not None:
        return host.connect(config)
    try:
        access = _access(config.access, host)
        measured = MeasuredTransport(access.transport(), access.base_url, host)
        return Client(measured.limited(config.limits) if config.limits.any else measured, agent=AGENT)
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

    ``synced``: every first list is complete. ``stale``: until then the table is that of ``saved`` (Unix seconds).
    """

    def __init__(
        self, config: Config, client: Client, host: Host, table: DnsTable, imports: DnsTable | None = None
    ) -> None:
        self._config = config
        self._client = client
        self._host = host
        self._table = table
        self._imports = imports
        self._informers: dict[str, Informer[Any]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._left: list[tuple[str, Object]] = []
        self._written = -1
        self._synced = asyncio.Event()
        self.saved = 0.0
        self.visible = Visible(lambda: [informer.last_revision for informer in self._informers.values()], host.clock)

    @property
    def synced(self) -> bool:
        return self._synced.is_set()

    @property
    def stale(self) -> bool:
        return bool(self.saved) and not self.synced

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
        self._load()
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(informer.run()) for informer in self._informers.values()]
        self._tasks.append(loop.create_task(self._sync()))

    async def wait_synced(self) -> None:
        await self._synced.wait()

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._save()
        await self._client.close()

    def pod_at(self, address: str) -> Pod | None:
        """The pod with that address (``pods verified``)."""
        key, pods = self._table.pod_at(address), self._informers.get(PODS.resource)
        return pods.get(key) if pods is not None and key is not None else None

    def _watch(self, gvr: GVR, kind: Kind, projection: type[Object], selector: str) -> None:
        informer: Informer[Any] = Informer(
            self._client,
            gvr,
            projection,
            clock=self._host.clock,
            label_selector=selector,
            page=PAGE,
            streaming=True,
            commit_times=True,
        )
        handler = self._import_handler if projection is ServiceImport else self._handler(kind, informer)
        informer.on_change(handler)
        self._informers[gvr.resource] = informer

    async def _sync(self) -> None:
        """Once all lists are there: what only the snapshot knew goes, and the file follows from now on."""
        await asyncio.gather(*(informer.wait_synced() for informer in self._informers.values()))
        for resource, item in self._left:
            if item.key not in self._informers[resource].items:
                self._tell(resource, item, None)
        self._left = []
        self._synced.set()
        self._table.version += 1  # what was said of a stale table is not to be said again
        self._host.metrics.stale.set(0)
        while self._config.snapshot:
            await self._save()
            await self._host.clock.sleep(SAVE_PAUSE)

    # the snapshot

    @property
    def _selectors(self) -> list[str]:
        return [self._config.labels, self._config.namespace_labels]

    def _load(self) -> None:
        path = self._config.snapshot
        if not path:
            return
        try:
            found = parse_snapshot(Path(path).read_bytes(), selectors=self._selectors)
        except FileNotFoundError:
            return
        except (OSError, SnapshotError) as error:
            self._host.log(f"[WARNING] plugin/kubernetes: snapshot {path} is not used: {error}")
            return
        self._take(found)

    def _take(self, snapshot: Snapshot) -> None:
        for resource, informer in self._informers.items():
            for item in parse_objects(snapshot.objects.get(resource, ()), informer.kind):
                self._tell(resource, None, item)
                self._left.append((resource, item))
        self.saved = snapshot.saved
        self._host.metrics.stale.set(1)
        self._host.metrics.snapshot_time.set(snapshot.saved)

    def _tell(self, resource: str, old: Any, new: Any) -> None:
        """To the table, as the informer of that resource would."""
        informer = self._informers[resource]
        if informer.kind is ServiceImport:
            self._import_handler(old, new, 0.0)
        else:
            self._apply(Change(cast(Kind, informer.kind.__name__), (new or old).key, old, new, 0.0))

    async def _save(self) -> None:
        path = self._config.snapshot
        if not path or not self.synced or self._written == self._table.version:
            return
        version, now = self._table.version, self._host.clock.time()
        objects = {resource: informer.items.values() for resource, informer in self._informers.items()}
        data = render_snapshot(objects, selectors=self._selectors, now=now)
        try:
            await asyncio.to_thread(write_snapshot, Path(path), data)
        except OSError as error:
            self._host.log(f"[WARNING] plugin/kubernetes: snapshot {path} cannot be written: {error.strerror}")
            return
        self._written = version
        self._host.metrics.snapshot_time.set(now)

    # changes

    def _handler(self, kind: Kind, informer: Informer[Any]) -> Callable[[Any, Any, float], None]:
        def changed(old: Any, new: Any, seen: float) -> None:
            event = informer.event
            committed = commit_time(event)[0] if event is not None else 0.0
            self._apply(Change(kind, (new or old).key, old, new, committed or seen))
            if event is None:
                return
            self.visible.note(revision_of(event) if new is None else new.metadata.resource_version)
            if kind in ("Service", "EndpointSlice"):
                self._measure(kind, new or old, event)

        return changed

    def _apply(self, change: Change) -> None:
        self._table.update(change)
        if self._imports is not None and change.kind != "Service":
            self._imports.update(self._as_import(change))

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

    def _measure(self, kind: str, item: Service | EndpointSlice, event: WatchEvent) -> None:
        """From the commit, and (CoreDNS's measure) from the change that the slice tells of, to the answer."""
        key = item.service_key if isinstance(item, EndpointSlice) else item.key
        service = self._table.service(key) if key else None
        service = item if isinstance(item, Service) else service
        now = self._host.clock.time()
        observe_propagation(self._host.metrics, event, kind, service=service, now=now)
        text = item.annotations.get(LAST_CHANGE_TRIGGER_TIME)
        if kind != "EndpointSlice" or event.type == "DELETED" or not text or service is None:
            return
        if not service.spec.selector:
            return
        shape = "headless_with_selector" if service.is_headless else "cluster_ip"
        try:
            seconds = now - parse_time(text)
        except ValueError:
            return
        self._host.metrics.programming.labels(shape).observe(max(seconds, 0.0))
