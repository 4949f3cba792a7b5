"""A registry as one pull sees it: manifests and blobs of one repository, with authentication, redirects and patience.

Credentials go to the registry and to the token server it names, never along a redirect to another host, and never
from a TLS registry to a plain address. A registry that is busy (429, 5xx) is asked again after the time it names; an
unreachable one is not: the agent's back-off does that. Proxies of the environment are not used.
"""

from __future__ import annotations

import asyncio
import email.utils
import functools
import hashlib
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NoReturn
from urllib.parse import quote, urlencode, urljoin, urlsplit

from seamark import __version__
from seamark.agent.images.distribution import (
    ACCEPT,
    Challenge,
    Credentials,
    Descriptor,
    parse_challenge,
    parse_errors,
    registry_host,
    select_endpoint,
)
from seamark.agent.images.names import ImageName
from seamark.client.base import TransportError
from seamark.client.connection import Connection, Head
from seamark.machinery.clock import Clock

MAX_TEXT = 4 << 20  # bytes of a manifest, a config or an answer of a token server
MAX_STEPS = 8  # redirects and challenges of one question
MAX_RETRIES = 4
MAX_WAIT = 60.0
REDIRECTS = (301, 302, 303, 307, 308)


class RegistryError(Exception):
    """The registry's answer, which asking again does not change."""


class UnreachableError(RegistryError):
    """No answer, or one that broke off."""


class BusyError(RegistryError):
    """429 or 5xx; ``after`` seconds, when the registry named them."""

    def __init__(self, message: str, after: float | None) -> None:
        super().__init__(message)
        self.after = after


@dataclass(frozen=True, slots=True)
class Registries:
    """May be asked, and how. ``insecure``: HOST[:PORT] that speak plain HTTP. ``mirrors``: a registry's host and the
    address of one that is asked before it; the first that answers counts. Seconds for a connection and a read.
    """

    insecure: frozenset[str] = frozenset()
    mirrors: tuple[tuple[str, str], ...] = ()
    connect: float = 10.0
    read: float = 30.0


class Registry:
    """``credentials`` None = as anybody. ``mirror``: the address to ask in place of the registry's own."""

    def __init__(
        self,
        name: ImageName,
        *,
        registries: Registries,
        clock: Clock,
        credentials: Credentials | None = None,
        mirror: str = "",
    ) -> None:
        self.host, self._path = registry_host(name.repository)
        self._base = mirror.rstrip("/") or select_endpoint(self.host, registries.insecure)
        self._query = f"?ns={quote(self.host)}" if mirror else ""  # which registry a mirror of several is asked about
        self._registries = registries
        self._clock = clock
        self._credentials = credentials
        self._authorization = ""

    async def has_manifest(self, reference: str) -> str:
        """The digest the registry gives ``reference``; empty when it does not say."""
        async with self._answer(f"manifests/{reference}", method="HEAD", headers={"accept": ACCEPT}) as (head, _):
            return head.headers.get("docker-content-digest", "") if head.status == 200 else ""

    async def manifest(self, reference: str) -> tuple[bytes, str]:
        """The bytes and their digest, checked when ``reference`` is one."""
        body = await self.patiently(f"manifests/{reference}", accept=ACCEPT)
        digest = "sha256:" + hashlib.sha256(body).hexdigest()
        if reference.startswith("sha256:") and digest != reference:
            raise RegistryError(f"manifest {reference}: its content is {digest}")
        return body, digest

    async def patiently(self, path: str, *, accept: str) -> bytes:
        for attempt in range(MAX_RETRIES):
            try:
                async with self._answer(path, method="GET", headers={"accept": accept}) as (head, body):
                    text = await _read_text(body)
                    if head.status == 200:
                        return text
                    self._refuse(head, text, path)
            except BusyError as error:
                if attempt == MAX_RETRIES - 1:
                    raise
                await self.wait(attempt, error.after)
        raise AssertionError("unreachable")

    async def wait(self, attempt: int, after: float | None) -> None:
        await self._clock.sleep(min(MAX_WAIT, 2.0**attempt if after is None else after))

    @asynccontextmanager
    async def blob(self, wanted: Descriptor, start: int) -> AsyncIterator[tuple[int, AsyncIterator[bytes]]]:
        """The blob's bytes from where the answer really begins: ``start``, or 0 where ranges are not honoured."""
        headers = {"accept": "application/octet-stream, */*"} | ({"range": f"bytes={start}-"} if start else {})
        path = f"blobs/{wanted.digest}"
        async with self._answer(path, method="GET", headers=headers) as (head, body):
            if head.status == 206 and head.headers.get("content-range", "").startswith(f"bytes {start}-"):
                yield start, body
            elif head.status == 200:
                yield 0, body
            elif head.status == 416 or head.status == 206:
                raise UnreachableError(f"{self.host}: {path}: answered with a range that was not asked for")
            else:
                self._refuse(head, await _read_text(body), path)

    def _refuse(self, head: Head, body: bytes, path: str) -> NoReturn:
        text = f"{self.host}: {path}: {head.status}"
        told = parse_errors(body)
        text += f" {told}" if told else ""
        if head.status == 429 or head.status >= 500:
            raise BusyError(text, _retry_after(head.headers.get("retry-after", ""), self._clock.time()))
        if head.status in (401, 403):
            text += "; the registry wants other credentials" if self._credentials else "; without credentials"
        raise RegistryError(text)

    @asynccontextmanager
    async def _answer(
        self, path: str, *, method: str, headers: dict[str, str]
    ) -> AsyncIterator[tuple[Head, AsyncIterator[bytes]]]:
        """The answer after challenges and redirects."""
        url, challenged = f"{self._base}/v2/{self._path}/{path}{self._query}", False
        for _ in range(MAX_STEPS):
            own = url.startswith(self._base + "/")
            sent = headers | ({"authorization": self._authorization} if own and self._authorization else {})
            async with exchange(url, method=method, headers=sent, registries=self._registries) as (head, body):
                challenge = head.headers.get("www-authenticate", "") if head.status == 401 and own else ""
                if not (challenge and not challenged) and head.status not in REDIRECTS:
                    yield head, body
                    return
            if head.status == 401:
                challenged = True
                await self._authenticate(parse_challenge(challenge))
            else:
                url = self._follow(url, head.headers.get("location", ""))
        raise RegistryError(f"{self.host}: {path}: more than {MAX_STEPS} redirects")

    def _follow(self, url: str, location: str) -> str:
        target = urljoin(url, location)
        if not location or not target.startswith(("https://", "http://")):
            raise RegistryError(f"{self.host}: redirects to {location!r}")
        if url.startswith("https://") and target.startswith("http://"):
            raise RegistryError(f"{self.host}: redirects from TLS to the plain address {target}")
        return target

    async def _authenticate(self, challenge: Challenge) -> None:
        """Leaves the next question's credentials as they are when there are none for this challenge."""
        if challenge.scheme == "basic":
            self._authorization = self._credentials.basic if self._credentials else ""
        elif challenge.scheme == "bearer":
            self._authorization = "Bearer " + await self._token(challenge)
        else:
            raise RegistryError(f"{self.host}: wants authentication by {challenge.scheme!r}, which is not supported")

    async def _token(self, challenge: Challenge) -> str:
        realm = challenge.parameters.get("realm", "")
        if not realm.startswith("https://") and not (realm.startswith("http://") and self._base.startswith("http://")):
            raise RegistryError(f"{self.host}: names the token server {realm!r}; only https:// is trusted")
        query = {"scope": challenge.parameters.get("scope") or f"repository:{self._path}:pull"}
        if "service" in challenge.parameters:
            query["service"] = challenge.parameters["service"]
        url = f"{realm}{'&' if '?' in realm else '?'}{urlencode(query)}"
        headers = {"authorization": self._credentials.basic} if self._credentials else {}
        async with exchange(url, method="GET", headers=headers, registries=self._registries) as (head, body):
            text = await _read_text(body)
            if head.status != 200:
                self._refuse(head, text, f"token server {urlsplit(realm).netloc}")
        try:
            answer = json.loads(text)
            token = answer.get("token") or answer["access_token"]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise RegistryError(f"{self.host}: the token server {realm} gave no token") from None
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise RegistryError(f"{self.host}: the token server {realm} gave no usable token")
        return token


