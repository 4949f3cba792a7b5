"""How single results of a probe become a verdict, and what a probe asks for (pure).

A result counts when it came as often in a row as the threshold says; until then the verdict before it stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urljoin, urlsplit

from seamark.agent.podspec import Container, HTTPGetAction, Probe

Kind = Literal["startup", "readiness", "liveness"]
FIRST_RETRY = 0.1
"""Until a container is first found started or ready it is asked again after this, then twice this, … one period:
failures in between count for nothing, so nobody waits a whole period for a server that needed half a second."""


@dataclass(frozen=True, slots=True)
class Tally:
    """``verdict`` None: nothing was found yet."""

    verdict: bool | None = None
    last: bool | None = None
    streak: int = 0

    def after(self, result: bool, probe: Probe) -> Tally:  # noqa: FBT001 - the result is the value itself
        streak = self.streak + 1 if result == self.last else 1
        enough = streak >= (probe.success_threshold if result else probe.failure_threshold)
        return Tally(result if enough else self.verdict, result, streak)


def plan_probe_times(probe: Probe, *, eager: bool) -> tuple[float, ...]:
    """Seconds after a failed regular probe at which to ask again before the next regular one; none unless eager."""
    found: list[float] = []
    at, wait = 0.0, FIRST_RETRY
    while eager and at + wait < probe.period_seconds:
        at += wait
        found.append(at)
        wait *= 2
    return tuple(found)


def select_port(container: Container, port: int | str) -> int | None:
    """A number, a number as text, or the name of one of the container's ports."""
    if isinstance(port, int):
        return port
    named = next((p.container_port for p in container.ports or [] if p.name == port), None)
    return named if named is not None else int(port) if port.isdecimal() else None


def render_http_get(action: HTTPGetAction, host: str, port: int) -> bytes:
    """The request, one line per header; anything that could break out of a line is dropped by the API's validation
    and refused here once more.
    """
    path = action.path if action.path.startswith("/") else "/" + action.path
    shown = f"[{host}]" if ":" in host else host
    headers = {"Host": f"{shown}:{port}", "User-Agent": "kube-probe/1.36", "Accept": "*/*", "Connection": "close"}
    for header in action.http_headers or []:
        headers[next((k for k in headers if k.lower() == header.name.lower()), header.name)] = header.value
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    if any(c in line for line in lines for c in "\r\n"):
        raise ValueError("httpGet: path and headers must not hold line breaks")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def parse_head(lines: Sequence[bytes]) -> tuple[int, dict[str, str]]:
    """Status and headers, names in lower case."""
    headers = {}
    for line in lines[1:]:
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    return parse_status_line(lines[0]), headers


def plan_redirect(url: str, location: str) -> str:
    """Where a redirect leads on the same host; empty where it leads to another."""
    further = urljoin(url, location)
    parts = urlsplit(further)
    same = parts.hostname == urlsplit(url).hostname and parts.scheme in ("http", "https")
    return further if same else ""


def parse_status_line(line: bytes) -> int:
    """Raises ValueError for anything that is not HTTP/1."""
    words = line.split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
        raise ValueError(f"malformed HTTP response {line[:40]!r}")
    return int(words[1])
