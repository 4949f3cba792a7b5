"""Listens for sinks that connect, and sends each of them every frame from then on.

Nothing is kept for them: a sink that falls behind by more than its socket and SLOW octets hold is let go, and the
others notice nothing. Who connects is still the reader, so the handshake begins on this side (as CoreDNS has it).
"""

from __future__ import annotations

import asyncio
import os
import ssl
from pathlib import Path

from seamark.dns.host import Site
from seamark.dns.plugins.dnstap.config import Config
from seamark.dns.plugins.dnstap.message import render_frame
from seamark.dns.plugins.dnstap.stream import BROKEN, begin, finish

SLOW = 1 << 20
Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Collectors:
    def __init__(self, config: Config, site: Site) -> None:
        """Raises CorefileError for certificates that are not there or do not fit."""
        self._config = config
        self._host = site.host
        self._tls = _context(config, site)
        self._server: asyncio.Server | None = None
        self._inode = 0
        self._ends: set[Ends] = set()
        self._greeting: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """An address that cannot be had is told in the log, and queries are answered all the same."""
        config = self._config
        try:
            if config.path:
                self._server = await asyncio.start_unix_server(self._take, config.path)
                self._inode = os.stat(config.path).st_ino
            else:  # with reuse_port the instance after a reload listens before this one stops
                self._server = await asyncio.start_server(
                    self._take, config.host or None, config.port, ssl=self._tls, reuse_port=True
                )
        except OSError as error:
            self._host.log(f"[ERROR] plugin/dnstap: Failed to start dnstap listener: {config.where}: {error}")

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            self._unlink()
        for task in self._greeting:
            task.cancel()
        await asyncio.gather(*self._greeting, *(finish(*ends) for ends in self._ends), return_exceptions=True)
        for _, writer in self._ends:
            writer.close()
        self._ends.clear()

    def add(self, data: bytes) -> None:
        if not self._ends:
            return
        frame = render_frame(data)
        for ends in tuple(self._ends):
            transport = ends[1].transport
            if transport.is_closing() or transport.get_write_buffer_size() > SLOW:
                self._ends.discard(ends)
                transport.abort()
            else:
                ends[1].write(frame)

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._greeting.add(task)
        try:
            await begin(reader, writer)
            self._ends.add((reader, writer))
        except BROKEN as error:
            why = str(error) or type(error).__name__
            self._host.log(f"[WARNING] plugin/dnstap: Error creating encoder for dnstap client: {why}")
            writer.close()
        finally:
            self._greeting.discard(task)

    def _unlink(self) -> None:
        """The path, unless the instance after a reload listens there by now."""
        try:
            if self._inode and os.stat(self._config.path).st_ino == self._inode:
                Path(self._config.path).unlink()
        except OSError:
            pass


def _context(config: Config, site: Site) -> ssl.SSLContext | None:
    """With an authority, clients show a certificate of it; with ``skipverify`` only those that have one."""
    if config.certificate is None or config.key is None:
        return None
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    found.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        found.load_cert_chain(site.root / config.certificate.text, site.root / config.key.text)
    except (OSError, ssl.SSLError) as error:
        raise config.certificate.error(f"dnstap: certificate and key cannot be used: {error}") from error
    if config.authority is not None:
        try:
            found.load_verify_locations(site.root / config.authority.text)
        except (OSError, ssl.SSLError) as error:
            raise config.authority.error(f"dnstap: the authority cannot be used: {error}") from error
        found.verify_mode = ssl.CERT_REQUIRED if config.verify else ssl.CERT_OPTIONAL
    return found
