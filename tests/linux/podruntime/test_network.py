"""The commands that make a pod's link, as text."""

from __future__ import annotations

import pytest

from seamark.linux.podruntime.network import (
    link_address,
    link_name,
    parse_ip,
    render_node_commands,
    render_pod_commands,
)
from seamark.linux.runtime import RuntimeFault


def test_link_names_are_ours_short_and_different() -> None:
    names = {link_name(f"8c5bbd9c-9a43-4bd8-b6cf-2c17f8d3{n:04x}") for n in range(1000)}
    assert len(names) == 1000
    assert all(len(name) == 12 and name.startswith("sm") for name in names)


def test_link_address_is_the_ip() -> None:
    assert link_address("10.244.1.5") == "0a:58:0a:f4:01:05"


def test_node_side() -> None:
    assert render_node_commands("sm0123456789", "10.244.1.5", 77).splitlines() == [
        "link add dev sm0123456789 address ee:ee:ee:ee:ee:ee type veth"
        " peer name eth0 address 0a:58:0a:f4:01:05 netns 77",
        "link set dev sm0123456789 up",
        "route add 10.244.1.5/32 dev sm0123456789 scope link",
        "neighbour replace 10.244.1.5 lladdr 0a:58:0a:f4:01:05 dev sm0123456789 nud permanent",
    ]


def test_pod_side_has_one_way_out_and_asks_nobody() -> None:
    commands = render_pod_commands("10.244.1.5").splitlines()
    assert "address add 10.244.1.5/32 dev eth0" in commands
    assert commands[-2:] == [
        "neighbour add 169.254.1.1 lladdr ee:ee:ee:ee:ee:ee dev eth0 nud permanent",
        "route add default via 169.254.1.1 dev eth0",
    ]


@pytest.mark.parametrize("ip", ["", "10.244.1.5/24", "fd00::1", "10.244.1", "10.0.0.1\nlink delete dev eth0"])
def test_only_a_plain_ipv4_address_reaches_the_command(ip: str) -> None:
    with pytest.raises(RuntimeFault, match="IPv4 address without a mask") as caught:
        parse_ip(ip)
    assert caught.value.reason == "FailedCreatePodSandBox"
