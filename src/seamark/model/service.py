"""core/v1 Service and Namespace, as far as Seamark reads them."""

from __future__ import annotations

import msgspec

from seamark.model.meta import Object, Projection

DEFAULT_AFFINITY_SECONDS = 10800


class ServicePort(Projection, frozen=True):
    name: str = ""
    protocol: str = "TCP"
    app_protocol: str | None = None
    port: int = 0
    target_port: int | str | None = None
    node_port: int = 0


class ClientIPConfig(Projection, frozen=True):
    timeout_seconds: int | None = None


class SessionAffinityConfig(Projection, frozen=True):
    client_ip: ClientIPConfig | None = msgspec.field(default=None, name="clientIP")


class LoadBalancerIngress(Projection, frozen=True):
    ip: str = ""
    hostname: str = ""
    ip_mode: str | None = None


class LoadBalancerStatus(Projection, frozen=True):
    ingress: list[LoadBalancerIngress] | None = None


class ServiceStatus(Projection, frozen=True):
    load_balancer: LoadBalancerStatus | None = None


class ServiceSpec(Projection, frozen=True):
    type: str = "ClusterIP"
    selector: dict[str, str] | None = None
    ports: list[ServicePort] | None = None
    cluster_ip: str = msgspec.field(default="", name="clusterIP")
    cluster_ips: list[str] | None = msgspec.field(default=None, name="clusterIPs")
    external_ips: list[str] | None = msgspec.field(default=None, name="externalIPs")
    external_name: str = ""
    ip_families: list[str] | None = None
    ip_family_policy: str | None = None
    session_affinity: str = "None"
    session_affinity_config: SessionAffinityConfig | None = None
    load_balancer_source_ranges: list[str] | None = None
    publish_not_ready_addresses: bool = False
    external_traffic_policy: str = ""
    internal_traffic_policy: str | None = None
    traffic_distribution: str = ""
    health_check_node_port: int = 0


class Service(Object, frozen=True):
    spec: ServiceSpec = ServiceSpec()
    status: ServiceStatus = ServiceStatus()

    @property
    def is_headless(self) -> bool:
        return self.spec.cluster_ip == "None"

    @property
    def cluster_ips(self) -> tuple[str, ...]:
        """Every allocated virtual IP; empty for headless, ExternalName and not yet allocated Services."""
        found = self.spec.cluster_ips or ([self.spec.cluster_ip] if self.spec.cluster_ip else [])
        return tuple(ip for ip in found if ip and ip != "None")

    @property
    def affinity_seconds(self) -> int:
        """Idle seconds of ``sessionAffinity: ClientIP``; 0 without affinity."""
        if self.spec.session_affinity != "ClientIP":
            return 0
        config = self.spec.session_affinity_config
        given = config.client_ip.timeout_seconds if config and config.client_ip else None
        return DEFAULT_AFFINITY_SECONDS if given is None else given


class NamespaceSpec(Projection, frozen=True):
    finalizers: list[str] | None = None


class NamespaceStatus(Projection, frozen=True):
    phase: str = ""


class Namespace(Object, frozen=True):
    spec: NamespaceSpec = NamespaceSpec()
    status: NamespaceStatus = NamespaceStatus()
