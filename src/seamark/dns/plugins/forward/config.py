"""``forward FROM TO... { except …; policy …; max_concurrent …; … }``. What a TO may be: targets.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

import dns.exception
import dns.rcode

from seamark.dns.corefile.address import split_address
from seamark.dns.corefile.block import Block, Line, duration, integer
from seamark.dns.corefile.keys import parse_zones
from seamark.dns.corefile.lexer import Token
from seamark.dns.plugins.forward.targets import Upstream, parse_upstream

MANY = True
MAX_UPSTREAMS = 15
POLICIES = ("random", "round_robin", "sequential")
DOH_METHODS = ("GET", "POST")
HEDGE = 0.5


@dataclass(frozen=True, slots=True)
class Tls:
    """Files, empty = none: the client's certificate and key, and the authority of the upstream's."""

    certificate: str = ""
    key: str = ""
    authority: str = ""
    server_name: str = ""


@dataclass(frozen=True, slots=True)
class Transport:
    force_tcp: bool = False
    prefer_udp: bool = False
    expire: float = 10.0
    max_age: float = 0.0
    max_idle_conns: int = 0
    read_timeout: float = 2.0
    source_address: str = ""
    doh_method: str = "POST"


@dataclass(frozen=True, slots=True)
class Health:
    interval: float = 0.5
    recursion: bool = True
    domain: str = "."
    max_fails: int = 2


@dataclass(frozen=True, slots=True)
class Config:
    """``max_connect_attempts`` None = twice the number of upstreams; ``max_concurrent`` 0 = no limit."""

    zone: str
    upstreams: tuple[Upstream, ...]
    excepted: tuple[str, ...] = ()
    policy: str = "random"
    max_connect_attempts: int | None = None
    max_concurrent: int = 0
    next_rcodes: frozenset[dns.rcode.Rcode] = frozenset()
    next_on_nodata: bool = False
    failover: frozenset[dns.rcode.Rcode] = frozenset()
    failfast: bool = False
    transport: Transport = field(default_factory=Transport)
    health: Health = field(default_factory=Health)
    tls: Tls = field(default_factory=Tls)
    hedge: float = HEDGE
    """Seconds until a question is asked a second time beside the first; 0 = never."""
    single_flight: bool = True
    check_answers: bool = True
    resolver: tuple[tuple[str, int], ...] = ()
    """Who is asked for upstreams that are host names; empty = the system."""


def parse(block: Block) -> Config:
    if len(block.args) < 2:
        raise (block.args[-1] if block.args else block.name).error(
            "'forward' takes a zone and at least one upstream, such as 'forward . 9.9.9.9'"
        )
    zones = parse_zones(block.args[:1], ())
    if len(zones) != 1:
        raise block.args[0].error(f"'{block.args[0].text}' stands for {len(zones)} zones, forward takes one")
    upstreams = tuple(parse_upstream(token) for token in block.args[1:])
    if len(upstreams) > MAX_UPSTREAMS:
        raise block.args[MAX_UPSTREAMS + 1].error(f"forward takes at most {MAX_UPSTREAMS} upstreams")
    reader = _Reader()
    block.read(reader.properties())
    both = next((upstream for upstream in upstreams if upstream.named and "server_name" in reader.tls), None)
    if both is not None:
        raise both.token.error(f"'{both.token.text}' names its server, and so does tls_servername")
    transport = Transport(**reader.transport)
    if 0 < transport.max_age < transport.expire:
        raise block.name.error(f"forward: max_age {transport.max_age:g}s is less than expire {transport.expire:g}s")
    return Config(
        zones[0], upstreams, transport=transport, health=Health(**reader.health), tls=Tls(**reader.tls), **reader.found
    )


class _Reader:
    """Collects the properties into the arguments of Config, Transport and Health."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}
        self.transport: dict[str, Any] = {}
        self.health: dict[str, Any] = {}
        self.tls: dict[str, str] = {}
        self.excepted: list[str] = []

    def properties(self) -> dict[str, Callable[[Line], None]]:
        return {
            "except": self.read_except,
            "policy": self.read_policy,
            "next": lambda line: self.found.update(next_rcodes=_rcodes(line)),
            "failover": self.read_failover,
            "health_check": self.read_health_check,
            "source_address": self.read_source_address,
            "tls": self.read_tls,
            "tls_servername": lambda line: self.tls.update(server_name=line.one("a name").text),
            "max_fails": lambda line: self.health.update(max_fails=_count(line)),
            "max_concurrent": lambda line: self.found.update(max_concurrent=_count(line)),
            "max_connect_attempts": lambda line: self.found.update(max_connect_attempts=_count(line)),
            "max_idle_conns": lambda line: self.transport.update(max_idle_conns=_count(line)),
            "expire": lambda line: self.transport.update(expire=_seconds(line)),
            "max_age": lambda line: self.transport.update(max_age=_seconds(line)),
            "read_timeout": lambda line: self.transport.update(read_timeout=_seconds(line, least=1e-9)),
            "force_tcp": lambda line: self.transport.update(force_tcp=_flag(line)),
            "prefer_udp": lambda line: self.transport.update(prefer_udp=_flag(line)),
            "next_on_nodata": lambda line: self.found.update(next_on_nodata=_flag(line)),
            "doh_method": self.read_doh_method,
            "resolver": self.read_resolver,
            "hedge": self.read_hedge,
            "single_flight": lambda line: self.found.update(single_flight=_switch(line)),
            "check_answers": lambda line: self.found.update(check_answers=_switch(line)),
            "failfast_all_unhealthy_upstreams": lambda line: self.found.update(failfast=_flag(line)),
        }

    def read_except(self, line: Line) -> None:
        self.excepted += parse_zones(line.some("zones"), ())
        self.found["excepted"] = tuple(self.excepted)

    def read_policy(self, line: Line) -> None:
        word = line.one("a policy")
        if word.text not in POLICIES:
            raise word.error(f"'{word.text}' is not a policy of forward (known: {', '.join(POLICIES)})")
        self.found["policy"] = word.text

    def read_failover(self, line: Line) -> None:
        rcodes = _rcodes(line)
        if dns.rcode.NOERROR in rcodes:
            raise line.name.error("NOERROR cannot be used in failover")
        self.found["failover"] = rcodes

    def read_health_check(self, line: Line) -> None:
        first, *rest = line.some("a duration")
        self.health["interval"] = duration(first)
        words = iter(rest)
        for word in words:
            if word.text == "no_rec":
                self.health["recursion"] = False
            elif word.text == "domain":
                domain = next(words, None)
                if domain is None:
                    raise word.error("'domain' takes a domain name")
                self.health["domain"] = parse_zones((domain,), ())[0]
            else:
                raise word.error(f"'{word.text}' is not an option of health_check (known: no_rec, domain)")

    def read_tls(self, line: Line) -> None:
        """Nothing, an authority, certificate and key, or all three."""
        words = [word.text for word in line.between(0, 3, "certificate, key and authority files")]
        if len(words) in (1, 3):
            self.tls["authority"] = words.pop()
        if words:
            self.tls["certificate"], self.tls["key"] = words

    def read_doh_method(self, line: Line) -> None:
        word = line.one("GET or POST")
        if word.text not in DOH_METHODS:
            raise word.error(f"doh_method must be either POST or GET, not '{word.text}'")
        self.transport["doh_method"] = word.text

    def read_resolver(self, line: Line) -> None:
        self.found["resolver"] = tuple(_address(word) for word in line.some("addresses"))

    def read_hedge(self, line: Line) -> None:
        word = line.one("a duration or off")
        self.found["hedge"] = 0.0 if word.text == "off" else duration(word)

    def read_source_address(self, line: Line) -> None:
        word = line.one("an address")
        try:
            self.transport["source_address"] = str(ip_address(word.text))
        except ValueError:
            raise word.error(f"'{word.text}' is not an address") from None


def _address(token: Token) -> tuple[str, int]:
    try:
        host, port = split_address(token.text)
        return str(ip_address(host)), port or 53
    except ValueError:
        raise token.error(f"resolver must be an IP address or IP:port: '{token.text}'") from None


def _switch(line: Line) -> bool:
    word = line.one("on or off")
    if word.text not in ("on", "off"):
        raise word.error(f"'{word.text}' is neither on nor off")
    return word.text == "on"


def _rcodes(line: Line) -> frozenset[dns.rcode.Rcode]:
    found = set()
    for word in line.some("rcodes such as NXDOMAIN"):
        try:
            found.add(dns.rcode.from_text(word.text.upper()))
        except dns.exception.DNSException:
            raise word.error(f"'{word.text}' is not an rcode such as NXDOMAIN or SERVFAIL") from None
    return frozenset(found)


def _count(line: Line) -> int:
    return integer(line.one("a number"), least=0)


def _seconds(line: Line, least: float = 0.0) -> float:
    return duration(line.one("a duration"), least=least)


def _flag(line: Line) -> bool:
    line.none()
    return True
