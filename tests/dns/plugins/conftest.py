"""Other people's DNS servers on loopback, and Seamark's own with sockets, for tests that let them talk."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import dns.asyncquery
import dns.exception
import dns.message
import pytest

from seamark.dns.server.process import Process

TRIES, PAUSE = 500, 0.02
COREDNS = "seamark/coredns-v1.15.0/coredns"
"""Below the cache folder, where tools/build-peers puts it."""


def _find(name: str) -> str:
    if name == "coredns":
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        found = str(cache / COREDNS) if (cache / COREDNS).exists() else None
    else:
        found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def _launch(words: list[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as out:
        return subprocess.Popen(words, stdout=out, stderr=out, cwd=log.parent)


@pytest.fixture
def program() -> Callable[[str], str]:
    """Its path; the test is skipped where there is none."""
    return _find


@pytest.fixture
async def beside(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Path]]]:
    """``await beside("knotd", "-c", file, port=…)`` starts a server, which answers when it returns; its log's path."""
    running: list[subprocess.Popen[bytes]] = []

    async def start(name: str, *words: object, port: int) -> Path:
        log = tmp_path / f"{name}.{len(running)}.log"
        process = _launch([_find(name), *map(str, words)], log)
        running.append(process)
        for _ in range(TRIES):
            try:
                await dns.asyncquery.udp(dns.message.make_query(".", "NS"), "127.0.0.1", port=port, timeout=0.2)
                return log
            except (dns.exception.DNSException, OSError):
                assert process.poll() is None, log.read_text()
                await asyncio.sleep(PAUSE)
        raise AssertionError(f"{name} does not answer: {log.read_text()}")

    yield start
    for process in running:
        process.terminate()
        process.wait(10)


@pytest.fixture
def seamark(host: Any, running: Any, tmp_path: Path) -> Callable[[str], Awaitable[Process]]:
    """``await seamark(corefile)`` serves on loopback, by the real time where something dates."""
    host.clock.time = time.time
    return lambda text: running(text.replace("{\n", f"{{\nroot {tmp_path}\nbind 127.0.0.1\n", 1))


@pytest.fixture
def ask() -> Callable[..., Awaitable[dns.message.Message]]:
    """``await ask(port, name, type)``."""

    async def asked(port: int, name: str, kind: str = "A", *, tcp: bool = False, **options: Any) -> dns.message.Message:
        query = dns.message.make_query(name, kind, **options)
        send = dns.asyncquery.tcp if tcp else dns.asyncquery.udp
        return await send(query, "127.0.0.1", port=port, timeout=10)

    return asked
