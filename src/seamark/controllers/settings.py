"""What the controllers are told about the cluster. Addresses and names are the composition root's to decide."""

from __future__ import annotations

from dataclasses import dataclass

from seamark.controllers.selection import KNOWN


@dataclass(frozen=True, slots=True)
class ControllerSettings:
    """``api_endpoint`` is where pods reach the API server (address, port); None = from nowhere, as without nodes.

    ``kubernetes_ip`` is the first address of the service range, ``cluster_dns`` the tenth. ``enabled``: the controllers
    that run, by the names of ``selection.py``.
    """

    cluster_domain: str = "cluster.local"
    cluster_dns: str = "10.96.0.10"
    kubernetes_ip: str = "10.96.0.1"
    api_endpoint: tuple[str, int] | None = None
    ca_pem: str = ""
    ca_key_pem: bytes = b""  # empty = certificate requests are not signed here
    dns_image: str = "seamark.local/seamark"
    dns_replicas: int = 2
    node_local_dns: bool = False
    enabled: frozenset[str] = frozenset(KNOWN)
    is_guest: bool = False
    """The API server is another's, with loops of its own: its Service, definitions, addresses, the end of Events."""
