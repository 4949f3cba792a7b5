"""A small assembler of BPF: method calls in the order of the instructions, labels, maps by name (pure).

For programs of some fifty instructions that users' machines have no compiler for. It encodes and finds labels, and
knows nothing of what a program means: the kernel's verifier judges that when ``bpf.py`` loads it.

Machines with the low byte first alone. The words are those of the kernel's
Documentation/bpf/standardization/instruction-set.rst.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, FP = range(11)
"""R0: results. R1 to R5: arguments, lost by a call. R6 to R9: kept. FP: the end of 512 bytes of stack."""

Size = Literal[4, 8]
Condition = Literal["==", "!="]

LD, LDX, ST, STX, ALU, JMP, ALU64 = 0, 1, 2, 3, 4, 5, 7
SIZES: dict[Size, int] = {4: 0x00, 8: 0x18}
MEM, IMMEDIATE, REGISTER = 0x60, 0x00, 0x08
ADD, MOD, MOV = 0x00, 0x90, 0xB0
CONDITIONS: dict[Condition, int] = {"==": 0x10, "!=": 0x50}
CALL, EXIT = 0x80, 0x90
PSEUDO_MAP_FD = 1


class AssemblyError(Exception):
    """A label that is not there, or is there twice."""


@dataclass(frozen=True, slots=True)
class Code:
    """Instructions, and where the descriptor of which map has to be put in."""

    instructions: bytes
    maps: tuple[tuple[int, str], ...]

    def link(self, descriptors: dict[str, int]) -> bytes:
        """The instructions with maps' descriptors; what the kernel is given."""
        linked = bytearray(self.instructions)
        for index, name in self.maps:
            struct.pack_into("<i", linked, index * 8 + 4, descriptors[name])
        return bytes(linked)


class Assembler:
    def __init__(self) -> None:
        self._instructions: list[bytes] = []
        self._labels: dict[str, int] = {}
        self._jumps: list[tuple[int, str]] = []
        self._maps: list[tuple[int, str]] = []

    def assemble(self) -> Code:
        done = bytearray(b"".join(self._instructions))
        for index, label in self._jumps:
            if label not in self._labels:
                raise AssemblyError(f"no label {label!r}; there are: {', '.join(self._labels) or 'none'}")
            struct.pack_into("<h", done, index * 8 + 2, self._labels[label] - index - 1)
        return Code(bytes(done), tuple(self._maps))

    def label(self, name: str) -> None:
        if name in self._labels:
            raise AssemblyError(f"label {name!r} stands twice")
        self._labels[name] = len(self._instructions)

    def load(self, size: Size, target: int, base: int, offset: int) -> None:
        """target = what stands at base + offset"""
        self._put(LDX | MEM | SIZES[size], target, base, offset)

    def store(self, size: Size, base: int, offset: int, source: int) -> None:
        self._put(STX | MEM | SIZES[size], base, source, offset)

    def store_constant(self, size: Size, base: int, offset: int, value: int) -> None:
        self._put(ST | MEM | SIZES[size], base, 0, offset, value)

    def move(self, target: int, source: int) -> None:
        self._put(ALU64 | MOV | REGISTER, target, source)

    def constant(self, target: int, value: int) -> None:
        self._put(ALU64 | MOV | IMMEDIATE, target, 0, 0, value)

    def modulo32(self, target: int, source: int) -> None:
        """Of the lower halves; the upper one becomes zero."""
        self._put(ALU | MOD | REGISTER, target, source)

    def address(self, target: int, base: int, offset: int) -> None:
        """target = base + offset"""
        self.move(target, base)
        self._put(ALU64 | ADD | IMMEDIATE, target, 0, 0, offset)

    def map(self, target: int, name: str) -> None:
        """The map itself, as an argument of a call: one instruction of double width."""
        self._maps.append((len(self._instructions), name))
        self._put(LD | IMMEDIATE | SIZES[8], target, PSEUDO_MAP_FD)
        self._put(0, 0, 0)

    def call(self, helper: int) -> None:
        self._put(JMP | CALL, 0, 0, 0, helper)

    def jump_if(self, register: int, condition: Condition, value: int, label: str) -> None:
        self._jump(JMP | CONDITIONS[condition] | IMMEDIATE, register, 0, value, label)

    def jump_if_registers(self, register: int, condition: Condition, other: int, label: str) -> None:
        self._jump(JMP | CONDITIONS[condition] | REGISTER, register, other, 0, label)

    def exit(self) -> None:
        self._put(JMP | EXIT, 0, 0)

    def _jump(self, code: int, target: int, source: int, value: int, label: str) -> None:
        self._jumps.append((len(self._instructions), label))
        self._put(code, target, source, 0, value)

    def _put(self, code: int, target: int, source: int, offset: int = 0, value: int = 0) -> None:
        self._instructions.append(struct.pack("<BBhi", code, target | source << 4, offset, value))
