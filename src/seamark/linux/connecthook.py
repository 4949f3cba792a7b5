"""BPF programs that answer connect() of a cgroup's processes: a TCP socket goes straight to an endpoint of its Service.

Nothing is left to translate in the packets then. What is found in no map keeps its address, and the rules of the
packet path do what they would have done without.

Maps, in the order in which a program asks (addresses are IPv6 here, IPv4 ones mapped; places are an address, a port
in network order, two zero bytes; numbers of 32 bits are the machine's):

    frontends   place -> pool number, count        what a Service's address and port stand for
    endpoints   pool number, index -> place
    asked       socket -> place asked, place given so that getpeername() gives what connect() was told

A pool never changes: another list is another number. A program looks twice: where the frontend leads to another pool
once the endpoint has been read, somebody changed maps in between (the kernel uses freed elements again at once) and
the choice is not taken.

The programs hang on links of this process. When it ends, however it ends, they are gone and the packet path has
everything; a link pinned to a file would go on sending to endpoints nobody removes any more.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from seamark.linux import bpf
from seamark.linux.bpfasm import FP, R0, R1, R2, R3, R4, R6, R7, Assembler, Code

PLACE, NUMBERS = 20, 8
"""Bytes of a place, and of two numbers."""
FRONTENDS, ENDPOINTS = 1 << 16, 1 << 19
"""So many fit. Tables of buckets take 9 MB, elements memory as they come."""
FRONTENDS_MAP, ENDPOINTS_MAP, ASKED_MAP = "sm_frontends", "sm_endpoints", "sm_asked"
"""Their names in the kernel, where that of the first one tells whose it is as well: ``_name_of_frontends``."""
CONNECT4, CONNECT6, GETPEERNAME4, GETPEERNAME6 = 10, 11, 29, 30

TCP = 6
MAP_LOOKUP_ELEM, GET_PRANDOM_U32, SK_STORAGE_GET = 1, 7, 107
STORAGE_CREATE = 1
USER_IP4, USER_IP6, USER_PORT, PROTOCOL, SOCKET = 4, 8, 24, 36, 64
"""Offsets in struct bpf_sock_addr."""
MAPPED = int.from_bytes(b"\0\0\xff\xff", "little", signed=True)
"""The third word of an IPv4 address as IPv6."""

OWN_NAMESPACE = Path("/proc/self/ns/net")

ASKED, GIVEN = -48, -28
"""Where in the stack the places are, one after the other; the two numbers of an endpoint's key stand before them."""
KEY = -56
WORDS = range(0, 2 * PLACE, 4)


class Change(Protocol):
    """What differs: keys and values, keys of what has gone; done in this order, so that no frontend leads to a pool
    that is not whole.
    """

    @property
    def endpoints(self) -> Sequence[tuple[bytes, bytes]]: ...

    @property
    def frontends(self) -> Sequence[tuple[bytes, bytes]]: ...

    @property
    def gone_frontends(self) -> Sequence[bytes]: ...

    @property
    def gone_endpoints(self) -> Sequence[bytes]: ...


class ConnectHook:
    """Maps, programs and links of one family. Raises BpfError where the kernel has no such thing or we no right.
    ``namespace``: whose Services they are; only who asks for answers needs it.
    """

    def __init__(self, namespace: Path | None, *, ipv6: bool) -> None:
        self._handles: dict[str, int] = {}
        self._links: list[int] = []
        try:
            self._open(_name_of_frontends(namespace), ipv6=ipv6)
        except OSError:
            self.close()
            raise

    def _open(self, frontends: str, *, ipv6: bool) -> None:
        handles = self._handles
        handles[FRONTENDS_MAP] = bpf.create_hash(frontends, PLACE, NUMBERS, FRONTENDS)
        handles[ENDPOINTS_MAP] = bpf.create_hash(ENDPOINTS_MAP, NUMBERS, PLACE, ENDPOINTS)
        handles[ASKED_MAP] = bpf.create_socket_storage(ASKED_MAP, 2 * PLACE)
        self._programs = {kind: PROGRAMS[kind] for kind in (OF_IPV6 if ipv6 else PROGRAMS)}
        for attach_type, (name, code) in self._programs.items():
            handles[name] = bpf.load_program(bpf.Program(name, attach_type, code.link(handles)))

    def attach(self, cgroup: Path) -> None:
        """From now on processes of the cgroup, and of those below it, get what the maps say."""
        for attach_type, (name, _) in self._programs.items():
            self._links.append(bpf.attach_to_cgroup(self._handles[name], attach_type, cgroup))

    def apply(self, change: Change) -> None:
        """Each step is whole before the next begins; after an error nothing is known of the maps."""
        bpf.update_elements(self._handles[ENDPOINTS_MAP], change.endpoints)
        bpf.update_elements(self._handles[FRONTENDS_MAP], change.frontends)
        bpf.delete_elements(self._handles[FRONTENDS_MAP], change.gone_frontends)
        bpf.delete_elements(self._handles[ENDPOINTS_MAP], change.gone_endpoints)

    def close(self) -> None:
        """Ends the hook; connections it has made go on."""
        for handle in (*self._links, *self._handles.values()):
            os.close(handle)
        self._links, self._handles = [], {}


def find_answers(place: bytes, namespace: Path | None, *, ipv6: bool) -> Iterator[tuple[int, list[bytes]]]:
    """What each hook of the namespace tells connect() of the place: the number of its cgroup, the places it chooses
    among.
    """
    wanted = CONNECT6 if ipv6 else CONNECT4
    for link in bpf.list_cgroup_links():
        program = bpf.describe_program(link.program) if link.attach_type == wanted else None
        if program is not None and program.name == PROGRAMS[wanted][0]:
            with bpf.opened_maps(program.maps) as maps:
                found = _read_pool(maps.get(_name_of_frontends(namespace)), maps.get(ENDPOINTS_MAP), place)
            if found:
                yield link.cgroup, found


