"""What came beside a question: the headers of the HTTP request it stood in, for plugins that know of them (trace)."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar

HTTP_HEADERS: ContextVar[Mapping[str, str]] = ContextVar("http_headers", default={})  # noqa: B039 - nobody writes to it
"""Names in lower case; empty where no request was."""
