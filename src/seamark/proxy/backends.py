"""The proxy modes by name. Each loads what it needs when it is made: a proxy has one of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from seamark.proxy.backend import Backend, NftablesBackend
from seamark.proxy.ipvsoptions import IpvsOptions

NO_OPTIONS = IpvsOptions()


def iptables_backend() -> Backend:
    from seamark.proxy.iptablestable import IptablesBackend

    return IptablesBackend()


def ipvs_backend(options: IpvsOptions = NO_OPTIONS) -> Backend:
    from seamark.proxy.ipvstable import IpvsBackend

    return IpvsBackend(options)


def userspace_backend() -> Backend:
    from seamark.proxy.userspacetable import UserspaceBackend

    return UserspaceBackend()


def with_loopback_ports(inner: Backend) -> Backend:
    """The same mode, with node ports on loopback."""
    from seamark.proxy.loopback import WithLoopbackPorts

    return WithLoopbackPorts(inner)


def with_connect_hook(inner: Backend, cgroup: str) -> Backend:
    """The same mode, with connect() of the cgroup's processes answered by BPF."""
    from seamark.proxy.connecthook import WithConnectHook

    return WithConnectHook(inner, Path(cgroup))


BACKENDS: dict[str, Callable[[], Backend]] = {
    "nftables": NftablesBackend,
    "iptables": iptables_backend,
    "ipvs": ipvs_backend,
    "userspace": userspace_backend,
}
