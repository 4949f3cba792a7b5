"""Plugin erratic: what it misses, and when."""

from __future__ import annotations

import asyncio
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import pytest

from seamark.dns.listener import Listener, Source
from seamark.testing.clock import settle


async def answers(server: Any, count: int, kind: str = "A") -> list[dns.message.Message | None]:
    wire = dns.message.make_query("any.test.", kind).to_wire()
    found = [await server.core.answer(Listener(53), wire, Source("192.0.2.7", 40212), "tcp") for _ in range(count)]
    return [None if packet is None else dns.message.from_wire(packet, one_rr_per_rrset=True) for packet in found]


@pytest.mark.parametrize(
    ("options", "answered"),
    [("", [False, True, False, True]), ("drop 3", [False, True, True, False]), ("drop 0", [True] * 4)],
)
async def test_one_query_of_so_many_gets_no_answer(options: str, answered: list[bool], serve: Any) -> None:
    server = await serve(". {\nerratic {\n" + options + "\n}\n}")
    assert [found is not None for found in await answers(server, 4)] == answered


async def test_truncated_ones_say_so(serve: Any) -> None:
    server = await serve(". {\nerratic {\ntruncate 3\n}\n}")
    flags = [bool(found.flags & dns.flags.TC) for found in await answers(server, 4) if found is not None]
    assert flags == [True, False, False, True]


async def test_a_delayed_answer_takes_its_time(serve: Any) -> None:
    server = await serve(". {\nerratic {\ndelay 2 50ms\n}\n}")
    first = asyncio.ensure_future(answers(server, 1))
    await settle()
    assert not first.done()
    await server.clock.advance(0.05)
    assert (await first)[0] is not None


async def test_what_is_answered(serve: Any) -> None:
    server = await serve(". {\nerratic {\ndrop 0\ntruncate 2\nlarge\n}\n}")
    short, whole = await answers(server, 2, "AXFR")
    assert short is not None and whole is not None
    assert whole.answer[-1] == whole.answer[0]
    assert short.answer[-1].rdtype != short.answer[0].rdtype
    found = (await answers(server, 1))[0]
    assert found is not None and len(found.answer) == 30
    found = (await answers(server, 1, "TXT"))[0]
    assert found is not None and found.rcode() == dns.rcode.SERVFAIL
