"""Service + slices -> the endpoints of each service port. Every other product starts from this one.

Rules (facts measured on kube-proxy 1.36 and CoreDNS 1.15):

* The unit is (service, port name, protocol); the port *number* comes from the slice, so one port name may map to
  different numbers in different slices.
* Endpoint identity is ip:port. The same address in two slices counts once; when it appears both terminating and
  not, the one that is not wins.
* Only ``addresses[0]`` of an endpoint is used by a proxy; DNS takes them all.
"""

from __future__ import annotations

from typing import NamedTuple

from seamark.model.meta import Provenance


class BackendEndpoint(NamedTuple):
    """One ip:port behind a service port."""

    ip: str
    port: int
    ready: bool
    serving: bool
    terminating: bool
    node: str
    zone: str
    origin: Provenance
    for_zones: tuple[str, ...] = ()
    for_nodes: tuple[str, ...] = ()


class PortEndpoints(NamedTuple):
    """The endpoints of one service port, sorted by (ip, port)."""

    port_name: str
    protocol: str
    endpoints: tuple[BackendEndpoint, ...]
