"""Objects by chance, the same for the same seed: Services of every kind, slices, pods; and what to ask about them."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from seamark.client.client import Client
from seamark.machinery.gvr import ENDPOINTSLICES, NAMESPACES, PODS, SERVICES
from seamark.machinery.status import StatusError

ZONE = "cluster.local."
NAMES = ("web", "db", "api", "mail", "cache", "auth", "search", "log")
PORTS = (("http", "TCP", 80), ("https", "TCP", 443), ("dns", "UDP", 53), ("dns-tcp", "TCP", 53), ("assoc", "SCTP", 132))
CLIENT = "127.0.0.1"
"""Who asks in the comparison, and the address of one of the pods, so that autopath knows it."""


@dataclass(slots=True)
class World:
    """What was put into the registry, for the questions."""

    random: random.Random
    services: list[tuple[str, str]] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    hosts: list[tuple[str, str, str]] = field(default_factory=list)
    namespaces: tuple[str, ...] = ("default", *(f"ns{n}" for n in range(1, 8)))
    failed: int = 0

    async def fill(self, client: Client, count: int) -> None:
        for namespace in self.namespaces[1:]:
            await self._create(client, NAMESPACES, {"metadata": {"name": namespace}})
        for number in range(count):
            await self._service(client, f"{self.random.choice(NAMES)}-{number}", self.random.choice(self.namespaces))
        for number in range(count // 10):
            address = f"10.245.{self.random.randrange(4)}.{self.random.randrange(1, 250)}"
            await self._pod(client, f"pod-{number}", self.random.choice(self.namespaces), address)
        await self._pod(client, "asker", "default", CLIENT)

    async def _create(self, client: Client, gvr: Any, obj: dict[str, Any]) -> dict[str, Any]:
        try:
            return await client.create(gvr, obj)
        except StatusError:
            self.failed += 1
            return {}

    async def _service(self, client: Client, name: str, namespace: str) -> None:
        chance = self.random.random()
        labels = {"shown": self.random.choice(("yes", "yes", "no"))}
        spec: dict[str, Any] = {"ports": self._ports()}
        if chance < 0.12:
            spec = {"type": "ExternalName", "externalName": self._target(name, namespace)}
        elif chance < 0.5:
            spec["clusterIP"] = "None"
            if self.random.random() < 0.2:
                spec["ports"] = []
        elif self.random.random() < 0.2:
            spec["externalIPs"] = [f"192.0.2.{self.random.randrange(1, 250)}"]
        meta = {"name": name, "namespace": namespace, "labels": labels}
        made = await self._create(client, SERVICES, {"metadata": meta, "spec": spec})
        self.services.append((name, namespace))
        self.addresses += [ip for ip in made.get("spec", {}).get("clusterIPs") or [] if ip != "None"]
        for index in range(self.random.choice((0, 1, 1, 1, 2))):
            await self._slice(client, name, namespace, index, labels)

    def _ports(self) -> list[dict[str, Any]]:
        if self.random.random() < 0.2:
            return [{"port": self.random.randrange(1, 60000), "protocol": "TCP"}]
        chosen = self.random.sample(PORTS, self.random.randrange(1, 5))
        return [{"name": name, "protocol": protocol, "port": port} for name, protocol, port in chosen]

    def _target(self, name: str, namespace: str) -> str:
        other = self.random.choice(self.services or [(name, namespace)])
        return self.random.choice(
            (
                "outside.example",
                "nosuch.example",
                "Mixed.Example.",
                f"{other[0]}.{other[1]}.svc.cluster.local",
                f"{name}.{namespace}.svc.cluster.local",
                f"missing.{namespace}.svc.cluster.local",
            )
        )

    async def _slice(self, client: Client, name: str, namespace: str, index: int, labels: dict[str, str]) -> None:
        six = self.random.random() < 0.2
        endpoints = []
        for _ in range(self.random.choice((0, 1, 2, 3, 5, 40))):
            low = self.random.randrange(1, 2000)
            address = f"fd00:1::{low:x}" if six else f"10.244.{low // 250}.{low % 250 + 1}"
            endpoint: dict[str, Any] = {"addresses": [address], "conditions": {}}
            if self.random.random() < 0.8:
                endpoint["conditions"]["ready"] = self.random.random() < 0.85
            if self.random.random() < 0.2:
                endpoint["hostname"] = f"host-{self.random.randrange(3)}"
            if self.random.random() < 0.5:
                endpoint["zone"] = self.random.choice(("a", "b.c"))
            if self.random.random() < 0.3:
                endpoint["targetRef"] = {"kind": "Pod", "namespace": namespace, "name": f"pod-{low}"}
            endpoints.append(endpoint)
            self.addresses.append(address)
            host = address.replace(".", "-").replace(":", "-")
            self.hosts.append((self.random.choice((host, f"pod-{low}", "host-0")), name, namespace))
        ports = [] if self.random.random() < 0.1 else self._ports()
        meta = {"name": f"{name}-{index}", "namespace": namespace}
        labels = {**labels, "kubernetes.io/service-name": name}
        kind = "IPv6" if six else "IPv4"
        body = {"metadata": {**meta, "labels": labels}, "addressType": kind, "endpoints": endpoints, "ports": ports}
        await self._create(client, ENDPOINTSLICES, body)

    async def _pod(self, client: Client, name: str, namespace: str, address: str) -> None:
        spec = {"containers": [{"name": "c", "image": "x"}], "schedulerName": "nobody"}
        meta = {"name": name, "namespace": namespace, "labels": {"shown": "yes"}}
        made = await self._create(client, PODS, {"metadata": meta, "spec": spec})
        phase = "Running" if address == CLIENT else self.random.choice(("Running", "Running", "Failed"))
        made["status"] = {"phase": phase, "podIP": address}
        made["status"]["podIPs"] = [{"ip": address}]
        try:
            await client.update_status(PODS, made)
        except StatusError:
            self.failed += 1
        self.hosts.append((address.replace(".", "-"), "", namespace))