def _read_pool(frontends: int | None, endpoints: int | None, place: bytes) -> list[bytes]:
    if frontends is None or endpoints is None:
        return []
    numbers = bpf.lookup_element(frontends, place, NUMBERS)
    pool, count = struct.unpack("=II", numbers) if numbers else (0, 0)
    keys = (struct.pack("=II", pool, index) for index in range(count))
    return [found for key in keys if (found := bpf.lookup_element(endpoints, key, PLACE)) is not None]


def _name_of_frontends(namespace: Path | None) -> str:
    """With the number of the network namespace: there may be many on a machine, and hooks know none."""
    return f"fronts_{(namespace or OWN_NAMESPACE).stat().st_ino:08x}"


def render_connect(*, ipv6: bool) -> Code:
    """The program of connect(): the address becomes an endpoint's, or stays."""
    code = Assembler()
    code.move(R6, R1)  # struct bpf_sock_addr
    code.load(4, R2, R6, PROTOCOL)
    code.jump_if(R2, "!=", TCP, "leave")
    _store_address(code, ipv6=ipv6)
    code.load(4, R2, R6, USER_PORT)
    code.store(4, FP, ASKED + 16, R2)

    _lookup(code, FRONTENDS_MAP, ASKED)
    code.load(8, R7, R0, 0)  # both numbers at once
    code.store(8, FP, KEY, R7)
    code.call(GET_PRANDOM_U32)
    code.load(4, R1, FP, KEY + 4)
    code.modulo32(R0, R1)
    code.store(4, FP, KEY + 4, R0)
    _lookup(code, ENDPOINTS_MAP, KEY)
    for word in range(0, PLACE, 4):
        code.load(4, R1, R0, word)
        code.store(4, FP, GIVEN + word, R1)
    _lookup(code, FRONTENDS_MAP, ASKED)
    code.load(8, R1, R0, 0)
    code.jump_if_registers(R1, "!=", R7, "leave")

    _socket_storage(code, STORAGE_CREATE)
    for word in WORDS:
        code.load(4, R1, FP, ASKED + word)
        code.store(4, R0, word, R1)
    _set_address(code, FP, GIVEN, ipv6=ipv6)
    return _end(code)


def render_getpeername(*, ipv6: bool) -> Code:
    """The program of getpeername(): a socket still connected to what it was given sees what it asked for."""
    code = Assembler()
    code.move(R6, R1)
    _socket_storage(code, 0)
    _store_address(code, ipv6=ipv6)
    code.load(4, R2, R6, USER_PORT)
    code.store(4, FP, ASKED + 16, R2)
    for word in range(0, PLACE, 4):
        code.load(4, R1, FP, ASKED + word)
        code.load(4, R2, R0, PLACE + word)
        code.jump_if_registers(R1, "!=", R2, "leave")
    _set_address(code, R0, 0, ipv6=ipv6)
    return _end(code)


def _store_address(code: Assembler, *, ipv6: bool) -> None:
    """The address of the call, as IPv6, into the stack at ASKED."""
    if ipv6:
        for word in range(0, 16, 4):
            code.load(4, R2, R6, USER_IP6 + word)
            code.store(4, FP, ASKED + word, R2)
        return
    code.store_constant(8, FP, ASKED, 0)
    code.store_constant(4, FP, ASKED + 8, MAPPED)
    code.load(4, R2, R6, USER_IP4)
    code.store(4, FP, ASKED + 12, R2)


def _set_address(code: Assembler, base: int, offset: int, *, ipv6: bool) -> None:
    """The place at base + offset becomes the address and port of the call."""
    fields = [(USER_IP6 + word, word) for word in range(0, 16, 4)] if ipv6 else [(USER_IP4, 12)]
    for field, word in (*fields, (USER_PORT, 16)):
        code.load(4, R1, base, offset + word)
        code.store(4, R6, field, R1)


def _lookup(code: Assembler, name: str, key: int) -> None:
    """R0 = the value of the key in the stack, or leave."""
    code.map(R1, name)
    code.address(R2, FP, key)
    code.call(MAP_LOOKUP_ELEM)
    code.jump_if(R0, "==", 0, "leave")


def _socket_storage(code: Assembler, flags: int) -> None:
    """R0 = the two places beside the socket, or leave."""
    code.load(8, R2, R6, SOCKET)
    code.jump_if(R2, "==", 0, "leave")
    code.map(R1, ASKED_MAP)
    code.constant(R3, 0)
    code.constant(R4, flags)
    code.call(SK_STORAGE_GET)
    code.jump_if(R0, "==", 0, "leave")


def _end(code: Assembler) -> Code:
    """Whatever was found, the call goes on."""
    code.label("leave")
    code.constant(R0, 1)
    code.exit()
    return code.assemble()


PROGRAMS = {
    CONNECT4: ("sm_connect4", render_connect(ipv6=False)),
    GETPEERNAME4: ("sm_peername4", render_getpeername(ipv6=False)),
    CONNECT6: ("sm_connect6", render_connect(ipv6=True)),
    GETPEERNAME6: ("sm_peername6", render_getpeername(ipv6=True)),
}
OF_IPV6 = (CONNECT6, GETPEERNAME6)
"""Sockets of IPv6 reach IPv4 Services too, by mapped addresses: that family has all four."""
