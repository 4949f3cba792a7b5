"""The bpf(2) system call: maps, programs, and links that hold a program to a cgroup.

Everything is a descriptor of this process, closed by ``os.close``, and lives as long as somebody holds it: nothing is
pinned. A link takes its program away from the cgroup when its descriptor is closed, so also when the process dies.

What it refuses: to compile (``bpfasm.py`` assembles) and to read object files.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

NUMBERS = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "ppc64le": 361}
"""Of the system call, by machine: those with the low byte first, as ``bpfasm.py`` writes."""

MAP_CREATE, MAP_LOOKUP, PROG_LOAD, MAP_GET_NEXT_ID = 0, 1, 5, 12
PROG_GET_FD_BY_ID, MAP_GET_FD_BY_ID, OBJ_GET_INFO_BY_FD, BTF_LOAD = 13, 14, 15, 18
MAP_UPDATE_BATCH, MAP_DELETE_BATCH, LINK_CREATE, LINK_GET_FD_BY_ID, LINK_GET_NEXT_ID = 26, 27, 28, 30, 31
HASH, SK_STORAGE = 1, 24
NO_PREALLOC = 1
CGROUP_SOCK_ADDR = 18
LINK_TYPE_CGROUP = 3
INT_TYPE, ROW_TYPE = 1, 2
BTF_INT, BTF_ARRAY = 1, 3
LICENCE = b"Apache-2.0"
LOG_BYTES = 1 << 18
TRIES = 100
"""Elements are allocated from a small cache, which a big batch can run dry for a moment."""

Buffer = ctypes.Array[ctypes.c_char]

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


class BpfError(OSError):
    """The kernel refused, or has no BPF: errno, and what was asked."""


class Program(NamedTuple):
    """``attach_type``: the hook it is for."""

    name: str
    attach_type: int
    instructions: bytes


class CgroupLink(NamedTuple):
    """A link of anybody's: the number of the cgroup (the inode of its directory), the hook, the program."""

    cgroup: int
    attach_type: int
    program: int


class ProgramInfo(NamedTuple):
    name: str
    maps: tuple[int, ...]


def create_hash(name: str, key: int, value: int, entries: int) -> int:
    """A hash map of keys and values of so many bytes; memory is taken as elements come."""
    given = struct.pack("=IIIIIII16s", HASH, key, value, entries, NO_PREALLOC, 0, 0, name.encode())
    return _bpf(MAP_CREATE, given, f"create map {name}")


def create_socket_storage(name: str, value: int) -> int:
    """A map that keeps so many bytes beside a socket, and forgets them with it. The kernel wants its types told."""
    types = _bpf_types(value)
    try:
        head = struct.pack("=IIIIIII16s", SK_STORAGE, 4, value, 0, NO_PREALLOC, 0, 0, name.encode())
        return _bpf(MAP_CREATE, head + struct.pack("=IIII", 0, types, INT_TYPE, ROW_TYPE), f"create map {name}")
    finally:
        os.close(types)


def load_program(program: Program, kind: int = CGROUP_SOCK_ADDR) -> int:
    """Raises BpfError; with what the verifier says where it is the one that refuses."""
    what = f"load program {program.name}"
    try:
        return _load(program, kind, what)
    except BpfError as error:
        log = ctypes.create_string_buffer(LOG_BYTES)
        try:
            return _load(program, kind, what, log)
        except BpfError:
            said = log.value.decode(errors="replace").strip()
            raise BpfError(error.errno, f"{error.strerror}" + (f"\n{said}" if said else "")) from None


def attach_to_cgroup(program: int, attach_type: int, cgroup: Path) -> int:
    """A link; the program runs for processes of the cgroup and below, after those that are there already."""
    directory = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        given = struct.pack("=IIII", program, directory, attach_type, 0)
        return _bpf(LINK_CREATE, given, f"attach to cgroup {cgroup}")
    except BpfError as error:
        if error.errno == errno.EBADF:
            raise BpfError(error.errno, f"bpf: {cgroup} is no cgroup of version 2") from None
        raise
    finally:
        os.close(directory)


def update_elements(handle: int, elements: Sequence[tuple[bytes, bytes]]) -> None:
    """Adds and replaces; the whole is not atomic, each element is."""
    keys, values = b"".join([key for key, _ in elements]), b"".join([value for _, value in elements])
    _batch(MAP_UPDATE_BATCH, handle, keys, values, len(elements))


def delete_elements(handle: int, keys: Sequence[bytes]) -> None:
    """All must be there."""
    _batch(MAP_DELETE_BATCH, handle, b"".join(keys), b"", len(keys))


def lookup_element(handle: int, key: bytes, size: int) -> bytes | None:
    given, found = ctypes.create_string_buffer(key, len(key)), ctypes.create_string_buffer(size)
    attributes = struct.pack("=IIQQQ", handle, 0, ctypes.addressof(given), ctypes.addressof(found), 0)
    try:
        _bpf(MAP_LOOKUP, attributes, "look up an element")
    except BpfError as error:
        if error.errno == errno.ENOENT:
            return None
        raise
    return found.raw


def list_cgroup_links() -> Iterator[CgroupLink]:
    """Those of the whole machine."""
    number = 0
    while (number := _next(LINK_GET_NEXT_ID, number)) != 0:
        with _Opened(LINK_GET_FD_BY_ID, number) as handle:
            info = _info(handle, 32) if handle >= 0 else b""
        if info and struct.unpack_from("=I", info)[0] == LINK_TYPE_CGROUP:
            _, _, program, _, cgroup, attach_type = struct.unpack_from("=IIIIQI", info)
            yield CgroupLink(cgroup, attach_type, program)


