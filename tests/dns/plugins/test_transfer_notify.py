"""Those who may transfer a zone are told that it is another one now."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.opcode
import dns.rcode

from seamark.testing.clock import settle
from seamark.testing.dnsupstream import silent, with_rcode

ZONE = "$TTL 300\n@ IN SOA ns root SERIAL 3600 600 86400 60\n@ IN NS ns\nns IN A 192.0.2.1\n"


async def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(20000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it did not happen")


async def start(serve: Any, tmp_path: Path, *secondaries: Any) -> Any:
    (tmp_path / "db").write_text(ZONE.replace("SERIAL", "7"))
    to = " ".join(f"127.0.0.1:{one.port}" for one in secondaries)
    text = f"z.test {{\nroot {tmp_path}\ntransfer {{\nto * {to}\nsource 127.0.0.1\n}}\nfile db {{\nreload 5s\n}}\n}}\n"
    server = await serve(text)
    server.plugin("transfer").serving()
    return server


async def test_at_the_start_and_when_a_file_changes(serve: Any, upstream: Any, tmp_path: Path) -> None:
    one, two = await upstream(with_rcode(dns.rcode.NOERROR)), await upstream(with_rcode(dns.rcode.NOERROR))
    server = await start(serve, tmp_path, one, two)
    await wait_for(lambda: len(one.queries) == len(two.queries) == 1)
    ((protocol, told),) = one.queries
    assert (protocol, told.opcode(), told.question[0].to_text()) == ("udp", dns.opcode.NOTIFY, "z.test. IN SOA")
    assert told.flags & dns.flags.AA
    (tmp_path / "db").write_text(ZONE.replace("SERIAL", "12345"))
    await settle()  # the answers are to be there before their time is over
    await server.clock.advance(5)
    await wait_for(lambda: len(one.queries) == len(two.queries) == 2)


async def test_who_refuses_or_is_silent_is_told_three_times(serve: Any, upstream: Any, tmp_path: Path) -> None:
    refusing, mute = await upstream(with_rcode(dns.rcode.REFUSED)), await upstream(silent)
    server = await start(serve, tmp_path, refusing, mute)
    await wait_for(lambda: len(refusing.queries) == 3)
    for count in (1, 2, 3):
        await wait_for(lambda count=count: len(mute.queries) == count)  # type: ignore[misc]
        await settle()
        await server.clock.advance(2)
    told = [line for line in server.log if "was not accepted by" in line]
    assert len(told) == 2
    assert any(
        f'notify for zone "z.test." was not accepted by "127.0.0.1:{refusing.port}": rcode was "REFUSED"' in t
        for t in told
    )
