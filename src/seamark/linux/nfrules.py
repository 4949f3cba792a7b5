"""The two rules that nft cannot write: remember and forget a client whose key is longer than 16 bytes.

``update @map { meta priority & 0:ffff . ip6 saddr timeout T : meta priority }`` compiles wrongly in nft 1.0.6: the
datum is loaded into register 2, over the last word of the 20-byte key that begins in register 1. Built by hand with
the datum in register 3 the kernel does what the text says, and nft lists it as that text.
"""

from __future__ import annotations

import struct
from typing import Literal

from seamark.linux.netlinkwire import attribute, text

NESTED = 0x8000
META_PRIORITY = 2
NETWORK_HEADER, IPV6_SOURCE, IPV6_LENGTH = 1, 8, 16
KEY, KEY_REST, DATUM = 1, 9, 3
"""Register 9 is the second word of register 1; the key ends in the first word of register 2."""
OPERATIONS = {"update": 1, "delete": 2}


def client_rule(table: str, chain: str, *, operation: Literal["update", "delete"], seconds: int) -> bytes:
    """The attributes of a NEWRULE: ``operation`` on ``@aff`` for serial . client -> meta priority."""
    mask, zero = struct.pack("=I", 0xFFFF), struct.pack("=I", 0)
    timeout = attribute(6, struct.pack(">Q", seconds * 1000)) if seconds else b""
    expressions = (
        _expression("meta", _number(1, KEY) + _number(2, META_PRIORITY)),
        _expression("bitwise", _number(1, KEY) + _number(2, KEY) + _number(3, 4) + _value(4, mask) + _value(5, zero)),
        _expression(
            "payload",
            _number(1, KEY_REST) + _number(2, NETWORK_HEADER) + _number(3, IPV6_SOURCE) + _number(4, IPV6_LENGTH),
        ),
        _expression("meta", _number(1, DATUM) + _number(2, META_PRIORITY)),
        _expression(
            "dynset",
            text(1, "aff") + _number(3, OPERATIONS[operation]) + _number(4, KEY) + _number(5, DATUM) + timeout,
        ),
    )
    return text(1, table) + text(2, chain) + attribute(NESTED | 4, b"".join(expressions))


def _expression(name: str, data: bytes) -> bytes:
    return attribute(NESTED | 1, text(1, name) + attribute(NESTED | 2, data))


def _number(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack(">I", value))


def _value(kind: int, data: bytes) -> bytes:
    return attribute(NESTED | kind, attribute(1, data))
