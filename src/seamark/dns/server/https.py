"""DNS over HTTPS (RFC 8484): GET and POST of /dns-query, over HTTP/2 and, where a client offers no better, HTTP/1.1.

Without the plugin tls it is plain HTTP, for a proxy in front that ends TLS.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import struct
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

import dns.exception
import dns.message
import dns.rdatatype
import httptools
from prometheus_client import Counter

from seamark.dns.carried import HTTP_HEADERS
from seamark.dns.listener import Source
from seamark.dns.server.http2 import MAX_BODY, Asked, Http2Connection, Told
from seamark.dns.server.proxied import Reading
from seamark.dns.server.streams import Serving
from seamark.dns.waiting import within

PATH = "/dns-query"
TYPE = "application/dns-message"
ALPN = ("h2", "http/1.1")
LONGEST_AGE = 3600
"""Seconds an answer without records may be kept by a cache on the way."""
MAX_HEAD = READ = 16384


class HttpError(Exception):
    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class HttpsTransport:
    def __init__(self, serving: Serving, responses: Counter) -> None:
        """``responses`` counts by server and status."""
        self._serving = serving
        self._responses = responses

    @property
    def connections(self) -> int:
        return self._serving.limits().connections

    async def converse(self, reader: Reading, writer: asyncio.StreamWriter, client: Source) -> None:
        tls = writer.get_extra_info("ssl_object")
        if tls is not None and tls.selected_alpn_protocol() == "h2":
            await Http2Connection(lambda asked: self._respond2(asked, client), self._serving).run(reader, writer)
        else:
            await self._converse1(reader, writer, client)

    async def _respond2(self, asked: Asked, client: Source) -> Told:
        status, headers, body = await self.respond(asked.headers, asked.body, client)
        return Told(((":status", str(int(status))), *headers, ("content-length", str(len(body)))), body)

    async def _converse1(self, reader: Reading, writer: asyncio.StreamWriter, client: Source) -> None:
        while (request := await self._read1(reader)) is not None:
            status, headers, body = await self.respond(request.headers, bytes(request.body), client)
            lines = [f"HTTP/1.1 {int(status)} {status.phrase}", *(f"{name}: {value}" for name, value in headers)]
            writer.write("\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode() + body)
            await within(self._serving.clock, self._serving.timeouts().write, writer.drain())
            if not request.goes_on:
                return

    async def _read1(self, reader: Reading) -> _Request1 | None:
        """The next request; None at the end of the connection, or of its patience with the client."""
        request = _Request1()
        patience = self._serving.timeouts().idle
        while not request.whole:
            data = await within(self._serving.clock, patience, reader.read(READ))
            patience = self._serving.timeouts().read
            if not data or not request.feed(data):
                return None
        return request

    async def respond(
        self, asked: Mapping[str, str], body: bytes, client: Source
    ) -> tuple[HTTPStatus, tuple[tuple[str, str], ...], bytes]:
        """``asked`` are the request's headers, with method and target as HTTP/2 has them."""
        HTTP_HEADERS.set(asked)
        try:
            packet = query_of(asked.get(":method", ""), asked.get(":path", ""), body)
            found = await self._serving.answer(self._serving.at, packet, client, "https")
            if not isinstance(found, bytes):
                raise HttpError(HTTPStatus.INTERNAL_SERVER_ERROR, "No response")
            status, wire = HTTPStatus.OK, found
            headers = (("content-type", TYPE), ("cache-control", f"max-age={age_of(found)}"))
        except HttpError as error:
            status, wire = error.status, f"{error}\n".encode()
            headers = (("content-type", "text/plain; charset=utf-8"), ("x-content-type-options", "nosniff"))
        self._responses.labels(self._serving.at.label, str(int(status))).inc()
        return status, headers, wire


class _Request1:
    """One request of HTTP/1.1 as httptools reads it."""

    def __init__(self) -> None:
        self._parser: Any = httptools.HttpRequestParser(self)
        self._size = 0
        self.headers = {":path": ""}
        """And method and target, as HTTP/2 has them."""
        self.body = bytearray()
        self.whole = False

    @property
    def goes_on(self) -> bool:
        return bool(self._parser.should_keep_alive())

    def feed(self, data: bytes) -> bool:
        """False for what is not HTTP, or too much of it."""
        self._size += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            return False
        return self._size <= MAX_HEAD + MAX_BODY

    def on_url(self, url: bytes) -> None:
        self.headers[":path"] += url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.headers[":method"] = self._parser.get_method().decode("ascii")
        self.whole = True


def query_of(method: str, target: str, body: bytes) -> bytes:
    """The DNS message of a request. Raises HttpError."""
    url = urlsplit(target)
    if url.path != PATH:
        raise HttpError(HTTPStatus.NOT_FOUND, "")
    if method == "POST":
        return body
    if method != "GET":
        raise HttpError(HTTPStatus.BAD_REQUEST, "invalid request")
    given = parse_qs(url.query, keep_blank_values=True).get("dns", [])
    if len(given) != 1 or len(given[0]) > MAX_BODY * 4 // 3:
        raise HttpError(HTTPStatus.BAD_REQUEST, "invalid request")
    try:
        return base64.b64decode(given[0] + "=" * (-len(given[0]) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise HttpError(HTTPStatus.BAD_REQUEST, "invalid request") from None


def age_of(wire: bytes) -> int:
    """The shortest TTL of the reply: how long a cache may keep it (RFC 8484 §5.1)."""
    try:
        message = dns.message.from_wire(wire)
    except (dns.exception.DNSException, struct.error):
        return 0
    sections = (*message.answer, *message.authority, *message.additional)
    return min((rrset.ttl for rrset in sections if rrset.rdtype != dns.rdatatype.OPT), default=LONGEST_AGE)