@functools.cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


@asynccontextmanager
async def exchange(
    url: str, *, method: str, headers: dict[str, str], registries: Registries
) -> AsyncIterator[tuple[Head, AsyncIterator[bytes]]]:
    """One question on a connection of its own. Raises UnreachableError, also while the body is read."""
    peer = urlsplit(url).netloc.rpartition("@")[2]
    connection = None
    try:
        try:
            async with asyncio.timeout(registries.connect):
                connection = await _connect(url, peer)
            async with asyncio.timeout(registries.read):
                head = await connection.send(_render(url, method, headers))
        except TimeoutError:
            raise UnreachableError(f"{peer}: no answer in time") from None
        except (TransportError, ValueError, OSError) as error:
            raise UnreachableError(str(error) if peer in str(error) else f"{peer}: {error}") from None
        yield head, _timed(connection.body(lambda _: None), peer, registries.read)
    finally:
        if connection is not None:
            connection.abort()


async def _connect(url: str, peer: str) -> Connection:
    parts = urlsplit(url)
    tls = _tls() if parts.scheme == "https" else None
    port = parts.port or (443 if tls else 80)
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(lambda: Connection(peer), parts.hostname or "", port, ssl=tls)
    return connection


def _render(url: str, method: str, headers: dict[str, str]) -> bytes:
    parts = urlsplit(url)
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._") + (f"?{parts.query}" if parts.query else "")
    sent = {"host": parts.netloc, "user-agent": f"seamark/{__version__}", "connection": "close"} | headers
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items())]
    if any(not line.isprintable() for line in lines):
        raise UnreachableError(f"{parts.netloc}: an address with control characters")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def _timed(body: AsyncIterator[bytes], peer: str, seconds: float) -> AsyncIterator[bytes]:
    try:
        while True:
            async with asyncio.timeout(seconds):
                chunk = await anext(body, None)
            if chunk is None:
                return
            yield chunk
    except TimeoutError:
        raise UnreachableError(f"{peer}: sent nothing for {seconds:g} s") from None
    except TransportError as error:
        raise UnreachableError(str(error)) from None


async def _read_text(body: AsyncIterator[bytes]) -> bytes:
    text = b""
    async for chunk in body:
        text += chunk
        if len(text) > MAX_TEXT:
            raise RegistryError(f"an answer of more than {MAX_TEXT >> 20} MiB where a manifest or a text belongs")
    return text


def _retry_after(text: str, now: float) -> float | None:
    if text.isdecimal():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, TypeError):
        return None
