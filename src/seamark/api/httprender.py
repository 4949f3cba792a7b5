"""Responses as the bytes of HTTP/1.1 (RFC 9112): head, body, compression. Pure but for the date."""

from __future__ import annotations

import gzip
import time
from collections.abc import Mapping
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus

from seamark.machinery.wire import Request, Response

GZIP_FROM = 128 << 10  # below that kubectl gains nothing (apiserver's threshold)


def render_response(request: Request, response: Response, *, keep: bool) -> bytes:
    """Head and body in one piece; a large answer compressed for a client that takes it."""
    body = response.body
    if len(body) > GZIP_FROM and "gzip" in request.headers.get("accept-encoding", ""):
        body = _compress_document(body) if "etag" in response.headers else gzip.compress(body, 1)
        response.headers["content-encoding"] = "gzip"
        response.headers["vary"] = "Accept-Encoding"
    head = render_head(response, keep=keep, length=len(body))
    return head if request.method == "HEAD" else head + body


@lru_cache(maxsize=4)
def _compress_document(body: bytes) -> bytes:
    """What has an etag is asked for again and again: OpenAPI documents."""
    return gzip.compress(body, 1)


def render_head(response: Response, *, keep: bool, length: int | None = None) -> bytes:
    lines = [f"HTTP/1.1 {response.status} {_reason(response.status)}"]
    if "date" not in response.headers:
        lines.append(f"date: {_date(int(time.time()))}")
    lines += [f"{name}: {_clean(value)}" for name, value in response.headers.items()]
    lines += [f'warning: 299 - "{_quoted(text)}"' for text in response.warnings]
    lines += [f"set-cookie: {_clean(cookie)}" for cookie in response.cookies]
    if length is not None and response.status not in (204, 304) and "content-length" not in response.headers:
        lines.append(f"content-length: {length}")
    if not keep:
        lines.append("connection: close")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "replace")


def render_switch(headers: Mapping[str, str]) -> bytes:
    """The head of a 101: what follows is no HTTP."""
    lines = ["HTTP/1.1 101 Switching Protocols", *(f"{name}: {_clean(value)}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "replace")


@lru_cache(maxsize=1)
def _date(now: int) -> str:
    return formatdate(now, usegmt=True)


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def _clean(value: str) -> str:
    """No header value may begin a header of its own."""
    return value.replace("\r", " ").replace("\n", " ")


def _quoted(text: str) -> str:
    return _clean(text).replace("\\", "\\\\").replace('"', '\\"')
