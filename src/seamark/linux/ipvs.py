"""IPVS over generic netlink: virtual servers and their real servers, listed and changed one message at a time.

Families and forwarding are what a service proxy needs: IPv4 and IPv6, masquerading (``-m`` of ipvsadm), nothing else.
Where the kernel has no IPVS the first word fails with ``IpvsError``, which says what to do.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple, Self

from seamark.linux import netns
from seamark.linux.errors import RefusedError
from seamark.linux.netlinkwire import attribute, attributes, messages, text

NETLINK_GENERIC = 16
CONTROL, GETFAMILY = 0x10, 3
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 0x1, 0x4, 0x300
NLMSG_ERROR, NLMSG_DONE = 2, 3
NESTED = 0x8000
NEW_SERVICE, SET_SERVICE, DEL_SERVICE, GET_SERVICE = 1, 2, 3, 4
NEW_DEST, SET_DEST, DEL_DEST, GET_DEST, SET_CONFIG = 5, 6, 7, 8, 12
SERVICE, DEST, TIMEOUT_TCP, TIMEOUT_TCP_FIN, TIMEOUT_UDP = 1, 2, 4, 5, 6
PERSISTENT = 0x1
BUFFER = 1 << 18


class IpvsError(RefusedError):
    """The kernel refused, or has no IPVS: says what and what to do."""


class Service(NamedTuple):
    """A virtual server by what it is recognised by: ``protocol`` (6, 17, 132), address and port; or ``mark``."""

    family: int
    protocol: int
    ip: str
    port: int
    mark: int = 0


class Settings(NamedTuple):
    """``seconds`` of persistence; 0 = none."""

    scheduler: str
    seconds: int = 0


class Dest(NamedTuple):
    ip: str
    port: int


class DestState(NamedTuple):
    """``connections`` are all that still name it: active, closing and templates of persistence."""

    weight: int
    connections: int = 0


class Ipvs:
    """A socket of one namespace (None = this process's own). Blocking, but the kernel answers at once."""

    def __init__(self, namespace: Path | None) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
        if namespace is None:
            self._socket = socket.socket(socket.AF_NETLINK, kind, NETLINK_GENERIC)
        else:
            self._socket = netns.open_socket(namespace, socket.AF_NETLINK, kind, NETLINK_GENERIC)
        self._socket.bind((0, 0))
        self._sequence = 0
        try:
            self._family = self._find_family()
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def services(self) -> dict[Service, Settings]:
        """Every virtual server of the namespace, whoever made it."""
        found = {}
        for reply in self._ask(GET_SERVICE, b"", dump=True):
            parts = attributes(attributes(reply)[SERVICE])
            family = _u16(parts[1])
            mark = _u32(parts[5]) if 5 in parts else 0
            ip = "" if mark else _shown(family, parts[3])
            port = 0 if mark else int.from_bytes(parts[4][:2], "big")
            service = Service(family, 0 if mark else _u16(parts[2]), ip, port, mark)
            seconds = _u32(parts[8]) if _u32(parts[7][:4]) & PERSISTENT else 0
            found[service] = Settings(parts[6].rstrip(b"\0").decode(), seconds)
        return found

    def dests(self, service: Service) -> dict[Dest, DestState]:
        found = {}
        for reply in self._ask(GET_DEST, _service(service), dump=True):
            parts = attributes(attributes(reply)[DEST])
            family = _u16(parts[11]) if 11 in parts else service.family
            dest = Dest(_shown(family, parts[1]), int.from_bytes(parts[2][:2], "big"))
            found[dest] = DestState(_u32(parts[4]), sum(_u32(parts[n]) for n in (7, 8, 9)))
        return found

    def add_service(self, service: Service, settings: Settings) -> None:
        self._do(NEW_SERVICE, _service(service, settings), f"add {_name(service)}")

    def set_service(self, service: Service, settings: Settings) -> None:
        self._do(SET_SERVICE, _service(service, settings), f"change {_name(service)}")

    def delete_service(self, service: Service) -> None:
        self._do(DEL_SERVICE, _service(service), f"delete {_name(service)}", fine=errno.ESRCH)

    def add_dest(self, service: Service, dest: Dest, *, weight: int = 1) -> None:
        self._do(NEW_DEST, _service(service) + _dest(service, dest, weight), f"add {dest} to {_name(service)}")

    def set_dest(self, service: Service, dest: Dest, *, weight: int) -> None:
        self._do(SET_DEST, _service(service) + _dest(service, dest, weight), f"change {dest} of {_name(service)}")

    def delete_dest(self, service: Service, dest: Dest) -> None:
        what = f"delete {dest} of {_name(service)}"
        self._do(DEL_DEST, _service(service) + _dest(service, dest, None), what, fine=errno.ENOENT)

    def set_timeouts(self, *, tcp: int, tcp_fin: int, udp: int) -> None:
        """Seconds; 0 leaves one as it is."""
        given = ((TIMEOUT_TCP, tcp), (TIMEOUT_TCP_FIN, tcp_fin), (TIMEOUT_UDP, udp))
        self._do(SET_CONFIG, b"".join(attribute(kind, struct.pack("=I", value)) for kind, value in given), "timeouts")

    def _find_family(self) -> int:
        try:
            (reply,) = self._exchange(CONTROL, GETFAMILY, text(2, "IPVS"), NLM_F_REQUEST | NLM_F_ACK)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
            raise IpvsError("this kernel has no IPVS: load the module ip_vs, or choose mode nftables") from error
        return _u16(attributes(reply)[1])

    def _do(self, command: int, body: bytes, what: str, *, fine: int = 0) -> None:
        try:
            list(self._exchange(self._family, command, body, NLM_F_REQUEST | NLM_F_ACK))
        except OSError as error:
            if error.errno == fine:
                return
            hint = (
                " (no such scheduler in this kernel)" if command == NEW_SERVICE and error.errno == errno.ENOENT else ""
            )
            raise IpvsError(f"ipvs: {what}: {os.strerror(error.errno or 0)}{hint}") from error

    def _ask(self, command: int, body: bytes, *, dump: bool) -> Iterator[bytes]:
        return self._exchange(self._family, command, body, NLM_F_REQUEST | (NLM_F_DUMP if dump else 0))

    def _exchange(self, family: int, command: int, body: bytes, flags: int) -> Iterator[bytes]:
        """The attributes of every reply. Raises the kernel's error as OSError."""
        self._sequence += 1
        head = struct.pack("=IHHII", 20 + len(body), family, flags, self._sequence, 0)
        self._socket.send(head + struct.pack("=BBH", command, 1, 0) + body)
        while True:
            for kind, sequence, payload in messages(self._socket.recv(BUFFER)):
                if sequence != self._sequence:
                    continue
                if kind == NLMSG_DONE:
                    return
                if kind == NLMSG_ERROR:
                    code = -struct.unpack_from("=i", payload)[0]
                    if code:
                        raise OSError(code, f"ipvs: {os.strerror(code)}")
                    return
                yield payload[4:]


def _service(service: Service, settings: Settings | None = None) -> bytes:
    body = attribute(1, struct.pack("=H", service.family))
    if service.mark:
        body += attribute(5, struct.pack("=I", service.mark))
    else:
        body += attribute(2, struct.pack("=H", service.protocol)) + attribute(3, _packed(service.ip))
        body += attribute(4, struct.pack(">H", service.port))
    if settings is not None:
        flags = PERSISTENT if settings.seconds else 0
        netmask = struct.pack("=I", 0xFFFFFFFF if service.family == socket.AF_INET else 128)
        body += text(6, settings.scheduler) + attribute(7, struct.pack("=II", flags, PERSISTENT))
        body += attribute(8, struct.pack("=I", settings.seconds)) + attribute(9, netmask)
    return attribute(NESTED | SERVICE, body)


def _dest(service: Service, dest: Dest, weight: int | None) -> bytes:
    body = attribute(1, _packed(dest.ip)) + attribute(2, struct.pack(">H", dest.port))
    body += attribute(11, struct.pack("=H", service.family))
    if weight is not None:
        masquerading, unlimited = 0, 0
        numbers = (masquerading, weight, unlimited, unlimited)
        body += b"".join(attribute(kind, struct.pack("=I", value)) for kind, value in enumerate(numbers, start=3))
    return attribute(NESTED | DEST, body)


def _packed(ip: str) -> bytes:
    return ip_address(ip).packed.ljust(16, b"\0")


def _shown(family: int, data: bytes) -> str:
    return str(ip_address(data[:4] if family == socket.AF_INET else data[:16]))


def _u16(data: bytes) -> int:
    value: int = struct.unpack_from("=H", data)[0]
    return value


def _u32(data: bytes) -> int:
    value: int = struct.unpack_from("=I", data)[0]
    return value


def _name(service: Service) -> str:
    if service.mark:
        return f"virtual server of mark {service.mark:#x}"
    return f"virtual server {service.ip} port {service.port} protocol {service.protocol}"
