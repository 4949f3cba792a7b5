"""What a plugin may use of the world: clock, randomness, metrics, log lines, HTTP ports, the own server.

One Host per process, kept over reloads; one Site per server block of one loaded Corefile. Handlers get a Site when
they are made and nothing else, so a test gives them a FakeClock and a list for the log.
"""

from __future__ import annotations

import random
import ssl
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dns.message
import dns.name
import dns.rdatatype

from seamark.client.client import Client
from seamark.dns.corefile.keys import ZoneKey
from seamark.dns.listener import Listener
from seamark.dns.metrics import Metrics
from seamark.dns.plugin import Query
from seamark.machinery.clock import Clock

Lookup = Callable[[Query, dns.name.Name, dns.rdatatype.RdataType], Awaitable[dns.message.Message | None]]
HttpAnswer = tuple[int, str, bytes]
"""Status, content type, body."""


@dataclass(frozen=True, slots=True)
class Asked:
    """An HTTP path that reads the parameters of its query and may take its time."""

    answer: Callable[[Mapping[str, str]], Awaitable[HttpAnswer]]


HttpHandler = Callable[[], HttpAnswer] | Asked


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds a connection may take: for a whole query, for writing an answer, between two queries. ``queries`` is how
    many a TCP or TLS connection may ask, -1 = any number.
    """

    read: float = 5.0
    write: float = 5.0
    idle: float = 10.0
    queries: int = -1


@dataclass(frozen=True, slots=True)
class Limits:
    """Of a listener that serves HTTP/2 or QUIC. ``connections`` at once and ``streams`` of each; 0 = without bound, or
    the protocol's own. ``workers``: streams of all connections at once.
    """

    connections: int = 200
    streams: int = 256
    workers: int = 1024


DEFAULT_LIMITS: Mapping[str, Limits] = {
    "https": Limits(streams=250),
    "https3": Limits(),
    "grpc": Limits(),
    "quic": Limits(),
}
"""CoreDNS's, by transport."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """Files. ``keylog`` is where the secrets of connections go, None = nowhere."""

    chain: Path
    key: Path
    keylog: Path | None = None


class Joined:
    """Stands for a directive that a handler made before has taken over; it sees no queries."""


def write_line(line: str) -> None:
    """To standard output, as CoreDNS logs."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def _cannot_run(command: Sequence[str]) -> str:
    return "commands are not run here"


@dataclass(slots=True)
class Host:
    """``environment`` is that of the process; ``fatal`` ends it (plugin loop)."""

    clock: Clock
    environment: Mapping[str, str]
    metrics: Metrics = field(default_factory=Metrics)
    random: random.Random = field(default_factory=random.Random)
    log: Callable[[str], None] = write_line
    log_fields: Callable[[str, Mapping[str, object]], None] | None = None
    """Where log lines are JSON: a line with what is in it (plugin log)."""
    quiet: bool = False
    """Say nothing of the start."""
    fatal: Callable[[str], None] = sys.exit
    port: int = 53
    """Where server blocks without a port listen (``-dns.port``)."""
    as_coredns: bool = False
    """Answer as CoreDNS also where Seamark does otherwise on purpose (docs/differences-from-coredns.md)."""
    addresses: Callable[[], tuple[str, ...]] = tuple
    """The machine's own addresses, loopback left out."""
    run: Callable[[Sequence[str]], Awaitable[str]] = _cannot_run
    """Runs a command to its end; why it failed, empty where it did not (plugin on)."""
    processors: int = 1
    """How many this process may use."""
    interface: Callable[[str], tuple[str, ...]] = lambda name: ()
    """The addresses of one network interface."""
    connect: Callable[[Any], Client] | None = None
    """Opens the API of a ``kubernetes`` configuration; None = as the configuration says."""


async def _nowhere(query: Query, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> dns.message.Message | None:
    return None


@dataclass(slots=True)
class Site:
    """One server block. ``lookup`` asks the own server, as a query from the same client.

    ``http`` collects what plugins want served: (address, path) -> handler; ``plugins`` are all of this block.
    """

    host: Host
    keys: tuple[ZoneKey, ...] = ()
    lookup: Lookup = _nowhere
    plugins: list[tuple[str, Any]] = field(default_factory=list)
    http: dict[tuple[str, str], HttpHandler] = field(default_factory=dict)
    http_tls: dict[str, ssl.SSLContext | None] = field(default_factory=dict)
    """How addresses of ``http`` are served by HTTPS, where they are."""
    everyone: Callable[[], Sequence[tuple[str, Any]]] = tuple
    """All plugins of the whole Corefile, by name (what ``ready`` asks)."""

    root: Path = Path()
    """Where relative file names start (plugin root)."""
    bind: list[str] = field(default_factory=list)
    """The addresses to listen on; empty = all (plugin bind)."""
    timeouts: Timeouts | None = None
    tls: ssl.SSLContext | None = None
    certificate: Certificate | None = None
    """The files ``tls`` was made of, for QUIC."""
    limits: dict[str, Limits] = field(default_factory=dict)
    """By transport."""
    sockets: int = 0
    """How many to listen on at each address, shared with others; 0 = one of one's own (plugin multisocket)."""
    proxied: Any = None
    """Whose word counts for who asks (``server/proxied.py``, plugin proxyproto)."""
    view: str = ""
    """The name of the block's plugin view, as metrics tell it."""

    @property
    def listeners(self) -> tuple[Listener, ...]:
        hosts = self.bind or [""]
        return tuple(dict.fromkeys(Listener(key.port, host, key.transport) for key in self.keys for host in hosts))

    @property
    def zones(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(key.zone for key in self.keys))

    @property
    def server(self) -> str:
        """How metrics call the first listener of this block: ``dns://:53``."""
        return self.listeners[0].label if self.keys else ""
