"""The programs on a real kernel: what connect() and getpeername() say to processes of a cgroup of our own."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from seamark.compile.connecthook import numbers_bytes, place_bytes
from seamark.linux import bpf, cgroups, netns
from seamark.linux.connecthook import CONNECT4, ConnectHook
from seamark.testing.cgroup import OwnCgroup, make_cgroup

pytestmark = [
    pytest.mark.net,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(cgroups.find_unified() is None, reason="no cgroup2 is mounted"),
]

VIP, VIP6 = "10.96.0.9", "fd00:96::9"


@dataclass
class Change:
    endpoints: list[tuple[bytes, bytes]] = field(default_factory=list)
    frontends: list[tuple[bytes, bytes]] = field(default_factory=list)
    gone_frontends: list[bytes] = field(default_factory=list)
    gone_endpoints: list[bytes] = field(default_factory=list)


@pytest.fixture
def namespace(tmp_path: Path) -> Iterator[Path]:
    pin = tmp_path / "net"
    netns.create(pin)
    yield pin
    netns.remove(pin)


@pytest.fixture
def cgroup() -> Iterator[OwnCgroup]:
    with make_cgroup("seamark-hook") as made:
        yield made


@pytest.fixture(params=[False, True], ids=["IPv4", "IPv6"])
def hook(request: pytest.FixtureRequest) -> Iterator[ConnectHook]:
    made = ConnectHook(None, ipv6=request.param)
    yield made
    made.close()


@pytest.fixture
def hook4() -> Iterator[ConnectHook]:
    made = ConnectHook(None, ipv6=False)
    yield made
    made.close()


def listen(namespace: Path, ip: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    return netns.run_in(namespace, partial(socket.create_server, (ip, 0), family=family, backlog=300))


def connect(namespace: Path, ip: str, port: int, kind: int = socket.SOCK_STREAM) -> socket.socket:
    client = netns.open_socket(namespace, socket.AF_INET6 if ":" in ip else socket.AF_INET, kind)
    client.settimeout(2)
    try:
        client.connect((ip, port))
    except OSError:
        client.close()
        raise
    return client


def count_waiting(server: socket.socket) -> int:
    """How many connections nobody has accepted; closes the server."""
    server.setblocking(False)
    count = 0
    with server:
        while True:
            try:
                server.accept()[0].close()
            except BlockingIOError:
                return count
            count += 1


def leads(vip: str, *servers: socket.socket, pool: int = 1) -> Change:
    """What sends an address's port 80 to these servers."""
    places = [place_bytes(*server.getsockname()[:2]) for server in servers]
    endpoints = [(numbers_bytes(pool, index), place) for index, place in enumerate(places)]
    return Change(endpoints, [(place_bytes(vip, 80), numbers_bytes(pool, len(places)))])


def test_a_socket_goes_to_an_endpoint_and_sees_what_it_asked_for(
    namespace: Path, cgroup: OwnCgroup, hook4: ConnectHook
) -> None:
    with listen(namespace, "127.0.0.2") as server:
        hook4.apply(leads(VIP, server))
        hook4.attach(cgroup.path)
        with cgroup.entered():
            client = connect(namespace, VIP, 80)
        with client, server.accept()[0] as accepted:
            assert client.getpeername() == (VIP, 80)
            assert accepted.getpeername() == client.getsockname()


def test_ipv6_and_mapped_addresses(namespace: Path, cgroup: OwnCgroup, hook4: ConnectHook) -> None:
    hook6 = ConnectHook(None, ipv6=True)
    with listen(namespace, "127.0.0.2") as server, listen(namespace, "::1") as server6, cgroup.entered():
        hook4.apply(leads(VIP, server))
        hook6.apply(leads(VIP6, server6))
        hook4.attach(cgroup.path)
        hook6.attach(cgroup.path)
        with connect(namespace, VIP6, 80) as client:
            assert client.getpeername()[:2] == (VIP6, 80)
        with connect(namespace, f"::ffff:{VIP}", 80) as client:
            assert client.getpeername()[:2] == (f"::ffff:{VIP}", 80)
    hook6.close()


def test_endpoints_are_chosen_evenly(namespace: Path, cgroup: OwnCgroup, hook4: ConnectHook) -> None:
    servers = [listen(namespace, f"127.0.0.{number}") for number in (2, 3, 4)]
    hook4.apply(leads(VIP, *servers))
    hook4.attach(cgroup.path)
    with cgroup.entered():
        for _ in range(300):
            connect(namespace, VIP, 80).close()
    found = [count_waiting(server) for server in servers]
    assert sum(found) == 300
    assert all(60 <= count <= 140 for count in found), found  # 100 +- 5 standard deviations


def test_what_is_in_no_map_is_left_alone(namespace: Path, cgroup: OwnCgroup, hook: ConnectHook) -> None:
    with listen(namespace, "127.0.0.2") as server, listen(namespace, "127.0.0.3") as other, cgroup.entered():
        hook.apply(leads(VIP, server))
        hook.attach(cgroup.path)
        with connect(namespace, *other.getsockname()) as client:
            assert client.getpeername() == other.getsockname()
        with pytest.raises(OSError, match="unreachable"):
            connect(namespace, VIP, 81)
        with pytest.raises(OSError, match="unreachable"):
            connect(namespace, VIP, 80, socket.SOCK_DGRAM)


