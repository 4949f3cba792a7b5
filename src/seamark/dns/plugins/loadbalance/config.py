"""``loadbalance [round_robin | weighted FILE] { prefer CIDR... | reload DURATION }``."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

from seamark.dns.corefile.block import Block, Line, duration
from seamark.dns.corefile.lexer import Token

Network = IPv4Network | IPv6Network
RELOAD = 30.0


@dataclass(frozen=True, slots=True)
class Config:
    """Addresses in ``prefer`` come first, the earlier network the earlier. ``weights`` None = all have the same chance;
    ``reload`` is how often the file is looked at, 0 = never.
    """

    prefer: tuple[Network, ...] = ()
    weights: Token | None = None
    reload: float = RELOAD


def parse(block: Block) -> Config:
    policy = block.args[0] if block.args else None
    if policy is not None and policy.text == "weighted":
        return _parse_weighted(block, policy)
    if policy is not None and policy.text != "round_robin":
        raise policy.error(f"'{policy.text}' is not a policy of loadbalance (known: round_robin, weighted)")
    if len(block.args) > 1:
        raise block.args[1].error(f"'round_robin' takes no argument, but got '{block.args[1].text}'")
    networks: list[Network] = []

    def read_prefer(line: Line) -> None:
        for token in line.some("address blocks"):
            try:
                networks.append(ip_network(token.text, strict=False))
            except ValueError as error:
                raise token.error(f"'{token.text}' is not an address block: {error}") from None

    block.read({"prefer": read_prefer}, {"reload": "it belongs to the policy weighted"})
    return Config(tuple(networks))


def _parse_weighted(block: Block, policy: Token) -> Config:
    if len(block.args) != 2:
        raise block.args[-1].error("'weighted' takes exactly one argument, the file of weights")
    found = [RELOAD]
    block.read(
        {"reload": lambda line: found.append(duration(line.one("a duration")))},
        {"prefer": "it belongs to the policy round_robin"},
    )
    return Config(weights=block.args[1], reload=found[-1])
