"""TCP and TLS: length-prefixed messages, one after the other on a connection; slow and idle ones are closed."""

from __future__ import annotations

import asyncio
import struct

from seamark.dns.listener import Source
from seamark.dns.server.proxied import Reading
from seamark.dns.server.streams import Serving
from seamark.dns.waiting import within

MAX_CONNECTIONS = 4096


class TcpTransport:
    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    @property
    def connections(self) -> int:
        return MAX_CONNECTIONS

    async def converse(self, reader: Reading, writer: asyncio.StreamWriter, client: Source) -> None:
        serving = self._serving
        asked = 0
        while (limits := serving.timeouts()).queries < 0 or asked < limits.queries:
            asked += 1
            (length,) = struct.unpack("!H", await within(serving.clock, limits.idle, reader.readexactly(2)))
            packet = await within(serving.clock, limits.read, reader.readexactly(length))
            found = await serving.answer(serving.at, packet, client, "tcp")
            if found is None:
                return
            for message in (found,) if isinstance(found, bytes) else found:
                writer.write(struct.pack("!H", len(message)) + message)
                await within(serving.clock, limits.write, writer.drain())
