"""Snapshot -> the environment variables by which a starting pod finds Services (product: EnvBlock).

Source: core/v1 PodSpec.enableServiceLinks; the Docker-link form is that of Docker's legacy container links.

Rules:

* A pod sees the Services of its own namespace that have a ClusterIP; headless, ExternalName and not yet allocated
  ones give nothing. With ``enableServiceLinks: false`` it sees only the API server's own Service.
* The API server's Service (``kubernetes`` in ``default``) is always there, in every namespace; a Service of the
  same name in the pod's namespace takes its place, but only where links are enabled.
* A block is what existed when it was compiled; nobody updates the environment of a running process.
* Services come sorted by name. The order matters only where two of them give one variable (Service ``a-b`` and
  port names): the later one wins, every time the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from seamark.model.meta import ObjectKey, Provenance
from seamark.model.service import Service, ServicePort
from seamark.model.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class EnvVar:
    name: str
    value: str
    origin: Provenance


@dataclass(frozen=True, slots=True)
class EnvBlock:
    """Variables in the order kubelet gives them; ``as_dict`` is what a process gets (a later name wins)."""

    variables: tuple[EnvVar, ...]

    def as_dict(self) -> dict[str, str]:
        return {v.name: v.value for v in self.variables}


def compile_env(
    snapshot: Snapshot,
    namespace: str,
    *,
    enable_service_links: bool,
    master_namespace: str = "default",
    master_service: str = "kubernetes",
) -> EnvBlock:
    """The Service variables of a pod that starts now in ``namespace``."""
    seen: dict[str, Service] = {}
    master = snapshot.services.get(ObjectKey(master_namespace, master_service))
    if master is not None and _has_cluster_ip(master):
        seen[master_service] = master
    if enable_service_links:
        own = (s for s in snapshot.services.values() if s.metadata.namespace == namespace)
        seen.update((s.metadata.name, s) for s in own if _has_cluster_ip(s))
    return EnvBlock(tuple(var for _, service in sorted(seen.items()) for var in compile_service_env(service)))


def compile_service_env(service: Service) -> Iterator[EnvVar]:
    """The variables of one Service with a ClusterIP."""
    origin = service.provenance()
    prefix = _variable(service.metadata.name)
    ports = service.spec.ports or []
    if not ports:
        return
    address = service.spec.cluster_ip
    yield EnvVar(f"{prefix}_SERVICE_HOST", address, origin)
    yield EnvVar(f"{prefix}_SERVICE_PORT", str(ports[0].port), origin)
    for port in ports:
        if port.name:
            yield EnvVar(f"{prefix}_SERVICE_PORT_{_variable(port.name)}", str(port.port), origin)
    yield EnvVar(f"{prefix}_PORT", _url(address, ports[0]), origin)
    for port in ports:
        link = f"{prefix}_PORT_{port.port}_{port.protocol.upper()}"
        yield EnvVar(link, _url(address, port), origin)
        yield EnvVar(f"{link}_PROTO", port.protocol.lower(), origin)
        yield EnvVar(f"{link}_PORT", str(port.port), origin)
        yield EnvVar(f"{link}_ADDR", address, origin)


def _has_cluster_ip(service: Service) -> bool:
    return service.spec.cluster_ip not in ("", "None") and service.spec.type != "ExternalName"


def _variable(name: str) -> str:
    return name.replace("-", "_").upper()


def _url(address: str, port: ServicePort) -> str:
    host = f"[{address}]" if ":" in address else address
    return f"{port.protocol.lower()}://{host}:{port.port}"
