"""``loadbalance [round_robin] { prefer CIDR... }``."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

from seamark.dns.corefile.block import Block, Line

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Config:
    """Addresses in ``prefer`` come first, the earlier network the earlier."""

    prefer: tuple[Network, ...] = ()


def parse(block: Block) -> Config:
    policy = block.args[0] if block.args else None
    if policy is not None and policy.text == "weighted":
        raise policy.error("loadbalance weighted is not supported, only round_robin is")
    if policy is not None and policy.text != "round_robin":
        raise policy.error(f"'{policy.text}' is not a policy of loadbalance (known: round_robin)")
    if len(block.args) > 1:
        raise block.args[1].error(f"'round_robin' takes no argument, but got '{block.args[1].text}'")
    networks: list[Network] = []

    def read_prefer(line: Line) -> None:
        for token in line.some("address blocks"):
            try:
                networks.append(ip_network(token.text))
            except ValueError as error:
                raise token.error(f"'{token.text}' is not an address block: {error}") from None

    block.read({"prefer": read_prefer}, {"reload": "it belongs to the policy weighted"})
    return Config(tuple(networks))