def describe_program(number: int) -> ProgramInfo | None:
    """None where it has gone."""
    room = (ctypes.c_uint32 * 16)()
    with _Opened(PROG_GET_FD_BY_ID, number) as handle:
        if handle < 0:
            return None
        # type, id, tag, two lengths and two places of code, load time, uid; then the maps and the name
        info = _info(handle, 80, bytes(52) + struct.pack("=IQ", len(room), ctypes.addressof(room)))
    count = struct.unpack_from("=I", info, 52)[0]
    return ProgramInfo(info[64:80].rstrip(b"\0").decode(), tuple(room[: min(count, len(room))]))


@contextmanager
def opened_maps(numbers: Iterable[int]) -> Iterator[dict[str, int]]:
    """Maps of anybody's by their names; those that have gone are missing."""
    with ExitStack() as stack:
        handles = [stack.enter_context(_Opened(MAP_GET_FD_BY_ID, number)) for number in numbers]
        # type, id, key, value, entries, flags, name
        yield {_info(handle, 40)[24:40].rstrip(b"\0").decode(): handle for handle in handles if handle >= 0}


class _Opened:
    """A descriptor of an object by its number, -1 where it has gone meanwhile."""

    def __init__(self, command: int, number: int) -> None:
        self._command, self._number, self._handle = command, number, -1

    def __enter__(self) -> int:
        try:
            self._handle = _bpf(self._command, struct.pack("=III", self._number, 0, 0), "open by number")
        except BpfError as error:
            if error.errno != errno.ENOENT:
                raise
        return self._handle

    def __exit__(self, *_: object) -> None:
        if self._handle >= 0:
            os.close(self._handle)


def _next(command: int, number: int) -> int:
    """The number of the next object of a kind; 0 after the last."""
    attributes = ctypes.create_string_buffer(struct.pack("=III", number, 0, 0), 12)
    try:
        _call(command, attributes, "list")
    except BpfError as error:
        if error.errno == errno.ENOENT:
            return 0
        raise
    return int(struct.unpack_from("=I", attributes.raw, 4)[0])


def _info(handle: int, size: int, given: bytes = b"") -> bytes:
    info = ctypes.create_string_buffer(given, size)
    _bpf(OBJ_GET_INFO_BY_FD, struct.pack("=IIQ", handle, size, ctypes.addressof(info)), "describe")
    return info.raw


def _load(program: Program, kind: int, what: str, log: Buffer | None = None) -> int:
    code = ctypes.create_string_buffer(program.instructions, len(program.instructions))
    licence = ctypes.create_string_buffer(LICENCE)
    logging = (1, len(log), ctypes.addressof(log)) if log is not None else (0, 0, 0)
    places = ctypes.addressof(code), ctypes.addressof(licence)
    head = struct.pack("=IIQQIIQII", kind, len(code) // 8, *places, *logging, 0, 0)
    tail = struct.pack("=16sII", program.name.encode(), 0, program.attach_type)
    return _bpf(PROG_LOAD, head + tail, what)


def _batch(command: int, handle: int, keys: bytes, values: bytes, count: int) -> None:
    if not count:
        return
    given, data = ctypes.create_string_buffer(keys, len(keys)), ctypes.create_string_buffer(values, len(values) or 1)
    done = 0
    for left in reversed(range(TRIES)):
        at = (
            ctypes.addressof(given) + len(keys) // count * done,
            ctypes.addressof(data) + len(values) // count * done,
        )
        packed = struct.pack("=QQQQIIQQ", 0, 0, *at, count - done, handle, 0, 0)
        attributes = ctypes.create_string_buffer(packed, len(packed))
        try:
            _call(command, attributes, "change elements")
            return
        except BpfError as error:
            if error.errno != errno.ENOMEM or not left:
                raise
            done += struct.unpack_from("=I", attributes.raw, 32)[0]


def _bpf_types(value: int) -> int:
    """BTF of an int (the key) and of a row of ints of so many bytes (the value)."""
    names = b"\0int\0"
    integer = struct.pack("=IIII", 1, BTF_INT << 24, 4, 1 << 24 | 32)
    row = struct.pack("=IIIIII", 0, BTF_ARRAY << 24, 0, INT_TYPE, INT_TYPE, value // 4)
    types = integer + row
    blob = struct.pack("=HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(names)) + types + names
    given = ctypes.create_string_buffer(blob, len(blob))
    return _bpf(BTF_LOAD, struct.pack("=QQIII", ctypes.addressof(given), 0, len(blob), 0, 0), "load types")


def _bpf(command: int, attributes: bytes, what: str) -> int:
    return _call(command, ctypes.create_string_buffer(attributes, len(attributes)), what)


def _call(command: int, attributes: Buffer, what: str) -> int:
    number = NUMBERS.get(platform.machine())
    if number is None:
        raise BpfError(errno.ENOSYS, f"bpf: {what}: not known how on a {platform.machine()}")
    result = int(_libc.syscall(number, command, attributes, len(attributes)))
    if result < 0:
        code = ctypes.get_errno()
        raise BpfError(code, f"bpf: {what}: {os.strerror(code)}")
    return result
