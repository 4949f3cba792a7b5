"""``trace [zipkin] [ENDPOINT] { every N; service NAME; zipkin_max_backlog_size N; … }``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from seamark.dns.corefile.block import Block, Line, duration, integer
from seamark.dns.corefile.lexer import Token

ENDPOINT = "localhost:9411"
PATH = "/api/v2/spans"
_DATADOG = "spans go to Zipkin, or to what takes its format"
REFUSED = {
    "client_server": "no DNS query carries a client's span",
    "datadog_analytics_rate": _DATADOG,
}


@dataclass(frozen=True, slots=True)
class Config:
    """``backlog`` spans wait at most, ``batch`` are sent together, at the latest after ``interval`` seconds."""

    url: str
    path: str
    every: int = 1
    service: str = "coredns"
    backlog: int = 1000
    batch: int = 100
    interval: float = 1.0


def parse(block: Block) -> Config:
    words = block.args
    if words and words[0].text == "datadog":
        raise words[0].error(f"'datadog' is not supported: {_DATADOG}")
    if words and words[0].text == "zipkin":
        words = words[1:]
    if len(words) > 1:
        raise words[1].error("'trace' takes a kind of destination (zipkin) and its address")
    found = Config(*_endpoint(words[0] if words else None))
    numbers = {"every": "every", "zipkin_max_backlog_size": "backlog", "zipkin_max_batch_size": "batch"}

    def number(line: Line) -> None:
        nonlocal found
        found = replace(found, **{numbers[line.name.text]: integer(line.one("a number"), least=1)})  # type: ignore[arg-type]

    def service(line: Line) -> None:
        nonlocal found
        found = replace(found, service=line.one("a name").text)

    def interval(line: Line) -> None:
        nonlocal found
        found = replace(found, interval=duration(line.one("a duration"), least=1e-3))

    readers = dict.fromkeys(numbers, number) | {"service": service, "zipkin_max_batch_interval": interval}
    block.read(readers, REFUSED)
    return found


def _endpoint(token: Token | None) -> tuple[str, str]:
    """Scheme and authority, and the path."""
    text = token.text if token is not None else ENDPOINT
    whole = text if text.lower().startswith(("http://", "https://")) else f"http://{text}{PATH}"
    url = urlsplit(whole)
    try:
        sound = bool(url.hostname) and (url.port is None or url.port > 0)
    except ValueError:
        sound = False
    if not sound and token is not None:
        raise token.error(f"'{text}' is not an address such as {ENDPOINT}")
    return f"{url.scheme.lower()}://{url.netloc}", url.path or "/"
