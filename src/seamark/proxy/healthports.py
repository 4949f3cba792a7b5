"""Health check node ports: where a load balancer asks this node whether it has endpoints of a Service.

One listening socket for each Service of type LoadBalancer with externalTrafficPolicy Local, and for each family. Any
path answers 200 where this node has *ready* endpoints (a terminating one is none, each address counts once over all
ports) and the proxy is healthy, else 503; load balancers weigh nodes by a header. A port that cannot be opened is
reported once and tried again; it stops nothing else. Node addresses that serve no node ports hang up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

from seamark.compile.ruleset import Family, NodeConfig, PortRules
from seamark.linux.listener import open_listener
from seamark.machinery.clock import Clock
from seamark.model.meta import ObjectKey
from seamark.proxy.webserver import Answer, WebServer, json_answer

logger = logging.getLogger(__name__)

ANY: dict[Family, str] = {"IPv4": "0.0.0.0", "IPv6": "::"}  # load balancers come from outside


class HealthCheck(NamedTuple):
    """``endpoints``: how many addresses of this node are ready."""

    port: int
    endpoints: int


def select_health_check(rules: Collection[PortRules], node: NodeConfig) -> HealthCheck | None:
    """What load balancers are told of one Service; None where it has no such port."""
    port = next((one.health_check_port for one in rules if one.health_check_port), 0)
    if not port:
        return None
    ready = {e.ip for one in rules for e in one.external.endpoints if e.ready and e.node == node.name}
    return HealthCheck(port, len(ready))


class HealthCheckPorts:
    """``failed`` is told once of a Service whose port cannot be opened, and why."""

    def __init__(
        self,
        *,
        namespace: Path | None,
        clock: Clock,
        healthy: Callable[[], bool],
        failed: Callable[[ObjectKey, str], None],
    ) -> None:
        self.node: NodeConfig | None = None
        self._clock = clock
        self._namespace = namespace
        self._healthy = healthy
        self._failed = failed
        self._checks: dict[tuple[Family, ObjectKey], HealthCheck] = {}
        self._servers: dict[tuple[Family, ObjectKey], WebServer] = {}
        self._missing: set[tuple[Family, ObjectKey]] = set()

    def has(self, family: Family, service: ObjectKey) -> bool:
        """Whether the Service has a check now."""
        return (family, service) in self._checks

    async def put(self, family: Family, service: ObjectKey, check: HealthCheck | None) -> None:
        """The Service's check from now on; None = none."""
        key = (family, service)
        old = self._checks.pop(key, None)
        if check is not None:
            self._checks[key] = check
        if old is not None and (check is None or check.port != old.port):
            self._missing.discard(key)
            if key in self._servers:
                self._servers.pop(key).close()
        if check is not None and key not in self._servers:
            await self._open(key, check)

    async def retry(self) -> None:
        """Once more for the ports that could not be opened."""
        for key in tuple(self._missing):
            await self._open(key, self._checks[key])

    def close(self) -> None:
        for server in self._servers.values():
            server.close()
        self._servers.clear()

    async def _open(self, key: tuple[Family, ObjectKey], check: HealthCheck) -> None:
        family, service = key
        try:
            listener = open_listener(self._namespace, ANY[family], check.port)
        except OSError as error:
            if key not in self._missing:
                message = f"node {self.node.name if self.node else '?'}: health check node port: {error.strerror}"
                logger.error("service=%s %s", service, message)
                self._failed(service, message)
            self._missing.add(key)
            return
        server = self._servers[key] = WebServer(
            listener, lambda _path, address: self._answer(key, address), self._clock
        )
        await server.start()
        self._missing.discard(key)

    def _answer(self, key: tuple[Family, ObjectKey], address: str) -> Answer | None:
        check = self._checks.get(key)
        if check is None or (self.node is not None and not self._serves(self.node, address)):
            return None
        healthy = self._healthy()
        found = {
            "service": {"namespace": key[1].namespace, "name": key[1].name},
            "localEndpoints": check.endpoints,
            "serviceProxyHealthy": healthy,
        }
        weight = {"X_Load_Balancing_Endpoint_Weight": str(check.endpoints)}
        return json_answer(found, 200 if healthy and check.endpoints else 503, indent="\t", **weight)

    @staticmethod
    def _serves(node: NodeConfig, address: str) -> bool:
        """Loopback may ask as well: that is how an administrator looks."""
        return address in ("127.0.0.1", "::1") or node.serves_node_ports_on(address)
