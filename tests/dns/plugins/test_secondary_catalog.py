"""Catalog zones of plugin secondary: what a catalog says, what follows, and a server that goes by one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dns.asyncquery
import dns.message
import dns.name
import dns.rcode
import dns.zone
import pytest

from seamark.dns.plugins.file.zone import make_zone
from seamark.dns.plugins.secondary.catalog import Action, Member, Owned, What, parse_catalog, plan_members
from seamark.testing.ports import free_port

CATALOG = """$TTL 0
@ IN SOA invalid. hostmaster.invalid. {serial} 100 20 300 0
@ IN NS invalid.
version IN TXT "2"
"""
MEMBERS = """b.zones IN PTR Two.test.
a.zones IN PTR one.test.
group.a.zones IN TXT "of no concern"
coo.b.zones IN PTR other.cat.
deep.er.a.zones IN PTR nobody.test.
elsewhere IN PTR nobody.test.
"""
ZONE = "$TTL 60\n@ IN SOA ns root 1 100 20 300 60\n@ IN NS ns\nns IN A 192.0.2.1\nweb IN A 192.0.2.{last}\n"


def parsed(text: str) -> tuple[Member, ...]:
    found = dns.zone.from_text(text, dns.name.from_text("cat."), relativize=False, check_origin=False)
    return parse_catalog("cat.", make_zone(found, "cat.").transfer()[:-1])


def test_a_catalog_names_members() -> None:
    found = parsed(CATALOG.format(serial=1) + MEMBERS)
    assert found == (Member("a", "one.test."), Member("b", "two.test.", heir="other.cat."))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("@ IN NS invalid.\n", ""), "has no NS record"),
        (lambda text: text.replace('version IN TXT "2"', ""), "exactly one version TXT"),
        (lambda text: text + 'version IN TXT "3"\n', "exactly one version TXT"),
        (lambda text: text.replace('"2"', '"1"'), 'unsupported version "1"'),
        (lambda text: text + "a.zones IN PTR three.test.\n", "a.zones.cat. must have exactly one PTR"),
        (lambda text: text + "c.zones IN PTR one.test.\n", "one.test. is listed by both a and c"),
        (lambda text: text + "coo.b.zones IN PTR third.cat.\n", "more than one coo"),
    ],
)
def test_a_broken_catalog_is_refused_whole(change: Callable[[str], str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parsed(change(CATALOG.format(serial=1) + MEMBERS))


HERE, THERE = Owned("cat.", "a"), Owned("other.cat.", "a")


@pytest.mark.parametrize(
    ("members", "taken", "others", "wanted"),
    [
        pytest.param([Member("a", "z.")], {}, {}, [Action(What.ADD, "z.", HERE)], id="new"),
        pytest.param([Member("a", "z.")], {"z.": HERE}, {}, [], id="known"),
        pytest.param(
            [Member("b", "z.")], {"z.": HERE}, {}, [Action(What.RESET, "z.", Owned("cat.", "b"), HERE)], id="other id"
        ),
        pytest.param([], {"z.": HERE, "y.": THERE, "x.": None}, {}, [Action(What.REMOVE, "z.", HERE)], id="gone"),
        pytest.param([Member("a", "z.")], {"z.": None}, {}, [Action(What.CLASH, "z.", HERE)], id="the Corefile's"),
        pytest.param(
            [Member("a", "z.")],
            {"z.": THERE},
            {"other.cat.": (Member("a", "z."),)},
            [Action(What.CLASH, "z.", HERE, THERE)],
            id="another's",
        ),
        pytest.param(
            [Member("a", "z.")],
            {"z.": THERE},
            {"other.cat.": (Member("a", "z.", heir="cat."),)},
            [Action(What.MIGRATE, "z.", HERE, THERE)],
            id="given away",
        ),
        pytest.param(
            [Member("b", "z.")],
            {"z.": THERE},
            {"other.cat.": (Member("a", "z.", heir="cat."),)},
            [Action(What.TAKE, "z.", Owned("cat.", "b"), THERE)],
            id="given away under another id",
        ),
    ],
)
def test_what_follows_from_a_catalog(members: Any, taken: Any, others: Any, wanted: list[Action]) -> None:
    assert list(plan_members("cat.", tuple(members), taken, others)) == wanted


async def asked(port: int, name: str) -> str:
    reply = await dns.asyncquery.udp(dns.message.make_query(name, "A"), "127.0.0.1", port=port, timeout=5)
    return reply.answer[0][0].to_text() if reply.answer else dns.rcode.to_text(reply.rcode())


async def until(clock: Any, port: int, wanted: dict[str, str]) -> None:
    """Until the names are those addresses or rcodes; a second passes after each look."""
    for _ in range(100):
        seen = {name: await asked(port, name) for name in wanted}
        if seen == wanted:
            return
        await asyncio.sleep(0.02)
        await clock.advance(1)
    raise AssertionError(f"{seen}, not {wanted}")


async def test_zones_come_and_go_with_a_catalog(running: Any, host: Any, tmp_path: Path, log: list[str]) -> None:
    primary, second = free_port(), free_port()

    def tell(serial: int, members: str) -> None:
        (tmp_path / "db.cat").write_text(CATALOG.format(serial=serial) + members)

    zones = ("one.test", "two.test", "three.example")
    for last, zone in enumerate(zones, 1):
        (tmp_path / f"db.{zone}").write_text(ZONE.format(last=last))
    tell(1, MEMBERS)
    options = f"transfer {{\nto 127.0.0.1:{second}\n}}\nroot {tmp_path}\nbind 127.0.0.1\n"
    files = "".join(f"file db.{zone} {zone} {{\nreload 1s\n}}\n" for zone in ("cat", *zones))
    await running(f".:{primary} {{\n{options}{files}}}\n")
    catalog = f"secondary cat {{\ntransfer from 127.0.0.1:{primary}\ncatalog test\n}}\n"
    await running(f".:{second} {{\nbind 127.0.0.1\n{catalog}}}\n")
    known = {"web.one.test.": "192.0.2.1", "web.two.test.": "192.0.2.2", "web.three.example.": "SERVFAIL"}
    await until(host.clock, second, known)
    tell(2, "c.zones IN PTR three.example.\nd.zones IN PTR two.test.\n")
    await until(host.clock, second, known | {"web.one.test.": "SERVFAIL"})
    tell(3, "broken.zones IN PTR a.\nbroken.zones IN PTR b.\n")
    await host.clock.advance(2)
    await until(host.clock, second, known | {"web.one.test.": "SERVFAIL"})
    tell(4, "a.zones IN PTR one.test.\n")
    await until(host.clock, second, known | {"web.two.test.": "SERVFAIL"})
    told = "".join(line + "\n" for line in log)
    for line in (
        "[INFO] plugin/secondary: Added catalog member zone one.test. from catalog cat.",
        "[INFO] plugin/secondary: Parsed catalog zone cat. with 2 member zones",
        "[INFO] plugin/secondary: Removed catalog member zone one.test. from catalog cat.",
        "[INFO] plugin/secondary: Reset catalog member zone two.test. from cat. after member ID changed from b to d",
        "[WARNING] plugin/secondary: Skipped 1 member zones from catalog cat.: outside configured member zones",
        "catalog member broken.zones.cat. must have exactly one PTR record",
    ):
        assert line in told
