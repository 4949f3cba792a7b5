"""The connection tracker of a namespace of our own, filled by conntrack(8)."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from seamark.linux import netns
from seamark.linux.conntrack import Conntrack

pytestmark = [pytest.mark.net, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]

FLOWS = [
    # destination, port, server: who answers instead
    ("10.96.0.9", 53, "10.244.0.2"),
    ("10.96.0.9", 53, "10.244.0.3"),
    ("10.96.0.9", 54, "10.244.0.2"),
    ("10.96.0.8", 53, "10.244.0.2"),
]


@pytest.fixture
def namespace(tmp_path: Path) -> Iterator[Path]:
    pin = tmp_path / "node"
    netns.create(pin)
    try:
        for place, (destination, port, server) in enumerate(FLOWS):
            insert(pin, "udp", destination, port, server, client_port=4000 + place)
        insert(pin, "tcp", "10.96.0.9", 53, "10.244.0.2", client_port=5000)
        yield pin
    finally:
        netns.remove(pin)


def insert(pin: Path, protocol: str, destination: str, port: int, server: str, *, client_port: int) -> None:
    forth = ["-s", "10.1.1.1", "-d", destination, "--sport", str(client_port), "--dport", str(port)]
    back = ["-r", server, "-q", "10.1.1.1", "--reply-port-src", "5353", "--reply-port-dst", str(client_port)]
    state = ["--state", "ESTABLISHED"] if protocol == "tcp" else []
    argv = netns.command(pin, "conntrack", "-I", "-p", protocol, *forth, *back, "-t", "100", *state)
    subprocess.run(argv, check=True, capture_output=True)


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        pytest.param({}, FLOWS, id="all of UDP, none of TCP"),
        pytest.param({"destination": "10.96.0.9", "port": 53}, FLOWS[:2], id="address and port"),
        pytest.param({"destination": "10.96.0.9"}, FLOWS[:3], id="address"),
        pytest.param({"port": 53}, [*FLOWS[:2], FLOWS[3]], id="port"),
    ],
)
def test_flows_are_found_by_original_destination(
    namespace: Path, asked: dict[str, object], wanted: list[tuple[str, int, str]]
) -> None:
    with Conntrack(namespace) as tracker:
        found = tracker.udp_flows(socket.AF_INET, **asked)  # type: ignore[arg-type]  # a table of cases
    assert sorted((f.destination, f.port, f.server) for f in found) == sorted(wanted)
    assert {f.server_port for f in found} == {5353}


def test_a_delete_takes_exactly_one_flow_and_only_once(namespace: Path) -> None:
    with Conntrack(namespace) as tracker:
        flow = next(f for f in tracker.udp_flows(socket.AF_INET) if f[:3] == FLOWS[1])
        assert tracker.delete(socket.AF_INET, flow)
        assert not tracker.delete(socket.AF_INET, flow)
        left = sorted(f[:3] for f in tracker.udp_flows(socket.AF_INET))
    assert left == sorted(f for f in FLOWS if f != FLOWS[1])
