"""Plugins shed and on: what is dropped under overload, and what runs at the start and the end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import dns.message
import pytest

from seamark.dns.corefile.lexer import CorefileError
from seamark.dns.listener import Listener, Source
from seamark.dns.plugins.shed import handler as shed
from seamark.testing.clock import settle

WIRE = dns.message.make_query("any.test.", "A").to_wire()


async def test_queries_over_the_limit_are_dropped_over_udp_alone(
    serve: Any, host: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shed, "DEPTH", 2)
    server = await serve(". {\nshed\nerratic {\ndelay 1 1s\n}\n}")

    def asked(protocol: str) -> asyncio.Task[Any]:
        return asyncio.ensure_future(server.core.answer(Listener(53), WIRE, Source("192.0.2.7", 4021), protocol))

    waiting = [asked("udp"), asked("udp")]
    await settle()
    assert await asked("udp") is None
    over_tcp = asked("tcp")
    await settle()
    await server.clock.advance(1)
    assert all([await task for task in [*waiting, over_tcp]])
    again = asked("udp")
    await settle()
    await server.clock.advance(1)
    assert await again is not None
    assert 'coredns_shed_dropped_total{reason="query",server="dns://:53"} 1.0' in host.metrics.text().decode()


async def test_shed_is_for_plain_dns(serve: Any) -> None:
    with pytest.raises(CorefileError, match="plain DNS"):
        await serve("grpc://. {\nshed\nwhoami\n}")


async def test_commands_run_at_the_start_and_the_end(serve: Any, host: Any, log: list[str]) -> None:
    ran: list[tuple[str, ...]] = []

    async def run(command: Sequence[str]) -> str:
        ran.append(tuple(command))
        return "exit status 3" if "fails" in command else ""

    host.run = run
    server = await serve(
        ". {\non startup /bin/up 1\non startup fails &\non shutdown fails\non shutdown /bin/down\nwhoami\n}"
    )
    await settle()
    assert sorted(ran) == [("/bin/up", "1"), ("fails",)]
    assert "[ERROR] plugin/on: fails: exit status 3" in log
    await server.instance.stop()
    assert ran[2:] == [("fails",), ("/bin/down",)]
    assert any("on shutdown: fails: exit status 3" in line for line in log)
    with pytest.raises(CorefileError, match="on startup: fails: exit status 3"):
        await serve(". {\non startup fails\nwhoami\n}")
    await server.instance.start()  # so that the fixture's end has something to stop
