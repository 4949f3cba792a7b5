"""nftables over raw netlink: element batches, the generation, dumps of small sets, and what the rules look like.

One socket in the node's namespace, one ``send`` a batch. The kernel works through a batch inside ``send`` and puts
one error message per refused message into the socket, none on success; a batch is atomic over all its messages.
Every batch carries the generation it was made for, so the kernel refuses it (ERESTART) when anybody changed
anything in between, and ``GenerationError`` tells the caller to look first.

What it refuses: to list big sets in the steady state (a dump is quadratic), and to write rules (``nft.py`` does, save
those it cannot: ``nfrules.py``).
Keys and data are bytes as the kernel has them (registers of four bytes); the caller knows their meaning.
"""

from __future__ import annotations

import errno
import hashlib
import os
import socket
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Self

from seamark.linux import netns
from seamark.linux.netlinkwire import attribute, attributes, each, messages, name_of, text

AF_NETLINK = socket.AF_NETLINK
NETLINK_NETFILTER = 12
SO_SNDBUFFORCE, SO_RCVBUFFORCE = 32, 33
BUFFER = 256 << 20

NLM_F_REQUEST, NLM_F_CREATE, NLM_F_APPEND, NLM_F_DUMP = 0x1, 0x400, 0x800, 0x300
NLMSG_ERROR, NLMSG_DONE = 2, 3
BATCH_BEGIN, BATCH_END = 0x10, 0x11
SUBSYSTEM = 10
GETTABLE, DELTABLE, GETCHAIN, NEWRULE, GETRULE = 1, 2, 4, 6, 7
NEWSETELEM, GETSETELEM, DELSETELEM, NEWGEN, GETGEN = 12, 13, 14, 15, 16
NESTED = 0x8000
GOTO = struct.pack(">i", -4)
FAMILIES = {"ip": socket.AF_INET, "ip6": socket.AF_INET6}
CHUNK = 60_000
"""Bytes of elements in one message: the length of a nested attribute has 16 bits."""


Message = tuple[str, int, int, int, bytes]
"""What it is about, for errors; number, family, flags and attributes."""


class NfnetlinkError(OSError):
    """The kernel refused a message: errno, and what was asked."""


class GenerationError(NfnetlinkError):
    """Somebody else changed nftables in this namespace since the generation given."""


