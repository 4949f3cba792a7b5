"""Requests to an API in process, as an HTTP client would write them."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl

from seamark.api.app import Api
from seamark.machinery.wire import Identity, Request, Response

ADMIN = Identity("admin", ("system:masters",))


async def ask(
    api: Api, method: str, path: str, body: Any = None, *, who: Identity | None = ADMIN, **headers: str
) -> Response:
    """``path`` may have a query; a body that is not bytes goes as JSON; ``content_type=`` sets that header."""
    path, _, query = path.partition("?")
    pairs = tuple(parse_qsl(query, keep_blank_values=True))
    raw = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return await api.handle(Request(method, path, pairs, sent, raw, who, query))


def parsed(response: Response) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(response.body)
    return found
