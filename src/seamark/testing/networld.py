"""A node, its pods and the outside as network namespaces of a test's own, with servers and clients inside them.

Everything runs in this process: sockets are opened inside the namespaces, so a connection costs microseconds and no
processes are left behind. The node's network is as the agent makes it: a routed veth per pod (a /32 each way, proxy
ARP), forwarding on, no bridge. ``outside`` stands for the rest of the world: other nodes, their pods, clients.
Needs root; nothing outside the namespaces is touched.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from seamark.compile.tracer import show
from seamark.linux import netns

GATEWAY, GATEWAY6 = "169.254.1.1", "fe80::1"
OUTSIDE, OUTSIDE6 = "172.30.0.100", "fd00:30::100"
ROUTES = ("10.96.0.0/12", "10.244.0.0/16", "192.0.2.0/24")
ROUTES6 = ("fd00:96::/112", "fd00:244::/32", "2001:db8::/64")
KINDS = {
    "TCP": (socket.SOCK_STREAM, socket.IPPROTO_TCP),
    "UDP": (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
    "SCTP": (socket.SOCK_STREAM, socket.IPPROTO_SCTP),  # one-to-one: a connection as TCP's
}


@dataclass(frozen=True, slots=True)
class Answer:
    """``server`` is the ip:port that answered, ``client`` the source address it saw."""

    result: Literal["answer", "refused", "timeout", "unreachable"]
    server: str = ""
    client: str = ""


class World:
    """Made by :func:`make_world`. Addresses name places: a pod's, the node's, any of the outside."""

    def __init__(
        self, directory: Path, *, node: str, pods: Iterable[str], outside: Iterable[str], node6: str = ""
    ) -> None:
        self.node = node
        self.node6 = node6
        self.node_pin = directory / "node"
        self._outside_pin = directory / "outside"
        self._pins = {ip: directory / f"pod-{ip}" for ip in pods}
        self._outside = tuple(outside)
        self._tasks: list[asyncio.Task[None]] = []
        self._sockets: list[socket.socket] = []

    def pin_of(self, ip: str) -> Path:
        if ip in (self.node, self.node6):
            return self.node_pin
        return self._pins.get(ip, self._outside_pin)

    def is_here(self, ip: str) -> bool:
        """Whether it is a pod's of this node, or the node's."""
        return self.pin_of(ip) != self._outside_pin

    def build(self) -> None:
        for pin in (self.node_pin, self._outside_pin, *self._pins.values()):
            netns.create(pin)
            netns.run_in(pin, _prepare)
        addresses = (OUTSIDE, *(ip for ip in self._outside if ":" not in ip))
        self._veth(self._outside_pin, "uplink", "eth0")
        _ip(self.node_pin, f"addr add {self.node}/24 dev uplink", "link set uplink up")
        _ip(self._outside_pin, *(f"addr add {ip}/{24 if ip == OUTSIDE else 32} dev eth0" for ip in addresses))
        _ip(self._outside_pin, "link set eth0 up", *(f"route add {net} via {self.node}" for net in ROUTES))
        _ip(self.node_pin, f"route add default via {OUTSIDE}")
        for number, (ip, pin) in enumerate(self._pins.items()):
            link = f"pod{number}"
            self._veth(pin, link, "eth0")
            _ip(self.node_pin, f"link set {link} up")
            if ":" in ip:
                _ip(self.node_pin, f"addr add {GATEWAY6}/64 dev {link} nodad", f"route add {ip}/128 dev {link}")
                _ip(pin, f"addr add {ip}/128 dev eth0 nodad", "link set eth0 up")
                _ip(pin, f"route add default via {GATEWAY6} dev eth0")
                continue
            _ip(pin, f"addr add {ip}/32 dev eth0", "link set eth0 up", f"route add {GATEWAY} dev eth0 scope link")
            _ip(pin, f"route add default via {GATEWAY} dev eth0")
            _ip(self.node_pin, f"route add {ip}/32 dev {link}")
            netns.run_in(self.node_pin, partial(_proxy_arp, link))
        if self.node6:
            _ip(self.node_pin, f"addr add {self.node6}/64 dev uplink nodad", f"route add default via {OUTSIDE6}")
            outside = (ip for ip in self._outside if ":" in ip)
            _ip(self._outside_pin, f"addr add {OUTSIDE6}/64 dev eth0 nodad")
            _ip(self._outside_pin, *(f"addr add {ip}/128 dev eth0 nodad" for ip in outside))
            _ip(self._outside_pin, *(f"route add {net} via {self.node6}" for net in ROUTES6))
        netns.run_in(self.node_pin, _forward)

    def remove(self) -> None:
        self.silence()
        for pin in (self.node_pin, self._outside_pin, *self._pins.values()):
            netns.remove(pin)

    def silence(self) -> None:
        """Takes every server down."""
        for task in self._tasks:
            task.cancel()
        for opened in self._sockets:
            opened.close()
        self._tasks, self._sockets = [], []

    def run_on_node(self, *argv: str) -> str:
        """A command in the node's namespace; gives what it printed."""
        done = subprocess.run(netns.command(self.node_pin, *argv), check=True, capture_output=True, text=True)
        return done.stdout

    async def serve(self, ip: str, port: int, protocol: str = "TCP") -> None:
        """A server that answers every client with its own address and the client's."""
        listener = netns.open_socket(self.pin_of(ip), _family(ip), *KINDS[protocol])
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((ip, port))
        listener.setblocking(False)
        self._sockets.append(listener)
        if protocol != "UDP":
            listener.listen(512)
        work = self._echo(listener) if protocol == "UDP" else self._accept(listener)
        self._tasks.append(asyncio.create_task(work))

    async def ask(
        self, source: str, destination: str, port: int, protocol: str = "TCP", *, patience: float = 2.0
    ) -> Answer:
        """One new connection (a datagram and its answer) from ``source``."""
        with self.open_client(source, protocol) as client:
            return await self.exchange(client, destination, port, patience=patience)

    def open_client(self, source: str, protocol: str = "TCP") -> socket.socket:
        client = netns.open_socket(self.pin_of(source), _family(source), *KINDS[protocol])
        client.setblocking(False)
        if self.pin_of(source) == self._outside_pin:
            client.bind((source, 0))
        return client

    async def exchange(self, client: socket.socket, destination: str, port: int, *, patience: float = 2.0) -> Answer:
        """Connects the socket and asks; a UDP one may be used again for the same flow."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(patience):
                await loop.sock_connect(client, (destination, port))
                if client.type == socket.SOCK_DGRAM:
                    await loop.sock_sendall(client, b"?")
                server, seen = (await loop.sock_recv(client, 200)).decode().split()
                return Answer("answer", server, seen)
        except TimeoutError:
            return Answer("timeout")
        # a refused datagram of the node's own fails in send; a userspace proxy resets what it has accepted
        except (ConnectionRefusedError, ConnectionResetError, PermissionError):
            return Answer("refused")
        except OSError as error:
            if error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH):
                return Answer("unreachable")
            raise

    @asynccontextmanager
    async def conversation(
        self, client_ip: str, server_ip: str, ip: str, port: int, *, server_port: int = 8081
    ) -> AsyncIterator[Callable[[], Awaitable[None]]]:
        """An established TCP connection to a server that echoes; the block is given a function that says a word on it
        and wants it back.
        """
        loop = asyncio.get_running_loop()
        listener = netns.open_socket(self.pin_of(server_ip), _family(server_ip), *KINDS["TCP"])
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((server_ip, server_port))
        listener.listen()
        listener.setblocking(False)
        with listener, self.open_client(client_ip) as client:
            served = asyncio.create_task(_repeat(listener))
            async with asyncio.timeout(3):
                await loop.sock_connect(client, (ip, port))

            async def goes_on() -> None:
                async with asyncio.timeout(3):
                    await loop.sock_sendall(client, b"still there?")
                    assert await loop.sock_recv(client, 100) == b"still there?"

            await goes_on()
            yield goes_on
            client.close()
            await asyncio.gather(served, return_exceptions=True)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        own = show(*listener.getsockname()[:2])
        while True:
            connection, peer = await loop.sock_accept(listener)
            with connection:
                connection.send(f"{own} {peer[0]}".encode())

    async def _echo(self, bound: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        own = show(*bound.getsockname()[:2])
        while True:
            try:
                _, peer = await loop.sock_recvfrom(bound, 200)
            except ConnectionRefusedError:  # a client that has left
                continue
            bound.sendto(f"{own} {peer[0]}".encode(), peer)

    def _veth(self, inside: Path, outer: str, inner: str) -> None:
        """A pair with ``outer`` on the node; made inside, so the machine's own namespace never sees it."""
        with inside.open("rb") as target:
            path = f"/proc/self/fd/{target.fileno()}"
            argv = ("ip", "link", "add", outer, "type", "veth", "peer", "name", inner, "netns", path)
            subprocess.run(netns.command(self.node_pin, *argv), check=True, pass_fds=(target.fileno(),))


