"""``proxyproto { allow CIDR...; default use|ignore|reject|skip; udp_session_tracking …; tlv_metadata }``."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

from seamark.dns.corefile.block import Block, Line, duration, integer

DEFAULTS = ("use", "ignore", "reject", "skip")
SESSIONS = 10240


@dataclass(frozen=True, slots=True)
class Config:
    """``default`` empty = use for everybody without ``allow``, else ignore; ``ttl`` in seconds, 0 = no sessions."""

    allowed: tuple[IPv4Network | IPv6Network, ...] = ()
    default: str = ""
    ttl: float = 0.0
    most: int = SESSIONS
    tlvs: bool = False


class _Reader:
    def __init__(self) -> None:
        self.allowed: list[IPv4Network | IPv6Network] = []
        self.default = ""
        self.ttl = 0.0
        self.most = SESSIONS
        self.tlvs = False

    def read_allow(self, line: Line) -> None:
        for word in line.args:
            try:
                self.allowed.append(ip_network(word.text, strict=False))
            except ValueError:
                raise word.error(f"'{word.text}' is not an address block such as 10.0.0.0/8") from None

    def read_default(self, line: Line) -> None:
        word = line.one("what to do with others")
        if word.text.lower() not in DEFAULTS:
            raise word.error(f"'{word.text}' is not a default of proxyproto (known: {', '.join(DEFAULTS)})")
        self.default = word.text.lower()

    def read_sessions(self, line: Line) -> None:
        lasting, *most = line.between(1, 2, "how long a session lasts, and how many there may be")
        self.ttl = duration(lasting)
        self.most = integer(most[0], least=1) if most else SESSIONS

    def read_tlvs(self, line: Line) -> None:
        line.none()
        self.tlvs = True


def parse(block: Block) -> Config:
    block.none()
    reader = _Reader()
    block.read(
        {
            "allow": reader.read_allow,
            "default": reader.read_default,
            "udp_session_tracking": reader.read_sessions,
            "tlv_metadata": reader.read_tlvs,
        }
    )
    return Config(tuple(reader.allowed), reader.default, reader.ttl, reader.most, reader.tlvs)
