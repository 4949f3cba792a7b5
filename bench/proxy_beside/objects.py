"""Services that are numbered, and the EndpointSlice of each at a turn: a turn replaces all endpoints.

Endpoints of even and odd turns lie in two /16 ranges, so that an answer tells which turn it is of.
"""

from __future__ import annotations

from typing import Any

Obj = dict[str, Any]

NODE, CLIENT, SERVER = "172.30.0.11", "10.244.1.9", "10.244.1.2"
ENDPOINT_RANGE = "10.200.0.0/15"
PORT = 8080
PROBE = 0
"""The number of the Service whose changes are timed during a burst; the burst leaves it alone."""


def cluster_ip(number: int) -> str:
    place = number + 256
    return f"10.{96 + (place >> 16)}.{place >> 8 & 255}.{place & 255}"


def service(number: int, *, affinity: bool = False) -> Obj:
    spec: Obj = {
        "type": "ClusterIP",
        "clusterIP": cluster_ip(number),
        "clusterIPs": [cluster_ip(number)],
        "ipFamilies": ["IPv4"],
        "internalTrafficPolicy": "Cluster",
        "sessionAffinity": "ClientIP" if affinity else "None",
        "ports": [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": PORT}],
    }
    if affinity:
        spec["sessionAffinityConfig"] = {"clientIP": {"timeoutSeconds": 10800}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": _meta(number), "spec": spec}


def endpoint_slice(number: int, turn: int, *, endpoints: int = 10) -> Obj:
    items = [
        {
            "addresses": [f"10.{200 + turn % 2}.{number % 250}.{place + 1}"],
            "nodeName": f"node{place % 10 + 1}",
            "conditions": {"ready": True, "serving": True, "terminating": False},
        }
        for place in range(endpoints)
    ]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**_meta(number), "labels": {"kubernetes.io/service-name": f"s{number}"}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "protocol": "TCP", "port": PORT}],
        "endpoints": items,
    }


def node() -> Obj:
    status = {"addresses": [{"type": "InternalIP", "address": NODE}]}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1"}, "status": status}


def _meta(number: int) -> Obj:
    return {"name": f"s{number}", "namespace": "default"}
