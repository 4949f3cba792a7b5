"""Flows of the connection tracker: listed by original destination, UDP ones deleted one by one, over netlink.

Only UDP needs deletes: a flow keeps its NAT mapping as long as packets come, so a client that talks to a dead endpoint
would talk to it for ever. The kernel filters (CTA_FILTER), so a listing costs in proportion to the flows of one
Service. Refuses to delete TCP: established connections live through everything a proxy does.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple, Self

from seamark.linux import netns
from seamark.linux.netlinkwire import attribute, attributes, messages

NETLINK_NETFILTER = 12
SUBSYSTEM = 1
GET, DELETE = 1, 2
TUPLE_ORIG, TUPLE_REPLY, FILTER = 1, 2, 25
ORIG_FLAGS, REPLY_FLAGS = 1, 2
FILTER_DST, FILTER_PROTO, FILTER_DST_PORT = 1 << 1, 1 << 3, 1 << 5
NESTED = 0x8000
REQUEST, ACK, DUMP = 0x1, 0x4, 0x300
NLMSG_ERROR, NLMSG_DONE = 2, 3
UDP = 17


class Flow(NamedTuple):
    """One flow: where the client sent to, and who answers, to which address. ``tuple`` is the kernel's name for it."""

    destination: str
    port: int
    server: str
    server_port: int
    tuple: bytes
    client: str = ""
    client_port: int = 0
    seen_as: str = ""
    """The address the server answers to: another than the client's where it is masqueraded."""


class Conntrack:
    """A socket to the tracker of one namespace (None = this process's own)."""

    def __init__(self, namespace: Path | None) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
        if namespace is None:
            self._socket = socket.socket(socket.AF_NETLINK, kind, NETLINK_NETFILTER)
        else:
            self._socket = netns.open_socket(namespace, socket.AF_NETLINK, kind, NETLINK_NETFILTER)
        self._socket.bind((0, 0))
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def udp_flows(self, family: int, *, destination: str = "", port: int = 0) -> list[Flow]:
        """The UDP flows of a family, of one original destination or port where given. ``family``: socket.AF_*."""
        return self.flows(family, UDP, destination=destination, port=port)

    def flows(self, family: int, protocol: int, *, destination: str = "", port: int = 0) -> list[Flow]:
        """The same for any protocol, by its number."""
        flags = FILTER_PROTO | (FILTER_DST if destination else 0) | (FILTER_DST_PORT if port else 0)
        address = _address(family, destination) if destination else b""
        transport = attribute(1, bytes([protocol])) + (attribute(3, struct.pack(">H", port)) if port else b"")
        wanted = (attribute(NESTED | 1, address) if address else b"") + attribute(NESTED | 2, transport)
        which = attribute(ORIG_FLAGS, struct.pack("=I", flags)) + attribute(REPLY_FLAGS, struct.pack("=I", 0))
        body = attribute(NESTED | TUPLE_ORIG, wanted) + attribute(NESTED | FILTER, which)
        found = (_flow(attributes(reply), protocol) for reply in self._ask(GET, family, body, REQUEST | DUMP))
        return [flow for flow in found if flow is not None]

    def delete(self, family: int, flow: Flow) -> bool:
        """Deletes exactly this flow; False if it had ended already."""
        try:
            list(self._ask(DELETE, family, attribute(NESTED | TUPLE_ORIG, flow.tuple), REQUEST | ACK))
        except OSError as error:
            if error.errno == errno.ENOENT:
                return False
            raise
        return True

    def _ask(self, kind: int, family: int, body: bytes, flags: int) -> Iterator[bytes]:
        self._sequence += 1
        head = struct.pack("=IHHII", 20 + len(body), SUBSYSTEM << 8 | kind, flags, self._sequence, 0)
        self._socket.send(head + struct.pack(">BBH", family, 0, 0) + body)
        while True:
            for found, sequence, payload in messages(self._socket.recv(1 << 18)):
                if sequence != self._sequence:
                    continue
                if found == NLMSG_DONE:
                    return
                if found == NLMSG_ERROR:
                    code = -struct.unpack_from("=i", payload)[0]
                    if code:
                        raise OSError(code, f"conntrack: {os.strerror(code)}")
                    return
                yield payload[4:]


def _address(family: int, destination: str) -> bytes:
    return attribute(2 if family == socket.AF_INET else 4, ip_address(destination).packed)


def _flow(parts: dict[int, bytes], protocol: int) -> Flow | None:
    original, reply = attributes(parts[TUPLE_ORIG]), attributes(parts[TUPLE_REPLY])
    transport, answer = attributes(original[2]), attributes(reply[2])
    if transport.get(1, b"\0")[0] != protocol:
        return None
    to, by = attributes(original[1]), attributes(reply[1])
    return Flow(
        destination=str(ip_address(to[2] if 2 in to else to[4])),
        port=int.from_bytes(transport[3], "big"),
        server=str(ip_address(by[1] if 1 in by else by[3])),
        server_port=int.from_bytes(answer[2], "big"),
        tuple=parts[TUPLE_ORIG],
        client=str(ip_address(to[1] if 1 in to else to[3])),
        client_port=int.from_bytes(transport.get(2, b""), "big"),
        seen_as=str(ip_address(by[2] if 2 in by else by[4])),
    )
