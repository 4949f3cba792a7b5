"""A request to the Kubernetes API and its response, without any transport.

The HTTP server makes a Request out of bytes, the client out of a verb; ``Handler`` is the seam between: the API
application is one, the in-process transport calls it, the HTTP transport imitates it over a socket. So every
part reaches the registry by the same code, in one process or across machines (DESIGN §3).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field

ADMIN_GROUP = "system:masters"
ANONYMOUS = "system:anonymous"
AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks (authentication.k8s.io UserInfo)."""

    user: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """``query`` keeps repeated keys in order; header names are lower-case; ``body`` is whole."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    identity: Identity | None = None
    raw_query: str = ""  # as it stood behind the "?", for what passes it on
    source: str = ""  # the client's address; empty in process

    def param(self, name: str, default: str = "") -> str:
        """The first value of a query parameter."""
        return next((v for k, v in self.query if k == name), default)

    def params(self, name: str) -> tuple[str, ...]:
        return tuple(v for k, v in self.query if k == name)

    def flag(self, name: str) -> bool:
        """A boolean parameter as Go's conversion reads it: absent, ``0`` and ``false`` are false, all else true."""
        found = self.params(name)
        return bool(found) and found[0].lower() not in ("0", "false")


@dataclass(slots=True)
class Response:
    """Either ``body`` or ``stream`` (a watch or a log: chunks as they come; closing the iterator ends it)."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    stream: AsyncIterator[bytes] | None = None
    warnings: tuple[str, ...] = ()
    cookies: tuple[str, ...] = ()  # set-cookie, which cannot be joined to one header
    fault: bool = False  # it tells of an exception that nobody foresaw
    patient: bool = False  # who reads the stream may pause for as long as they like (a log in a pager)

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300


Handler = Callable[[Request], Awaitable[Response]]