def test_a_count_without_endpoints_is_left_alone(namespace: Path, cgroup: OwnCgroup, hook4: ConnectHook) -> None:
    """As a change is seen from the middle of it."""
    hook4.apply(Change([], [(place_bytes(VIP, 80), numbers_bytes(1, 3)), (place_bytes(VIP, 81), numbers_bytes(2, 0))]))
    hook4.attach(cgroup.path)
    with cgroup.entered():
        for port in (80, 81):
            with pytest.raises(OSError, match="unreachable"):
                connect(namespace, VIP, port)


def test_others_are_not_answered(namespace: Path, cgroup: OwnCgroup, hook4: ConnectHook) -> None:
    with listen(namespace, "127.0.0.2") as server:
        hook4.apply(leads(VIP, server))
        hook4.attach(cgroup.path)
        with pytest.raises(OSError, match="unreachable"):
            connect(namespace, VIP, 80)


def test_a_pool_that_changes_moves_new_connections_alone(
    namespace: Path, cgroup: OwnCgroup, hook4: ConnectHook
) -> None:
    with listen(namespace, "127.0.0.2") as server, listen(namespace, "127.0.0.3") as other, cgroup.entered():
        first = leads(VIP, server)
        hook4.apply(first)
        hook4.attach(cgroup.path)
        with connect(namespace, VIP, 80) as old:
            second = leads(VIP, other, pool=2)
            second.gone_endpoints = [key for key, _ in first.endpoints]
            hook4.apply(second)
            with connect(namespace, VIP, 80) as new, other.accept()[0] as accepted:
                assert accepted.getpeername() == new.getsockname()
            hook4.apply(Change(gone_frontends=[place_bytes(VIP, 80)], gone_endpoints=[numbers_bytes(2, 0)]))
            with pytest.raises(OSError, match="unreachable"):
                connect(namespace, VIP, 80)
            with server.accept()[0] as accepted:
                accepted.send(b"still here")
                assert old.recv(100) == b"still here"


def test_a_socket_used_again_for_another_address_sees_that_one(
    namespace: Path, cgroup: OwnCgroup, hook4: ConnectHook
) -> None:
    with listen(namespace, "127.0.0.2") as server, listen(namespace, "127.0.0.3") as other, cgroup.entered():
        gone = listen(namespace, "127.0.0.4")
        hook4.apply(leads(VIP, gone))
        gone.close()
        hook4.attach(cgroup.path)
        with netns.open_socket(namespace, socket.AF_INET, socket.SOCK_STREAM) as client:
            with pytest.raises(ConnectionRefusedError):
                client.connect((VIP, 80))
            client.connect(other.getsockname())
            assert client.getpeername() == other.getsockname() != server.getsockname()


def test_links_end_with_the_hook_and_connections_do_not(namespace: Path, cgroup: OwnCgroup) -> None:
    with listen(namespace, "127.0.0.2") as server, cgroup.entered():
        number = cgroup.path.stat().st_ino
        hook = ConnectHook(None, ipv6=False)
        hook.apply(leads(VIP, server))
        hook.attach(cgroup.path)
        assert CONNECT4 in {link.attach_type for link in bpf.list_cgroup_links() if link.cgroup == number}
        with connect(namespace, VIP, 80) as client, server.accept()[0] as accepted:
            hook.close()
            assert not [link for link in bpf.list_cgroup_links() if link.cgroup == number]
            accepted.send(b"still here")
            assert client.recv(100) == b"still here"
            assert client.getpeername() == server.getsockname(), "nobody remembers what was asked for"
        with pytest.raises(OSError, match="unreachable"):
            connect(namespace, VIP, 80)


def test_a_big_change_arrives_whole(hook4: ConnectHook) -> None:
    endpoints = [(numbers_bytes(1, index), place_bytes("10.244.0.1", index % 65535 + 1)) for index in range(100_000)]
    hook4.apply(Change(endpoints))
    hook4.apply(Change(gone_endpoints=[key for key, _ in endpoints]))
    with pytest.raises(bpf.BpfError) as refused:
        hook4.apply(Change(gone_endpoints=[numbers_bytes(1, 99_999)]))
    assert "change elements: No such file" in refused.value.strerror


def test_a_directory_that_is_no_cgroup(tmp_path: Path, hook4: ConnectHook) -> None:
    with pytest.raises(bpf.BpfError) as refused:
        hook4.attach(tmp_path)
    assert f"{tmp_path} is no cgroup of version 2" in refused.value.strerror


def test_the_verifier_is_heard() -> None:
    program = bpf.Program("sm_wrong", CONNECT4, bytes.fromhex("95 00 00 00 00 00 00 00"))
    with pytest.raises(bpf.BpfError) as refused:
        bpf.load_program(program)
    first, _, log = refused.value.strerror.partition("\n")
    assert first.startswith("bpf: load program sm_wrong: ")
    assert "R0 !read_ok" in log
