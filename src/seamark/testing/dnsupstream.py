"""A resolver on loopback that says what a test wants it to say: the truth, nothing, lies, too much.

It speaks UDP and TCP (or TLS) on one port. What it was asked stands in ``queries``.
"""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import Callable
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

Script = Callable[[dns.message.Message, str], list[dns.message.Message]]


def good(address: str) -> Script:
    def answer(query: dns.message.Message, protocol: str) -> list[dns.message.Message]:
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.RA
        reply.answer = [dns.rrset.from_text(query.question[0].name, 300, "IN", "A", address)]
        return [reply]

    return answer


def with_rcode(rcode: dns.rcode.Rcode) -> Script:
    def answer(query: dns.message.Message, protocol: str) -> list[dns.message.Message]:
        reply = dns.message.make_response(query)
        reply.set_rcode(rcode)
        return [reply]

    return answer


def silent(query: dns.message.Message, protocol: str) -> list[dns.message.Message]:
    return []


class ScriptedUpstream(asyncio.DatagramProtocol):
    """UDP and TCP on one port; ``script`` says what comes back."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.queries: list[tuple[str, dns.message.Message]] = []
        self.arrived = asyncio.Event()
        self.port = 0
        self.connections = 0
        self._udp: Any = None
        self._tcp: Any = None

    async def start(self, tls: ssl.SSLContext | None = None) -> ScriptedUpstream:
        self._tcp = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=tls)
        self.port = self._tcp.sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        self._udp, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", self.port))
        return self

    def stop(self) -> None:
        self._udp.close()
        self._tcp.close()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        for reply in self._run(data, "udp"):
            self._udp.sendto(reply.to_wire(), addr)

    def _run(self, data: bytes, protocol: str) -> list[dns.message.Message]:
        query = dns.message.from_wire(data)
        self.queries.append((protocol, query))
        self.arrived.set()
        return self.script(query, protocol)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                (length,) = struct.unpack("!H", await reader.readexactly(2))
                for reply in self._run(await reader.readexactly(length), "tcp"):
                    wire = reply.to_wire()
                    writer.write(struct.pack("!H", len(wire)) + wire)
        except (EOFError, ConnectionError):
            pass
        finally:
            writer.close()