@dataclass(frozen=True, slots=True)
class ElementBatch:
    """One transaction on the sets of a table. Order: flushes, deletes, adds."""

    flushes: Sequence[str] = ()
    deletes: Mapping[str, Sequence[bytes]] = field(default_factory=dict)
    adds: Mapping[str, Sequence[tuple[bytes, bytes]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Table:
    """A table and what its sets need said about them. ``verdicts`` are maps whose data is a chain name to go to;
    in the keys of ``ranges`` the last address stands twice: first, then last, of so many bytes.
    """

    family: str
    name: str
    verdicts: frozenset[str] = frozenset()
    ranges: Mapping[str, int] = field(default_factory=dict)


class Nfnetlink:
    """A netlink socket of one namespace (None = this process's own). Blocking, but the kernel answers at once."""

    def __init__(self, namespace: Path | None) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
        if namespace is None:
            self._socket = socket.socket(AF_NETLINK, kind, NETLINK_NETFILTER)
        else:
            self._socket = netns.open_socket(namespace, AF_NETLINK, kind, NETLINK_NETFILTER)
        # The buffer must hold a whole batch; plain SO_SNDBUF stops at wmem_max.
        self._socket.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, BUFFER)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
        self._socket.bind((0, 0))
        self._sequence = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def generation(self) -> int:
        """+1 with every transaction of anybody in the namespace."""
        replies = self._ask(GETGEN, socket.AF_UNSPEC, b"", dump=False)
        return int.from_bytes(attributes(next(replies))[1], "big")

    def apply(self, table: Table, batch: ElementBatch, *, generation: int) -> None:
        """Raises GenerationError or NfnetlinkError; then nothing of the batch was applied."""
        self.send(encode_batch(table, batch), generation=generation)

    def send(self, messages: Sequence[Message], *, generation: int) -> None:
        """Applies batches that were encoded before, as one: raises as ``apply``."""
        self._transact(messages, generation)

    def add_rules(self, family: str, rules: Sequence[bytes], *, generation: int) -> None:
        """Appends rules (the attributes of each) to their chains, in one transaction."""
        flags = NLM_F_CREATE | NLM_F_APPEND
        self._transact([("add rule", NEWRULE, FAMILIES[family], flags, rule) for rule in rules], generation)

    def delete_table(self, family: str, name: str) -> bool:
        """Deletes the table and all in it; False if it was not there."""
        if not self.has_table(family, name):
            return False
        self._transact([("delete table", DELTABLE, FAMILIES[family], 0, text(1, name))], self.generation())
        return True

    def has_table(self, family: str, name: str) -> bool:
        try:
            return bool(list(self._ask(GETTABLE, FAMILIES[family], text(1, name), dump=False)))
        except FileNotFoundError:
            return False

    def dump(self, table: Table, name: str) -> dict[bytes, bytes]:
        """All elements of a set or map without ranges; verdicts as chain names. Quadratic: for small ones."""
        return {key: data for key, data, _ in self.list_elements(table, name)}

    def list_elements(self, table: Table, name: str) -> Iterator[tuple[bytes, bytes, float]]:
        """(key, data, seconds until it expires; 0 = never) of every element, as ``dump``."""
        asked = _address(table.name, name)
        for reply in self._ask(GETSETELEM, FAMILIES[table.family], asked, dump=True):
            yield from _elements_of(reply)

    def get(self, table: Table, name: str, key: bytes) -> tuple[bytes, float] | None:
        """(data, seconds until it expires) of one element of a set without ranges; None where it is not there."""
        wanted = attribute(NESTED | 3, _element(_plain_key(key)))
        asked = _address(table.name, name) + wanted
        try:
            (reply,) = self._ask(GETSETELEM, FAMILIES[table.family], asked, dump=False)
        except FileNotFoundError:
            return None
        return next(((data, left) for _, data, left in _elements_of(reply)), None)

    def fingerprint(self, family: str, name: str) -> dict[str, str] | None:
        """A digest of each chain (its hook, policy and rules) and, under the empty name, of the table's flags; None
        where the table is gone.
        """
        try:
            (found,) = self._ask(GETTABLE, FAMILIES[family], text(1, name), dump=False)
        except FileNotFoundError:
            return None
        digests = {"": hashlib.blake2b(attributes(found).get(2, b""), digest_size=12)}
        for reply in self._ask(GETCHAIN, FAMILIES[family], text(1, name), dump=True):
            parts = attributes(reply)
            if parts[1] == name.encode() + b"\0":
                chain = digests[name_of(parts[3])] = hashlib.blake2b(digest_size=12)
                for number in (4, 5, 7):  # hook, policy, type
                    chain.update(parts.get(number, b"-"))
        for reply in self._ask(GETRULE, FAMILIES[family], text(1, name), dump=True):
            parts = attributes(reply)
            chain_name = name_of(parts[2])
            if parts[1] == name.encode() + b"\0" and chain_name in digests:
                digests[chain_name].update(parts.get(4, b""))  # expressions, without handle and position
        return {chain: digest.hexdigest() for chain, digest in digests.items()}

    def _transact(self, requests: Iterable[Message], generation: int) -> None:
        first = self._sequence + 1
        begin = attribute(1, struct.pack(">I", generation))
        parts = [self._message(BATCH_BEGIN, NLM_F_REQUEST, socket.AF_UNSPEC, begin, resource=SUBSYSTEM)]
        labels = ["batch"]
        for label, kind, family, flags, body in requests:
            parts.append(self._message(SUBSYSTEM << 8 | kind, NLM_F_REQUEST | flags, family, body))
            labels.append(label)
        parts.append(self._message(BATCH_END, NLM_F_REQUEST, socket.AF_UNSPEC, b"", resource=SUBSYSTEM))
        labels.append("commit")
        self._socket.send(b"".join(parts))
        for code, sequence in self._drain():
            if sequence < first:
                continue  # of something earlier that nobody waited for
            label = labels[sequence - first] if sequence - first < len(labels) else "batch"
            if code == errno.ERESTART:
                raise GenerationError(code, f"nftables: {label}: changed by somebody else meanwhile")
            raise NfnetlinkError(code, f"nftables: {label}: {os.strerror(code)}")

    def _drain(self) -> list[tuple[int, int]]:
        """(errno, sequence) of every error that waits in the socket."""
        found: list[tuple[int, int]] = []
        while True:
            try:
                data = self._socket.recv(1 << 16, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return found
            for kind, sequence, body in messages(data):
                code = -struct.unpack_from("=i", body)[0] if kind == NLMSG_ERROR else 0
                if code:
                    found.append((code, sequence))

    def _ask(self, kind: int, family: int, body: bytes, *, dump: bool) -> Iterator[bytes]:
        """The attributes of every reply. Raises the kernel's error as OSError."""
        self._drain()
        flags = NLM_F_REQUEST | (NLM_F_DUMP if dump else 0)
        self._socket.send(self._message(SUBSYSTEM << 8 | kind, flags, family, body))
        while True:
            for kind_found, sequence, payload in messages(self._socket.recv(1 << 18)):
                if sequence != self._sequence:
                    continue
                if kind_found == NLMSG_DONE:
                    return
                if kind_found == NLMSG_ERROR:
                    code = -struct.unpack_from("=i", payload)[0]
                    raise OSError(code, f"nftables: {os.strerror(code)}")
                yield payload[4:]
                if not dump:
                    return

    def _message(self, kind: int, flags: int, family: int, body: bytes, *, resource: int = 0) -> bytes:
        self._sequence += 1
        head = struct.pack("=IHHII", 20 + len(body), kind, flags, self._sequence, 0)
        return head + struct.pack(">BBH", family, 0, resource) + body


# ---- elements -------------------------------------------------------------------------------------------------


def encode_batch(table: Table, batch: ElementBatch) -> list[Message]:
    return [*_flushes(table, batch.flushes), *_deletes(table, batch.deletes), *_adds(table, batch.adds)]


def _flushes(table: Table, names: Iterable[str]) -> Iterator[Message]:
    for name in names:
        yield f"flush {name}", DELSETELEM, FAMILIES[table.family], 0, _address(table.name, name)


def _deletes(table: Table, deletes: Mapping[str, Sequence[bytes]]) -> Iterator[Message]:
    for name, keys in deletes.items():
        if name in table.ranges:
            elements = [_element(_range(key, table.ranges[name])) for key in keys]
        else:
            head, _ = _shape(len(keys[0]), 0)
            elements = [head + key for key in keys]
        yield from _chunks(table, name, DELSETELEM, f"delete element of {name}", elements)


def _adds(table: Table, adds: Mapping[str, Sequence[tuple[bytes, bytes]]]) -> Iterator[Message]:
    for name, items in adds.items():
        if name in table.verdicts:
            elements = [_element(_plain_key(key) + _verdict(data)) for key, data in items]
        elif name in table.ranges:
            elements = [_element(_range(key, table.ranges[name])) for key, _ in items]
        else:
            head, between = _shape(len(items[0][0]), len(items[0][1]))
            elements = [b"".join((head, key, between, data)) for key, data in items]
        yield from _chunks(table, name, NEWSETELEM, f"add element to {name}", elements)


@cache
def _shape(key_length: int, data_length: int) -> tuple[bytes, bytes]:
    """What stands before the key and before the data of an element of that shape: the same for 100,000 of them."""
    inner = _plain_key(bytes(key_length))[:-key_length]
    between = attribute(NESTED | 2, attribute(1, bytes(data_length)))[:-data_length] if data_length else b""
    length = 4 + len(inner) + key_length + len(between) + data_length
    return struct.pack("=HH", length, NESTED | 1) + inner, between


def _plain_key(key: bytes) -> bytes:
    return attribute(NESTED | 1, attribute(1, key))


def _range(key: bytes, width: int) -> bytes:
    """The last two addresses, of so many bytes each, are the ends of the range."""
    rest, first, last = key[: -2 * width], key[-2 * width : -width], key[-width:]
    return _plain_key(rest + first) + attribute(NESTED | 10, attribute(1, rest + last))


def _verdict(chain: bytes) -> bytes:
    verdict = attribute(1, GOTO) + attribute(2, chain + b"\0")
    return attribute(NESTED | 2, attribute(NESTED | 2, verdict))


def _element(body: bytes) -> bytes:
    return attribute(NESTED | 1, body)


@cache
def _address(table: str, name: str) -> bytes:
    """Which set is meant."""
    return text(1, table) + text(2, name)


def _chunks(table: Table, name: str, kind: int, label: str, elements: Sequence[bytes]) -> Iterator[Message]:
    head = _address(table.name, name)
    flags = NLM_F_CREATE if kind == NEWSETELEM else 0
    step = max(1, CHUNK // max(map(len, elements), default=1))
    for at in range(0, len(elements), step):
        body = head + attribute(NESTED | 3, b"".join(elements[at : at + step]))
        yield label, kind, FAMILIES[table.family], flags, body


def _elements_of(reply: bytes) -> Iterator[tuple[bytes, bytes, float]]:
    for _, element in each(attributes(reply).get(3, b"")):
        parts = attributes(element)
        data = attributes(parts[2]) if 2 in parts else {}
        shown = data[1] if 1 in data else _chain_of(data[2]) if 2 in data else b""
        yield attributes(parts[1])[1], shown, int.from_bytes(parts.get(5, b""), "big") / 1000


def _chain_of(verdict: bytes) -> bytes:
    return attributes(verdict).get(2, b"").rstrip(b"\0")