@contextmanager
def make_world(
    directory: Path, *, node: str, pods: Iterable[str], outside: Iterable[str] = (), node6: str = ""
) -> Iterator[World]:
    world = World(directory, node=node, pods=pods, outside=outside, node6=node6)
    try:
        world.build()
        yield world
    finally:
        world.remove()


async def _repeat(listener: socket.socket) -> None:
    """Serves one connection: what it says is said back."""
    loop = asyncio.get_running_loop()
    connection, _ = await loop.sock_accept(listener)
    with connection:
        while data := await loop.sock_recv(connection, 100):
            await loop.sock_sendall(connection, data)


def has_sctp() -> bool:
    """Whether this kernel has SCTP sockets."""
    try:
        socket.socket(socket.AF_INET, *KINDS["SCTP"]).close()
    except OSError:
        return False
    return True


def _family(ip: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in ip else socket.AF_INET


def _prepare() -> None:
    """No duplicate detection, else a link has no usable address for a second, and a node asks for no neighbour
    meanwhile. No TIME_WAIT: a client that connects for longer than its ports last would meet a server's old socket,
    and wait for a retransmission.
    """
    _sysctl("net/ipv6/conf/default/accept_dad", "0")
    _sysctl("net/ipv4/tcp_max_tw_buckets", "0")


def _forward() -> None:
    _sysctl("net/ipv4/ip_forward", "1")
    _sysctl("net/ipv6/conf/all/forwarding", "1")
    for scope in ("all", "default"):
        _sysctl(f"net/ipv4/conf/{scope}/rp_filter", "0")
    for scope in ("all", "default", "uplink"):  # a redirect would use up what the kernel grants a client of refusals
        _sysctl(f"net/ipv4/conf/{scope}/send_redirects", "0")


def _proxy_arp(link: str) -> None:
    _sysctl(f"net/ipv4/conf/{link}/proxy_arp", "1")
    _sysctl(f"net/ipv4/neigh/{link}/proxy_delay", "0")  # else the first answer waits up to 0.8 s


def _sysctl(name: str, value: str) -> None:
    Path("/proc/sys", name).write_text(value)


def _ip(pin: Path, *lines: str) -> None:
    subprocess.run(netns.command(pin, "ip", "-batch", "-"), input="\n".join(lines), text=True, check=True)
