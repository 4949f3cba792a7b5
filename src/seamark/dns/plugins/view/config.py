"""``view NAME { expr EXPRESSION }``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

import dns.edns
import dns.flags
import dns.opcode
import dns.rdataclass
import dns.rdatatype

from seamark.dns.corefile.block import Block, Line
from seamark.dns.expression import Expression, Function, parse_condition
from seamark.dns.listener import plain_address
from seamark.dns.plugin import Query

PLAIN_SIZE = 512


@dataclass(frozen=True, slots=True)
class Config:
    name: str
    conditions: tuple[Expression, ...]


def _says(kind: str, what: Callable[[Query], Any]) -> Function:
    return Function((), kind, what)


def _metadata(query: Query, label: str) -> str:
    value = query.metadata.get(label)
    return value() if value is not None else ""


def within(query: Any, address: str, cidr: str) -> bool:
    """``incidr``: IPv6 addresses may stand in brackets."""
    found, network = ip_address(plain_address(address.strip("[]"))), ip_network(cidr, strict=False)
    return found.version == network.version and found in network


FUNCTIONS = {
    "bufsize": _says("int", lambda query: max(query.message.payload, PLAIN_SIZE)),
    "class": _says("string", lambda query: dns.rdataclass.to_text(query.message.question[0].rdclass)),
    "client_ip": _says("string", lambda query: query.client),
    "do": _says("bool", lambda query: bool(query.message.ednsflags & dns.flags.DO)),
    "id": _says("int", lambda query: query.message.id),
    "incidr": Function(("string", "string"), "bool", within),
    "metadata": Function(("string",), "string", _metadata),
    "name": _says("string", lambda query: query.text),
    "opcode": _says("int", lambda query: int(query.message.opcode())),
    "port": _says("string", lambda query: str(query.client_port)),
    "proto": _says("string", lambda query: "udp" if query.protocol == "udp" else "tcp"),
    "server_ip": _says("string", lambda query: query.server_ip),
    "server_port": _says("string", lambda query: str(query.server_port)),
    "size": _says("int", lambda query: query.size),
    "type": _says("string", lambda query: dns.rdatatype.to_text(query.rdtype)),
}
"""What an expression may ask of a query."""


def parse(block: Block) -> Config:
    name = block.one("the view's name").text
    found: list[Expression] = []

    def expr(line: Line) -> None:
        words = line.some("an expression")
        try:
            found.append(parse_condition(" ".join(word.text for word in words), FUNCTIONS))
        except ValueError as error:
            raise words[0].error(f"'expr' of view '{name}': {error}") from None

    block.read({"expr": expr})
    return Config(name, tuple(found))
