"""Frame Streams, both ways, as the side that sends: the handshake, and the farewell."""

from __future__ import annotations

import asyncio
import struct

from seamark.dns.plugins.dnstap.message import (
    ACCEPT,
    CONTENT_TYPE,
    FINISH,
    READY,
    START,
    STOP,
    parse_control,
    render_control,
)

PATIENCE = 5.0
"""Seconds for each step."""
MAX_CONTROL = 512
BROKEN = (OSError, EOFError, ValueError, TimeoutError)


async def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Frames may be sent when it returns. Raises one of BROKEN."""
    async with asyncio.timeout(PATIENCE):
        writer.write(render_control(READY, typed=True))
        kind, types = await _control(reader)
        if kind != ACCEPT or (types and CONTENT_TYPE not in types):
            raise ValueError("the sink does not take dnstap")
        writer.write(render_control(START, typed=True))


async def finish(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, rest: bytes = b"") -> None:
    """Sends the last frames and waits until the sink has them. A sink that is gone has nothing to finish."""
    try:
        writer.write(rest + render_control(STOP, typed=False))
        async with asyncio.timeout(PATIENCE):
            while (await _control(reader))[0] != FINISH:
                pass
    except BROKEN:
        pass


async def _control(reader: asyncio.StreamReader) -> tuple[int, tuple[bytes, ...]]:
    """The next control frame. Raises ValueError for anything else."""
    escape, length = struct.unpack("!II", await reader.readexactly(8))
    if escape or length > MAX_CONTROL:
        raise ValueError("the sink does not speak Frame Streams")
    return parse_control(await reader.readexactly(length))
