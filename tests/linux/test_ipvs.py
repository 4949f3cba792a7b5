"""IPVS over netlink where the kernel has none; with one, ``tests/proxy/test_ipvs_kernel.py`` (make test-vm)."""

from __future__ import annotations

import socket

import pytest

from seamark.linux.ipvs import Dest, Ipvs, IpvsError, Service, Settings, _dest, _service
from seamark.linux.netlinkwire import attributes


def test_a_kernel_without_ipvs_is_told_in_a_line() -> None:
    try:
        Ipvs(None).close()
    except IpvsError as error:
        assert str(error) == "this kernel has no IPVS: load the module ip_vs, or choose mode nftables"
    else:
        pytest.skip("this kernel has IPVS")


def test_what_a_virtual_server_looks_like() -> None:
    service = Service(socket.AF_INET, 6, "10.96.0.1", 443)
    (nested,) = attributes(_service(service, Settings("sh", 60))).values()
    parts = attributes(nested)
    assert parts[3][:4] == bytes([10, 96, 0, 1])
    assert parts[4] == b"\x01\xbb"
    assert parts[6] == b"sh\0"
    assert int.from_bytes(parts[7][:4], "little") & 1
    marked = attributes(next(iter(attributes(_service(Service(socket.AF_INET6, 0, "", 0, 7))).values())))
    assert 5 in marked
    assert 3 not in marked
    dest = attributes(next(iter(attributes(_dest(service, Dest("10.244.1.2", 8080), 0)).values())))
    assert dest[4] == bytes(4)
