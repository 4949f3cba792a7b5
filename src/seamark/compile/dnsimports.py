"""ServiceImports (multicluster.x-k8s.io) as the Services and slices that a DNS table is made of. Pure.

An imported slice tells its Service and its cluster by labels; its endpoints are named HOST.CLUSTER. A slice without
either label belongs to no import.
"""

from __future__ import annotations

import msgspec

from seamark.compile.dnsrecords import Naming, endpoint_host
from seamark.model.endpointslice import EndpointSlice
from seamark.model.meta import SERVICE_NAME_LABEL, Object, Projection
from seamark.model.service import Service, ServicePort, ServiceSpec

IMPORT_LABEL = "multicluster.kubernetes.io/service-name"
CLUSTER_LABEL = "multicluster.kubernetes.io/source-cluster"


class ServiceImportSpec(Projection, frozen=True):
    type: str = "ClusterSetIP"
    ips: list[str] | None = None
    ports: list[ServicePort] | None = None


class ServiceImport(Object, frozen=True):
    spec: ServiceImportSpec = ServiceImportSpec()

    def as_service(self) -> Service:
        if self.spec.type == "Headless":
            spec = ServiceSpec(cluster_ip="None", ports=self.spec.ports)
        else:
            ips = self.spec.ips or []
            spec = ServiceSpec(cluster_ip=ips[0] if ips else "", cluster_ips=ips, ports=self.spec.ports)
        return Service(metadata=self.metadata, spec=spec)


def imported(item: EndpointSlice, naming: Naming) -> EndpointSlice:
    """The slice under the Service and the endpoint names of its import."""
    labels = {key: value for key, value in item.labels.items() if key != SERVICE_NAME_LABEL}
    cluster = labels.get(CLUSTER_LABEL, "").lower()
    if cluster and IMPORT_LABEL in labels:
        labels[SERVICE_NAME_LABEL] = labels[IMPORT_LABEL]
    endpoints = []
    for endpoint in item.endpoints or []:
        for address in endpoint.addresses or []:
            host = f"{endpoint_host(endpoint, address, naming)}.{cluster}"
            endpoints.append(msgspec.structs.replace(endpoint, addresses=[address], hostname=host))
    metadata = msgspec.structs.replace(item.metadata, labels=labels)
    return msgspec.structs.replace(item, metadata=metadata, endpoints=endpoints)
