"""What all pods of a node share: made once by the NodeAgent, handed to every worker."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from seamark.agent.config import AgentConfig
from seamark.agent.connect import Connect
from seamark.agent.ipam import Addresses
from seamark.agent.podspec import Pod
from seamark.agent.sources import ConfigSources
from seamark.client.client import Client
from seamark.client.events import EventRecorder
from seamark.client.informer import Informer
from seamark.linux.runtime import Images, Runtime
from seamark.linux.sockets import is_listening
from seamark.machinery.clock import Clock
from seamark.model.service import Service


class AddressBook:
    """The one mutable holder of the node's pod addresses."""

    def __init__(self, cidr: str) -> None:
        self._held = Addresses(cidr)

    def give(self, uid: str) -> str:
        """Raises RangeExhaustedError."""
        self._held, ip = self._held.give(uid)
        return ip

    def adopt(self, uid: str, ip: str) -> None:
        self._held = self._held.adopt(uid, ip)

    def free(self, uid: str) -> None:
        self._held = self._held.free(uid)


@dataclass(frozen=True, slots=True)
class NodeContext:
    config: AgentConfig
    client: Client
    runtime: Runtime
    images: Images
    clock: Clock
    recorder: EventRecorder
    services: Informer[Service]
    sources: ConfigSources
    addresses: AddressBook
    connect: Connect
    listens: Callable[[int], bool | None] = is_listening
    allocatable: Mapping[str, str] = field(default_factory=dict)
    neighbours: Callable[[], Iterable[Pod]] = tuple  # pods that are not through
    pressures: Callable[[], frozenset[str]] = frozenset  # of the node's conditions MemoryPressure, …, those that hold
