"""Zones to and from other people's servers: knotd (AXFR, IXFR, NOTIFY, TSIG, catalogs) and CoreDNS, both directions."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import dns.message
import dns.rcode
import dns.tsigkeyring
import pytest

from seamark.testing.ports import free_port

SECRET = "NoTCJU+DMqFWywaPyxSijrDEA/eC3nK0xi3AMEZuPVk="
ZONE = """$TTL 60
@ IN SOA ns root {serial} 100 20 300 60
@ IN NS ns
ns IN A 192.0.2.1
web IN A 192.0.2.{serial}
text IN TXT "a long one" "and another"
_http._tcp IN SRV 0 0 80 web
*.wild IN CNAME web
"""
MEMBER = "$TTL 60\n@ IN SOA ns root 1 100 20 300 60\n@ IN NS ns\nns IN A 192.0.2.1\nweb IN A 192.0.2.77\n"


def write(folder: Path, serial: int, name: str = "db") -> None:
    (folder / name).write_text(ZONE.format(serial=serial))


class Knot:
    """One knotd. ``tell`` is knotc: a command to the running server."""

    def __init__(self, beside: Any, program: Any, folder: Path) -> None:
        self._start = beside
        self._program = program
        self._folder = folder
        self.port = free_port()

    async def start(self, zones: str, remotes: str) -> None:
        for name in ("run", "data"):
            (self._folder / name).mkdir()
        file = self._folder / "knot.conf"
        file.write_text(f"""
server:
  listen: 127.0.0.1@{self.port}
  rundir: {self._folder}/run
log:
  - target: stderr
    any: info
database:
  storage: {self._folder}/data
key:
  - id: a.key
    algorithm: hmac-sha256
    secret: {SECRET}
{remotes}
acl:
  - id: everybody
    address: 127.0.0.1
    action: [transfer, notify]
template:
  - id: default
    storage: {self._folder}
    acl: everybody
