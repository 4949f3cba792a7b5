"""``etcd [ZONES...] { path; endpoint; credentials; tls; fallthrough; … }``, every property of README.md."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from seamark.dns.corefile.block import Block, Line, duration
from seamark.dns.corefile.keys import parse_zones
from seamark.dns.corefile.lexer import Token

ENDPOINT = "http://localhost:2379"
PREFIX = "skydns"
LONGEST = float(2**32 - 1)
_OLD = "CoreDNS ignores it since long; leave it out"
REFUSED = {"stubzones": _OLD, "upstream": _OLD, "debug": _OLD}


@dataclass(frozen=True, slots=True)
class Config:
    """``tls`` is (), (CA), (CERT, KEY) or (CERT, KEY, CA), as None where plain; ``fallthrough`` None = off. TTLs are
    bounds of what a lease has left, in seconds.
    """

    zones: tuple[str, ...]
    prefix: str = PREFIX
    endpoints: tuple[str, ...] = (ENDPOINT,)
    credentials: tuple[str, str] | None = None
    tls: tuple[Token, ...] | None = None
    fallthrough: tuple[str, ...] | None = None
    apex_fallback: bool = True
    min_lease_ttl: int = 30
    max_lease_ttl: int = 86400


class _Reader:
    def __init__(self) -> None:
        self.prefix = PREFIX
        self.endpoints: tuple[str, ...] = (ENDPOINT,)
        self.credentials: tuple[str, str] | None = None
        self.tls: tuple[Token, ...] | None = None
        self.fallthrough: tuple[str, ...] | None = None
        self.apex_fallback = True
        self.ttls = {"min-lease-ttl": 30, "max-lease-ttl": 86400}

    def read_path(self, line: Line) -> None:
        self.prefix = line.one("a path").text.strip("/")

    def read_endpoint(self, line: Line) -> None:
        found: list[str] = []
        for word in line.some("addresses of etcd"):
            found.append(word.text if "://" in word.text else f"http://{word.text}")
            url = urlsplit(found[-1])
            if url.scheme not in ("http", "https") or not url.hostname:
                raise word.error(f"'{word.text}' is not an address of etcd such as {ENDPOINT}")
        self.endpoints = tuple(found)

    def read_credentials(self, line: Line) -> None:
        user, password = line.between(2, 2, "a user name and a password")
        self.credentials = (user.text, password.text)

    def read_tls(self, line: Line) -> None:
        self.tls = line.between(0, 3, "certificate, key and authority files") if line.args else ()

    def read_fallthrough(self, line: Line) -> None:
        self.fallthrough = parse_zones(line.args, (".",))

    def read_no_apex_fallback(self, line: Line) -> None:
        line.none()
        self.apex_fallback = False

    def read_ttl(self, line: Line) -> None:
        word = line.one("a duration")
        seconds = float(word.text) if word.text.isascii() and word.text.isdigit() else duration(word)
        if seconds > LONGEST:
            raise word.error(f"'{word.text}' is longer than a TTL can be")
        self.ttls[line.name.text] = int(seconds)


def parse(block: Block) -> Config:
    reader = _Reader()
    properties = {
        "path": reader.read_path,
        "endpoint": reader.read_endpoint,
        "credentials": reader.read_credentials,
        "tls": reader.read_tls,
        "fallthrough": reader.read_fallthrough,
        "no_apex_fallback": reader.read_no_apex_fallback,
        "min-lease-ttl": reader.read_ttl,
        "max-lease-ttl": reader.read_ttl,
    }
    block.read(properties, REFUSED)
    shortest, longest = reader.ttls["min-lease-ttl"], reader.ttls["max-lease-ttl"]
    if shortest > longest:
        raise block.name.error(f"etcd: min-lease-ttl {shortest}s is longer than max-lease-ttl {longest}s")
    return Config(
        zones=parse_zones(block.args, block.zones or (".",)),
        prefix=reader.prefix,
        endpoints=reader.endpoints,
        credentials=reader.credentials,
        tls=reader.tls,
        fallthrough=reader.fallthrough,
        apex_fallback=reader.apex_fallback,
        min_lease_ttl=shortest,
        max_lease_ttl=longest,
    )
