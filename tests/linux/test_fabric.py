"""The nodes' network: reachable from one another, invisible to the machine, gone without a trace."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from seamark.linux import fabric, netns

pytestmark = [pytest.mark.net, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

CIDR = "192.168.100.0/24"
NODES = (
    fabric.FabricNode("master1", "192.168.100.11", "10.244.0.0/24"),
    fabric.FabricNode("node1", "192.168.100.12", "10.244.1.0/24"),
)


def links() -> str:
    return subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout


def inside(pin: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(netns.command(pin, *argv), capture_output=True, text=True, check=False)


def test_nodes_reach_each_other_and_the_machine_stays_as_it_was(tmp_path: Path) -> None:
    before = links()
    try:
        assert fabric.build_fabric(tmp_path, NODES, cidr=CIDR)
        assert inside(tmp_path / "master1", "ping", "-c1", "-W2", "192.168.100.12").returncode == 0
        routes = inside(tmp_path / "master1", "ip", "route").stdout
        assert "10.244.1.0/24 via 192.168.100.12" in routes
        assert links() == before
    finally:
        fabric.remove_fabric(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_outside_is_refused_at_once(tmp_path: Path) -> None:
    try:
        fabric.build_fabric(tmp_path, NODES, cidr=CIDR)
        for _ in range(3):  # not only the first within a second
            answer = inside(tmp_path / "node1", "ping", "-c1", "-W2", "192.0.2.1")
            assert "Net Unreachable" in answer.stdout
    finally:
        fabric.remove_fabric(tmp_path)


def test_an_address_that_no_pod_has_is_refused_at_once(tmp_path: Path) -> None:
    try:
        fabric.build_fabric(tmp_path, NODES, cidr=CIDR)
        answer = inside(tmp_path / "master1", "ping", "-c1", "-W2", "10.244.1.9")
        assert "Host Unreachable" in answer.stdout
    finally:
        fabric.remove_fabric(tmp_path)


def test_a_standing_fabric_is_adopted(tmp_path: Path) -> None:
    try:
        assert fabric.build_fabric(tmp_path, NODES, cidr=CIDR)
        identity = (tmp_path / "node1").stat().st_ino
        assert not fabric.build_fabric(tmp_path, NODES, cidr=CIDR)
        assert (tmp_path / "node1").stat().st_ino == identity
    finally:
        fabric.remove_fabric(tmp_path)


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    bad = fabric.FabricNode("node1", "not-an-address", "10.244.1.0/24")
    with pytest.raises(fabric.CommandError, match="not-an-address"):
        fabric.build_fabric(tmp_path, (bad,), cidr=CIDR)
    assert list(tmp_path.iterdir()) == []
