"""Builders of Services and slices as the registry holds them, short enough for tables."""

from __future__ import annotations

from typing import Any

import pytest

from seamark.compile.ruleset import NodeConfig
from seamark.model import codec
from seamark.model.endpointslice import EndpointSlice
from seamark.model.service import Service


class Objects:
    """``service()`` and ``slice_()``; a port is ``name/protocol:number``, an endpoint an address or a dict."""

    def service(
        self, name: str = "web", ip: str = "10.96.0.9", *ports: Any, labels: dict[str, str] | None = None, **spec: Any
    ) -> Service:
        meta = {"name": name, "namespace": "default", "labels": labels or {}, "resourceVersion": "1"}
        given = list(ports) or [{"name": "http", "port": 80}]
        ingress = spec.pop("ingress", None)
        status = {"loadBalancer": {"ingress": ingress}} if ingress else {}
        return codec.convert(
            {"metadata": meta, "spec": {"clusterIP": ip, "ports": given, **spec}, "status": status}, Service
        )

    def slice_(
        self,
        *endpoints: Any,
        service: str = "web",
        name: str = "",
        ports: Any = ({"name": "http", "port": 8080},),
        family: str = "IPv4",
        labels: dict[str, str] | None = None,
    ) -> EndpointSlice:
        items = [{"addresses": [e], "nodeName": "node1"} if isinstance(e, str) else e for e in endpoints]
        meta = {
            "name": name or f"{service}-x",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": service, **(labels or {})},
            "resourceVersion": "2",
        }
        body = {"metadata": meta, "addressType": family, "ports": list(ports), "endpoints": items}
        return codec.convert(body, EndpointSlice)

    def endpoint(self, ip: str, node: str = "node1", *, zones: Any = (), nodes: Any = (), **conditions: bool) -> Any:
        hints: dict[str, Any] = {}
        if zones:
            hints["forZones"] = [{"name": z} for z in zones]
        if nodes:
            hints["forNodes"] = [{"name": n} for n in nodes]
        return {"addresses": [ip], "nodeName": node, "conditions": conditions, **({"hints": hints} if hints else {})}


@pytest.fixture
def objects() -> Objects:
    return Objects()


@pytest.fixture
def node() -> NodeConfig:
    return NodeConfig("node1", ("172.30.0.11",), ("10.244.0.0/16",), ("10.96.0.0/12",), zone="a")
