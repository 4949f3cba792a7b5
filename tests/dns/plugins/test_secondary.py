"""Plugins auto and secondary: zones that come and go with files, and zones transferred from a primary on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dns.asyncquery
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import pytest

from seamark.dns.corefile.lexer import CorefileError
from seamark.dns.plugins.secondary.inbound import is_newer
from seamark.testing.clock import settle
from seamark.testing.ports import free_port

ZONE = "$TTL 60\n@ IN SOA ns root {serial} 100 20 300 60\n@ IN NS ns\nns IN A 192.0.2.1\nweb IN A 192.0.2.{last}\n"


@pytest.fixture
def start(running: Any, tmp_path: Path) -> Callable[..., Any]:
    return lambda text: running(text.replace("{", f"{{\nroot {tmp_path}\nbind 127.0.0.1\n", 1))


async def ask(port: int, name: str = "web.a.test.") -> dns.message.Message:
    return await dns.asyncquery.udp(dns.message.make_query(name, "A"), "127.0.0.1", port=port, timeout=5)


async def until(clock: Any, port: int, wanted: str, *, step: float = 0.0, name: str = "web.a.test.") -> None:
    """Asks, and lets ``step`` seconds pass between, until the answer is that address or rcode."""
    seen = ""
    for _ in range(100):
        reply = await ask(port, name)
        seen = reply.answer[0][0].to_text() if reply.answer else dns.rcode.to_text(reply.rcode())
        if seen == wanted:
            return
        await asyncio.sleep(0.02)
        if step:
            await clock.advance(step)
    raise AssertionError(f"{name} is {seen}, not {wanted}")


def write(tmp_path: Path, serial: int, last: int) -> None:
    (tmp_path / "db").write_text(ZONE.format(serial=serial, last=last))


async def test_a_zone_is_transferred_refreshed_and_expires(
    start: Any, host: Any, tmp_path: Path, log: list[str]
) -> None:
    primary, second = free_port(), free_port()
    write(tmp_path, 1, 1)
    await start(f"a.test:{second} {{\nsecondary {{\ntransfer from 127.0.0.1:{primary}\n}}\n}}\n")
    await until(host.clock, second, "SERVFAIL")
    text = f"a.test:{primary} {{\nfile db {{\nreload 5s\n}}\ntransfer {{\nto *\n}}\n}}\n"
    process = await start(text)
    await until(host.clock, second, "192.0.2.1", step=5)
    write(tmp_path, 2, 2)
    await until(host.clock, second, "192.0.2.2", step=5)
    await process.kill()
    await until(host.clock, second, "SERVFAIL", step=20)
    assert f"[INFO] plugin/file: Transferred: a.test. from 127.0.0.1:{primary}" in log
    await start(text)
    await until(host.clock, second, "192.0.2.2", step=5)


async def test_a_primary_that_tells_is_asked_at_once(start: Any, host: Any, tmp_path: Path) -> None:
    primary, second = free_port(), free_port()
    write(tmp_path, 1, 1)
    await start(f"a.test:{primary} {{\nfile db {{\nreload 1s\n}}\ntransfer {{\nto 127.0.0.1:{second}\n}}\n}}\n")
    await start(f"a.test:{second} {{\nsecondary {{\ntransfer from 127.0.0.1:{primary}\n}}\ntransfer {{\nto *\n}}\n}}\n")
    await until(host.clock, second, "192.0.2.1")
    write(tmp_path, 2, 2)
    before = host.clock.monotonic()
    await until(host.clock, second, "192.0.2.2", step=0.5)
    assert host.clock.monotonic() - before < 50, "long before the refresh of the SOA"
    found = dns.message.make_query("a.test.", "AXFR")
    reply = await dns.asyncquery.tcp(found, "127.0.0.1", port=second, timeout=5, one_rr_per_rrset=True)
    assert reply.answer[0] == reply.answer[-1] and len(reply.answer) == 5


async def test_a_stranger_tells_in_vain(serve: Any) -> None:
    server = await serve("a.test {\nsecondary {\ntransfer from 192.0.2.99\n}\n}")
    message = dns.message.make_query("a.test.", "SOA", flags=dns.flags.AA)
    message.set_opcode(dns.opcode.NOTIFY)
    with pytest.raises(AssertionError):
        await server.ask(message)  # no reply
    assert "[INFO] plugin/file: Dropping notify from 192.0.2.7 for a.test." in server.log
    assert (await server.ask(message, client="192.0.2.99")).rcode() == dns.rcode.NOERROR


@pytest.mark.parametrize(
    ("serial", "than", "newer"),
    [(2, 1, True), (1, 2, False), (1, 1, False), (0, 2**32 - 1, True), (2**31, 0, False), (2**31 - 1, 0, True)],
)
def test_serials_go_round(serial: int, than: int, newer: bool) -> None:
    assert is_newer(serial, than) is newer


async def test_zones_come_and_go_with_files(serve: Any, host: Any, tmp_path: Path, log: list[str]) -> None:
    folder = tmp_path / "zones"
    folder.mkdir()
    (folder / "a.test.zone").write_text(ZONE.format(serial=1, last=1))
    (folder / "a.test.zone.bak").write_text("nothing of the kind")
    (folder / "bad.test.zone").write_text("@ IN SOA")
    options = f"directory {folder} ^(.*)\\.zone$ {{1}}\nreload 5s"
    server = await serve(". {\nauto test {\n" + options + "\n}\n}")

    async def asked(name: str) -> str:
        reply = await server.ask(dns.message.make_query(name, "A"))
        return reply.answer[0][0].to_text() if reply.answer else dns.rcode.to_text(reply.rcode())

    assert await asked("web.a.test.") == "192.0.2.1"
    assert await asked("web.b.test.") == "SERVFAIL"
    assert len([line for line in log if "Parse zone `bad.test.'" in line]) == 1
    (folder / "a.test.zone").write_text(ZONE.format(serial=2, last=22))
    (folder / "b.test.zone").write_text(ZONE.format(serial=1, last=3))
    await host.clock.advance(5)
    await settle()
    assert [await asked("web.a.test."), await asked("web.b.test.")] == ["192.0.2.22", "192.0.2.3"]
    (folder / "a.test.zone").write_text("broken")
    (folder / "b.test.zone").unlink()
    await host.clock.advance(5)
    await settle()
    assert [await asked("web.a.test."), await asked("web.b.test.")] == ["192.0.2.22", "SERVFAIL"]
    assert "[INFO] plugin/auto: Deleting zone `b.test.'" in log


async def test_a_pattern_of_files_has_a_group(serve: Any) -> None:
    with pytest.raises(CorefileError, match="need at least one sub expression"):
        await serve(". {\nauto {\ndirectory /nonexistent db fixed.test\n}\n}")