zone:
{zones}
""")
        await self._start("knotd", "-c", file, port=self.port)

    async def tell(self, *words: str) -> None:
        process = await asyncio.create_subprocess_exec(
            self._program("knotc"),
            *("-s", str(self._folder / "run" / "knot.sock"), *words),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        told, _ = await process.communicate()
        assert process.returncode == 0, told


@pytest.fixture
def knot(beside: Any, program: Any, tmp_path: Path) -> Knot:
    program("knotd")
    return Knot(beside, program, tmp_path)


@pytest.fixture
def until(ask: Any, host: Any) -> Callable[..., Awaitable[None]]:
    """Asks until the answer is that address or rcode; ``step`` seconds of our clock pass between."""

    async def wait(port: int, wanted: str, *, name: str = "web.a.test.", step: float = 0.0) -> None:
        seen = ""
        for _ in range(300):
            reply = await ask(port, name)
            seen = reply.answer[-1][0].to_text() if reply.answer else dns.rcode.to_text(reply.rcode())
            if seen == wanted:
                return
            await asyncio.sleep(0.03)
            if step:
                await host.clock.advance(step)
        raise AssertionError(f"{name} is {seen}, not {wanted}")

    return wait


async def whole(ask: Any, port: int, zone: str = "a.test.") -> set[str]:
    """Every record of a zone, by transfer."""
    reply = await ask(port, zone, "AXFR", tcp=True)
    return {f"{rrset.name} {rrset.ttl} {rrset.rdtype.name} {rdata}" for rrset in reply.answer for rdata in rrset}


async def test_from_knot(knot: Knot, seamark: Any, until: Any, ask: Any, tmp_path: Path, log: list[str]) -> None:
    """The first transfer, and a change that knot tells of, signed."""
    second = free_port()
    write(tmp_path, 1)
    remotes = f"remote:\n  - id: second\n    address: 127.0.0.1@{second}\n    key: a.key\n"
    await knot.start("  - domain: a.test\n    file: db\n    notify: second\n", remotes)
    keys = f"tsig {{\nsecret a.key {SECRET}\nrequire_opcode NOTIFY\n}}\n"
    from_knot = f"secondary {{\ntransfer from 127.0.0.1:{knot.port}\n}}\ntransfer {{\nto *\n}}\n"
    await seamark(f"a.test:{second} {{\n{keys}{from_knot}}}\n")
    await until(second, "192.0.2.1")
    assert await whole(ask, second) == await whole(ask, knot.port)
    write(tmp_path, 2)
    await knot.tell("zone-reload", "a.test")
    await until(second, "192.0.2.2")  # at once: our clock stands still
    assert "[INFO] plugin/file: Notify from 127.0.0.1 for a.test.: checking transfer" in log


async def test_to_knot(knot: Knot, seamark: Any, until: Any, ask: Any, tmp_path: Path, log: list[str]) -> None:
    """Signed transfers, and a change that knot is told of and asks for by IXFR; unsigned ones are refused."""
    primary = free_port()
    write(tmp_path, 1)
    remotes = f"remote:\n  - id: primary\n    address: 127.0.0.1@{primary}\n    key: a.key\n"
    await knot.start("  - domain: a.test\n    master: primary\n", remotes)
    keys = f"tsig {{\nsecret a.key {SECRET}\nrequire AXFR IXFR\n}}\n"
    to_knot = f"file db {{\nreload 1s\n}}\ntransfer {{\nto * 127.0.0.1:{knot.port}\n}}\n"
    await seamark(f"a.test:{primary} {{\n{keys}{to_knot}}}\n")
    await until(knot.port, "192.0.2.1")
    assert {line for line in await whole(ask, knot.port) if " TXT " in line}
    write(tmp_path, 12)
    await until(knot.port, "192.0.2.12", step=0.5)
    assert any(
        'Outgoing transfer of 8 records of zone "a.test." to 127.0.0.1 for 12 SOA serial' in line for line in log
    )
    await knot.tell("zone-refresh", "a.test")  # it asks for the serial, and finds its own
    refused = await ask(primary, "a.test.", "AXFR", tcp=True)
    assert refused.rcode() == dns.rcode.REFUSED


async def test_a_clusters_zone_to_knot(knot: Knot, seamark: Any, until: Any, ask: Any, fake_api: Any) -> None:
    primary = free_port()
    meta = {"name": "web", "namespace": "default"}
    spec = {"ports": [{"name": "http", "port": 80, "protocol": "TCP"}], "clusterIP": "10.96.0.5"}
    fake_api.put("namespaces", {"metadata": {"name": "default"}})
    fake_api.put("services", {"metadata": meta, "spec": spec | {"clusterIPs": ["10.96.0.5"]}})
    await seamark(f"cluster.local:{primary} {{\nkubernetes\ntransfer {{\nto 127.0.0.1\n}}\n}}\n")
    remotes = f"remote:\n  - id: primary\n    address: 127.0.0.1@{primary}\n"
    await knot.start("  - domain: cluster.local\n    master: primary\n", remotes)
    await until(knot.port, "10.96.0.5", name="web.default.svc.cluster.local.")
    assert await whole(ask, knot.port, "cluster.local.") == await whole(ask, primary, "cluster.local.")


async def test_a_catalog_of_knot(
    knot: Knot, seamark: Any, beside: Any, until: Any, tmp_path: Path, log: list[str], program: Any
) -> None:
    """knot makes the catalog; Seamark and, where it is there, CoreDNS go by it alike."""
    second = free_port()
    for name in ("one", "two"):
        (tmp_path / name).write_text(MEMBER)
    zones = "".join(
        f"  - domain: {name}.test\n    file: {name}\n    catalog-role: member\n    catalog-zone: cat.test\n"
        for name in ("one", "two")
    )
    catalog = "  - domain: cat.test\n    catalog-role: generate\n    notify: second\n"
    remotes = f"remote:\n  - id: second\n    address: 127.0.0.1@{second}\n"
    await knot.start(catalog + zones, remotes)
    text = f"secondary cat.test {{\ntransfer from 127.0.0.1:{knot.port}\ncatalog one.test\n}}\n"
    await seamark(f".:{second} {{\n{text}}}\n")
    await until(second, "192.0.2.77", name="web.one.test.", step=0.3)
    assert any("[INFO] plugin/secondary: Parsed catalog zone cat.test. with 2 member zones" in line for line in log)
    assert any("Skipped 1 member zones from catalog cat.test.: outside" in line for line in log)
    theirs, file = free_port(), tmp_path / "theirs"
    file.write_text(f".:{theirs} {{\nbind 127.0.0.1\n{text}}}\n")
    told = await beside("coredns", "-conf", file, port=theirs)
    await until(theirs, "192.0.2.77", name="web.one.test.")
    for line in log:
        if "plugin/secondary" in line:
            assert line in told.read_text()


async def test_from_coredns(beside: Any, seamark: Any, until: Any, ask: Any, tmp_path: Path) -> None:
    primary, second, file = free_port(), free_port(), tmp_path / "theirs"
    write(tmp_path, 1)
    words = f"file db {{\nreload 1s\n}}\ntransfer {{\nto * 127.0.0.1:{second}\n}}\n"
    file.write_text(f"a.test:{primary} {{\nbind 127.0.0.1\nroot {tmp_path}\n{words}}}\n")
    await beside("coredns", "-conf", file, port=primary)
    plugins = f"secondary {{\ntransfer from 127.0.0.1:{primary}\n}}\ntransfer {{\nto *\n}}\n"
    await seamark(f"a.test:{second} {{\n{plugins}}}\n")
    await until(second, "192.0.2.1")
    assert await whole(ask, second) == await whole(ask, primary)
    write(tmp_path, 2)
    await until(second, "192.0.2.2")  # as CoreDNS tells


async def test_to_coredns(beside: Any, seamark: Any, until: Any, ask: Any, tmp_path: Path) -> None:
    primary, second, file = free_port(), free_port(), tmp_path / "theirs"
    write(tmp_path, 1)
    words = f"file db {{\nreload 1s\n}}\ntransfer {{\nto * 127.0.0.1:{second}\n}}\n"
    await seamark(f"a.test:{primary} {{\n{words}}}\n")
    plugins = f"secondary {{\ntransfer from 127.0.0.1:{primary}\n}}\ntransfer {{\nto *\n}}\n"
    file.write_text(f"a.test:{second} {{\nbind 127.0.0.1\n{plugins}}}\n")
    await beside("coredns", "-conf", file, port=second)
    await until(second, "192.0.2.1")
    assert await whole(ask, second) == await whole(ask, primary)
    write(tmp_path, 12)
    await until(second, "192.0.2.12", step=0.5)


async def test_tsig_beside_coredns(beside: Any, seamark: Any, ask: Any, tmp_path: Path) -> None:
    """The same questions, signed well, badly and not at all, get the same rcodes and errors."""
    own, theirs, file = free_port(), free_port(), tmp_path / "theirs"
    write(tmp_path, 1)
    keys = f"tsig {{\nsecret a.key. {SECRET}\nrequire AXFR TXT\n}}\n"
    plugins = f"{keys}file db\ntransfer {{\nto *\n}}\n"
    file.write_text(f"a.test:{theirs} {{\nbind 127.0.0.1\nroot {tmp_path}\n{plugins}}}\n")
    await beside("coredns", "-conf", file, port=theirs)
    await seamark(f"a.test:{own} {{\n{plugins}}}\n")
    good = dns.tsigkeyring.from_text({"a.key.": SECRET})
    stranger = dns.tsigkeyring.from_text({"no.key.": SECRET})
    for kind in ("A", "TXT", "AAAA"):
        for keyring in (None, good, stranger):
            seen = []
            for port in (own, theirs):
                query = dns.message.make_query("web.a.test.", kind)
                if keyring is not None:
                    query.use_tsig(keyring)
                seen.append(await _told(query, port))
            assert seen[0] == seen[1], (kind, keyring)


async def _told(query: dns.message.Message, port: int) -> tuple[Any, ...]:
    """Rcode, whether there is an answer, whether it is signed and with which error."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    wire = query.to_wire()
    writer.write(len(wire).to_bytes(2, "big") + wire)
    length = int.from_bytes(await reader.readexactly(2), "big")
    packet = await reader.readexactly(length)
    writer.close()
    is_bad = query.keyring is not None and dns.message.from_wire(packet, keyring=False).rcode() == dns.rcode.NOTAUTH
    keyring = False if is_bad or query.keyring is None else query.keyring
    reply = dns.message.from_wire(packet, keyring=keyring, request_mac=query.mac)
    return reply.rcode(), bool(reply.answer), reply.had_tsig, reply.tsig_error if reply.had_tsig else None
