"""What the composition root tells the API server about the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from seamark.machinery.wire import Identity

SERVER_VERSION = "v1.36.3+seamark"  # of the API served, as clients read it; the suffix says by whom


@dataclass(frozen=True, slots=True)
class ApiConfig:
    """``service_account_key`` is the PEM private key (ECDSA P-256 or RSA) that signs service-account tokens."""

    service_cidrs: tuple[str, ...] = ("10.96.0.0/12",)
    node_port_range: tuple[int, int] = (30000, 32767)
    held_back_ips: tuple[str, ...] = ()  # given only to Services that ask for them: kubernetes, the cluster DNS
    service_account_key: bytes = b""
    issuer: str = "https://kubernetes.default.svc.cluster.local"
    audiences: tuple[str, ...] = ("https://kubernetes.default.svc.cluster.local",)
    tokens: Mapping[str, Identity] = field(default_factory=dict)  # static bearer tokens
    advertise_address: str = ""  # host:port shown in /api, for clients that ask where the server is
