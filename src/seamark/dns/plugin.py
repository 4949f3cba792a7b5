"""The plugin contract of the DNS server (DESIGN §4.11).

A plugin is a folder under ``plugins/``: README.md, ``config.py`` with ``parse(block) -> Config`` (errors with line
and column), and ``handler.py`` with one class: ``name`` and ``serve``. The order in which plugins see a query is
``order.py``'s, never the Corefile's. A plugin answers, or awaits the following one and
may change what comes back.

rcodes SERVFAIL, REFUSED, FORMERR and NOTIMP returned without a written answer mean "nothing written": the server
makes the reply (as CoreDNS's plugin.ClientWrite).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

from seamark.machinery.clock import Clock
from seamark.model.meta import Provenance
from seamark.model.pod import Pod

PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_*")


def text_of(name: dns.name.Name) -> str:
    """Lower-case, absolute text. Names of plain letters, which nearly all are, need no escapes."""
    labels = name.labels
    if PLAIN.issuperset(b"".join(labels)):
        return (b".".join(labels) or b".").decode("ascii").lower() if len(labels) > 1 else "."
    return name.to_text().lower()


class Tracing(Protocol):
    def open(self, name: str) -> Any:
        """A span, within the one that was opened last."""
        ...

    def close(self, span: Any) -> None: ...


@dataclass(slots=True)
class Query:
    """One question on its way through the chain. ``zone`` is the server block's matching zone."""

    message: dns.message.QueryMessage
    name: dns.name.Name
    rdtype: dns.rdatatype.RdataType
    client: str
    protocol: str
    zone: dns.name.Name
    received: float
    metadata: dict[str, Callable[[], str]] = field(default_factory=dict)
    """What plugins know of this query, by label; filled where the plugin metadata is used."""
    client_port: int = 0
    size: int = 0
    """Octets of the query as it came."""
    packet: bytes = b""
    """The query as it came, where it came by a packet."""
    server: str = ""
    """The listener, as metrics name it: ``dns://:53``."""
    server_ip: str = ""
    server_port: int = 0
    """The own address that was asked."""
    tlvs: bytes = b""
    """What a proxy in front told besides addresses (plugin proxyproto)."""
    depth: int = 0
    """How many times this query has come back to the own server (ExternalName chasing)."""
    trace: Tracing | None = None
    """Where spans of this query are collected (plugin trace)."""
    text: str = field(init=False)
    """The name asked, lower-case and absolute, as zones are written."""

    def __post_init__(self) -> None:
        self.text = text_of(self.name)

    @property
    def network(self) -> str:
        """``udp`` or ``tcp``: whether a question may get lost and an answer may be too large, whatever ``protocol`` it
        came by. QUIC is a stream in this.
        """
        return "udp" if self.protocol == "udp" else "tcp"


class Signing(Protocol):
    @property
    def space(self) -> int:
        """Octets a signature takes at most."""
        ...

    def sign(self, wire: bytes) -> bytes: ...


@dataclass(slots=True)
class Answer:
    """What a chain returns: a whole response, or an rcode alone for the server to write.

    ``error`` is why, where a plugin failed; the plugin ``errors`` logs it.
    """

    rcode: dns.rcode.Rcode
    message: dns.message.Message | None = None
    by: str = ""
    error: str = ""
    expected: bool = False
    """The error is what the Corefile asks for, and no line of the plugin ``errors``."""
    sent: Callable[[int], None] | None = None
    """Told how many octets the reply came to, once it is written (metrics)."""
    more: tuple[dns.message.Message, ...] = ()
    """Further messages of a transfer, over TCP."""
    lasting: Callable[[], bool] | None = None
    """Where given: whether this very answer would still be given to the same question, whoever asks."""
    signer: Signing | None = None
    """Signs the messages of the reply, in order, once they are written (plugin tsig)."""
    dropped: bool = False
    """No reply at all."""
    origins: tuple[Provenance, ...] = ()
    """The object behind each record of the answer section, in their order, where a plugin knows them."""


Next = Callable[[Query], Awaitable[Answer]]


class Plugin(Protocol):
    @property
    def name(self) -> str: ...

    async def serve(self, query: Query, following: Next) -> Answer:
        """Answers, or returns ``await following(query)``, changed or not."""
        ...


class Cluster(Protocol):
    """What a plugin of ``plugin_path`` may ask of its surroundings."""

    @property
    def clock(self) -> Clock: ...

    def pod(self, address: str) -> Pod | None:
        """The pod with that address; ``kubernetes`` has to have ``pods verified``."""
        ...

    async def lookup(
        self, query: Query, name: dns.name.Name, rdtype: dns.rdatatype.RdataType
    ) -> dns.message.Message | None:
        """Asks the own server, as the client of ``query``; None if it has come round too often."""
        ...

    def log(self, line: str) -> None: ...


class Lifecycle(Protocol):
    """What a plugin may have besides: the server calls these where they exist."""

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def ready(self) -> bool: ...
