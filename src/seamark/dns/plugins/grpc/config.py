"""``grpc FROM TO... { except NAMES...; tls …; tls_servername NAME; policy POLICY; fallthrough [ZONES...] }``."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import NamedTuple

from seamark.dns.corefile.address import split_address
from seamark.dns.corefile.block import Block, Line
from seamark.dns.corefile.keys import parse_zones
from seamark.dns.corefile.lexer import Token

PORTS = {True: 443, False: 53}
"""By whether ``grpc://`` stands in front, as with CoreDNS."""
UNIX = "unix://"
MAX_UPSTREAMS = 15
POLICIES = ("random", "round_robin", "sequential")


class Upstream(NamedTuple):
    """``host`` is an address, a file in the form of resolv.conf, or a socket in the file system."""

    host: str
    port: int = 53
    is_file: bool = False
    is_socket: bool = False


@dataclass(frozen=True, slots=True)
class Config:
    """``tls`` is (), (CA), (CERT, KEY) or (CERT, KEY, CA); None = plain HTTP/2."""

    zone: str
    upstreams: tuple[tuple[Upstream, Token], ...]
    excepted: tuple[str, ...] = ()
    tls: tuple[Token, ...] | None = None
    server_name: str = ""
    policy: str = "random"
    fallthrough: tuple[str, ...] | None = None


class _Reader:
    def __init__(self) -> None:
        self.excepted: tuple[str, ...] = ()
        self.tls: tuple[Token, ...] | None = None
        self.server_name = ""
        self.policy = "random"
        self.fallthrough: tuple[str, ...] | None = None

    def read_except(self, line: Line) -> None:
        self.excepted += parse_zones(line.some("zones"), ())

    def read_tls(self, line: Line) -> None:
        self.tls = line.between(0, 3, "certificate, key and authority files")

    def read_server_name(self, line: Line) -> None:
        self.server_name = line.one("a name").text

    def read_policy(self, line: Line) -> None:
        word = line.one("a policy")
        if word.text not in POLICIES:
            raise word.error(f"'{word.text}' is not a policy of grpc (known: {', '.join(POLICIES)})")
        self.policy = word.text

    def read_fallthrough(self, line: Line) -> None:
        self.fallthrough = parse_zones(line.args, (".",))


def parse(block: Block) -> Config:
    if len(block.args) < 2:
        raise block.name.error("'grpc' takes a zone and at least one upstream, such as 'grpc . 10.0.0.10:443'")
    zones = parse_zones(block.args[:1], ())
    if len(zones) != 1:
        raise block.args[0].error(f"'{block.args[0].text}' stands for {len(zones)} zones, grpc takes one")
    if len(block.args) - 1 > MAX_UPSTREAMS:
        raise block.args[MAX_UPSTREAMS + 1].error(f"grpc takes at most {MAX_UPSTREAMS} upstreams")
    reader = _Reader()
    block.read(
        {
            "except": reader.read_except,
            "tls": reader.read_tls,
            "tls_servername": reader.read_server_name,
            "policy": reader.read_policy,
            "fallthrough": reader.read_fallthrough,
        }
    )
    secured = reader.tls if reader.tls is not None or not reader.server_name else ()
    return Config(
        zones[0],
        tuple((_upstream(token), token) for token in block.args[1:]),
        excepted=reader.excepted,
        tls=secured,
        server_name=reader.server_name,
        policy=reader.policy,
        fallthrough=reader.fallthrough,
    )


def _upstream(token: Token) -> Upstream:
    text = token.text.removeprefix("grpc://")
    if text.startswith(UNIX):
        return Upstream(text.removeprefix(UNIX), is_socket=True)
    if text.startswith(("/", "./")):
        return Upstream(text, is_file=True)
    try:
        host, port = split_address(text)
        return Upstream(str(ip_address(host)), port or PORTS[text != token.text])
    except ValueError:
        raise token.error(f"'{token.text}' is not an address with a port, such as 10.0.0.10:443, or a file") from None
