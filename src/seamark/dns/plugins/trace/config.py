"""``trace [zipkin|datadog] [ENDPOINT] { every N; service NAME; client_server; datadog_analytics_rate R; … }``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from seamark.dns.corefile.block import Block, Line, duration, integer
from seamark.dns.corefile.lexer import Token

ZIPKIN, DATADOG = "zipkin", "datadog"
ENDPOINTS = {ZIPKIN: "localhost:9411", DATADOG: "localhost:8126"}
PATH = "/api/v2/spans"
TRUTHS = {**dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True)} | dict.fromkeys(
    ("0", "f", "F", "false", "FALSE", "False"), False
)
FLUSH = 2.0
"""Seconds between two reports to Datadog's agent."""


@dataclass(frozen=True, slots=True)
class Config:
    """``backlog`` spans (traces, for Datadog) wait at most, ``batch`` are sent together, at the latest after
    ``interval`` seconds. ``every`` 0 traces nothing. ``client_server``: the client's span is ours, too.
    """

    kind: str
    url: str
    path: str
    every: int = 1
    service: str = "coredns"
    client_server: bool = False
    analytics: float = 0.0
    backlog: int = 1000
    batch: int = 100
    interval: float = 1.0


class _Reader:
    """The properties, as Config's fields. Numbers of 0 are the default, as CoreDNS has it."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self.found: dict[str, Any] = {}

    def read_every(self, line: Line) -> None:
        self.found["every"] = integer(line.one("a number"), least=0)

    def read_service(self, line: Line) -> None:
        self.found["service"] = line.one("a name").text

    def read_client_server(self, line: Line) -> None:
        token = line.optional("true or false")
        if token is not None and token.text not in TRUTHS:
            raise token.error(f"'{token.text}' is neither true nor false")
        self.found["client_server"] = token is None or TRUTHS[token.text]

    def read_analytics(self, line: Line) -> None:
        self._only(line, DATADOG)
        token = line.optional("a rate from 0 to 1")
        try:
            rate = float(token.text) if token is not None else 0.0
        except ValueError:
            rate = -1.0
        if token is not None and not 0 <= rate <= 1:
            raise token.error(f"datadog analytics rate must be between 0 and 1, '{token.text}' is not supported")
        self.found["analytics"] = rate

    def read_backlog(self, line: Line) -> None:
        self._read_size(line, "backlog")

    def read_batch(self, line: Line) -> None:
        self._read_size(line, "batch")

    def read_interval(self, line: Line) -> None:
        self._only(line, ZIPKIN)
        if seconds := duration(line.one("a duration")):
            self.found["interval"] = seconds

    def _read_size(self, line: Line, name: str) -> None:
        self._only(line, ZIPKIN)
        if size := integer(line.one("a number"), least=0):
            self.found[name] = size

    def _only(self, line: Line, kind: str) -> None:
        if self._kind != kind:
            raise line.name.error(f"'{line.name.text}' is for '{kind}'; this is 'trace {self._kind}'")


def parse(block: Block) -> Config:
    kind, token = _kind(block)
    reader = _Reader(kind)
    block.read(
        {
            "every": reader.read_every,
            "service": reader.read_service,
            "client_server": reader.read_client_server,
            "datadog_analytics_rate": reader.read_analytics,
            "zipkin_max_backlog_size": reader.read_backlog,
            "zipkin_max_batch_size": reader.read_batch,
            "zipkin_max_batch_interval": reader.read_interval,
        }
    )
    defaults = {"interval": FLUSH} if kind == DATADOG else {}
    return Config(kind, *_endpoint(kind, token), **(defaults | reader.found))


def _kind(block: Block) -> tuple[str, Token | None]:
    """And the endpoint, where it is given."""
    words = block.args
    if words and words[0].text.lower() in ENDPOINTS:
        kind, words = words[0].text.lower(), words[1:]
    elif len(words) == 2:
        raise words[0].error(f"tracing endpoint type '{words[0].text}' is not supported (zipkin and datadog are)")
    else:
        kind = ZIPKIN
    if len(words) > 1:
        raise words[1].error("'trace' takes a kind of destination (zipkin or datadog) and its address")
    return kind, words[0] if words else None


def _endpoint(kind: str, token: Token | None) -> tuple[str, str]:
    """Scheme and authority, and the path. That of Datadog is the agent's affair."""
    text = token.text if token is not None else ENDPOINTS[kind]
    is_url = text.lower().startswith(("http://", "https://"))
    url = urlsplit(text if is_url else f"http://{text}{PATH}")
    try:
        sound = bool(url.hostname) and (url.port is None or url.port > 0)
    except ValueError:
        sound = False
    if token is not None and (not sound or (kind == DATADOG and is_url)):
        raise token.error(f"'{text}' is not an address such as {ENDPOINTS[kind]}")
    return f"{url.scheme.lower()}://{url.netloc}", "" if kind == DATADOG else url.path or "/"
