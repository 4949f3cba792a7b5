"""Element batches on a real table in a namespace of our own."""

from __future__ import annotations

import asyncio
import os
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from seamark.linux import netns
from seamark.linux.nfnetlink import ElementBatch, GenerationError, Nfnetlink, NfnetlinkError, Table
from seamark.linux.nft import NftError, apply_nft

pytestmark = [pytest.mark.net, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

TABLE = Table("ip", "t", verdicts=frozenset({"v"}), ranges={"r": 4})
STRUCTURE = """
table ip t {
    map m { type ipv4_addr : ipv4_addr; }
    map v { type ipv4_addr : verdict; }
    set s { type ipv4_addr; }
    set r { type inet_service . ipv4_addr; flags interval; }
    chain c { tcp dport 1 drop; }
}
"""


def port(number: int) -> bytes:
    return struct.pack(">Hxx", number)


def address(last: int) -> bytes:
    return bytes((10, 0, last >> 8, last & 255))


@pytest.fixture
def pin(tmp_path: Path) -> Iterator[Path]:
    made = tmp_path / "node"
    netns.create(made)
    try:
        run(made, "nft", "-f", "-", text=STRUCTURE.replace("; }", ";\n }"))
        yield made
    finally:
        netns.remove(made)


@pytest.fixture
def netlink(pin: Path) -> Iterator[Nfnetlink]:
    with Nfnetlink(pin) as made:
        yield made


def run(pin: Path, *argv: str, text: str = "") -> str:
    done = subprocess.run(netns.command(pin, *argv), input=text, capture_output=True, text=True, check=True)
    return done.stdout


def apply(netlink: Nfnetlink, batch: ElementBatch) -> None:
    netlink.apply(TABLE, batch, generation=netlink.generation())


def test_what_is_added_is_listed_dumped_and_deleted(pin: Path, netlink: Nfnetlink) -> None:
    adds = {
        "m": [(address(80), address(1)), (address(81), address(2))],
        "v": [(address(80), b"c")],
        "s": [(address(7), b"")],
        "r": [(port(80) + address(1) + address(9), b"")],
    }
    apply(netlink, ElementBatch(adds=adds))
    listed = run(pin, "nft", "list", "table", "ip", "t")
    for shown in (
        "10.0.0.80 : 10.0.0.1, 10.0.0.81 : 10.0.0.2",
        "10.0.0.80 : goto c",
        "{ 10.0.0.7 }",
        "80 . 10.0.0.1-10.0.0.9",
    ):
        assert shown in listed
    assert {name: netlink.dump(TABLE, name) for name in ("m", "v", "s")} == {n: dict(adds[n]) for n in ("m", "v", "s")}
    apply(netlink, ElementBatch(deletes={"m": [address(81)], "r": [port(80) + address(1) + address(9)]}))
    assert netlink.dump(TABLE, "m") == {address(80): address(1)}
    assert "10.0.0.9" not in run(pin, "nft", "list", "table", "ip", "t")
    apply(netlink, ElementBatch(flushes=["m", "v", "s"], adds={"m": [(address(1), address(3))]}))
    assert [netlink.dump(TABLE, name) for name in ("m", "v", "s")] == [{address(1): address(3)}, {}, {}]


def test_an_element_may_change_its_data_in_one_batch(netlink: Nfnetlink) -> None:
    apply(netlink, ElementBatch(adds={"m": [(address(80), address(1))]}))
    apply(netlink, ElementBatch(deletes={"m": [address(80)]}, adds={"m": [(address(80), address(2))]}))
    assert netlink.dump(TABLE, "m") == {address(80): address(2)}


def test_a_refused_message_undoes_the_whole_batch_and_is_named(netlink: Nfnetlink) -> None:
    generation = netlink.generation()
    adds = {"s": [(address(7), b"")], "m": [(address(80), address(1)), (address(80), address(2))]}
    with pytest.raises(NfnetlinkError, match="add element to m: File exists"):
        apply(netlink, ElementBatch(adds=adds))
    with pytest.raises(NfnetlinkError, match="delete element of s: No such file"):
        apply(netlink, ElementBatch(deletes={"s": [address(9)]}))
    assert netlink.dump(TABLE, "s") == {}
    assert netlink.generation() == generation


def test_a_batch_for_an_old_generation_is_refused(pin: Path, netlink: Nfnetlink) -> None:
    generation = netlink.generation()
    run(pin, "nft", "add", "table", "ip", "theirs")
    with pytest.raises(GenerationError):
        netlink.apply(TABLE, ElementBatch(adds={"s": [(address(7), b"")]}), generation=generation)
    assert netlink.dump(TABLE, "s") == {}


def test_a_batch_larger_than_any_message_is_one_transaction(netlink: Nfnetlink) -> None:
    generation = netlink.generation()
    apply(netlink, ElementBatch(adds={"s": [(address(n), b"") for n in range(20000)]}))
    assert netlink.generation() == generation + 1
    apply(netlink, ElementBatch(deletes={"s": [address(n) for n in range(20000)]}))  # refused if one were missing
    assert netlink.dump(TABLE, "s") == {}


@pytest.mark.parametrize(
    ("command", "same"),
    [
        ("add element ip t s { 10.0.0.1 }", True),
        ("add table ip theirs", True),
        ("add rule ip t c tcp dport 2 drop", False),
        ("flush chain ip t c", False),
        ("add chain ip t d", False),
        ("add table ip t { flags dormant; }", False),
    ],
)
def test_fingerprint_sees_chains_rules_and_flags_alone(pin: Path, netlink: Nfnetlink, command: str, same: bool) -> None:
    before = netlink.fingerprint("ip", "t")
    run(pin, "nft", command)
    assert (netlink.fingerprint("ip", "t") == before) is same


def test_a_table_that_is_not_there(netlink: Nfnetlink) -> None:
    netlink.delete_table("ip", "t")
    assert netlink.fingerprint("ip", "t") is None
    assert not netlink.has_table("ip", "t")
    netlink.delete_table("ip", "t")


async def test_a_cancel_is_a_cancel_whenever_it_comes(pin: Path) -> None:
    """Before nft starts, while it runs, and when it has just ended."""
    for milliseconds in range(0, 40, 2):
        task = asyncio.create_task(apply_nft("add table ip other\n", pin))
        await asyncio.sleep(milliseconds / 1000)
        task.cancel()
        (result,) = await asyncio.gather(task, return_exceptions=True)
        assert result is None or isinstance(result, asyncio.CancelledError)


async def test_nft_says_what_it_refuses(pin: Path) -> None:
    with pytest.raises(NftError, match="syntax error"):
        await apply_nft("add tables ip x y z\n", pin)
