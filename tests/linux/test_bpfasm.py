"""What the assembler writes, byte by byte, as the document of the instruction set has it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from seamark.linux.bpfasm import FP, R0, R1, R2, R6, R7, Assembler, AssemblyError


@pytest.mark.parametrize(
    ("write", "expected"),
    [
        pytest.param(lambda code: code.constant(R0, 1), "b7 00 00 00 01 00 00 00", id="r0 = 1"),
        pytest.param(lambda code: code.move(R6, R1), "bf 16 00 00 00 00 00 00", id="r6 = r1"),
        pytest.param(lambda code: code.load(4, R2, R1, 36), "61 12 24 00 00 00 00 00", id="r2 = *(u32 *)(r1 + 36)"),
        pytest.param(lambda code: code.load(8, R7, R0, 0), "79 07 00 00 00 00 00 00", id="r7 = *(u64 *)(r0 + 0)"),
        pytest.param(lambda code: code.store(4, FP, -8, R2), "63 2a f8 ff 00 00 00 00", id="*(u32 *)(r10 - 8) = r2"),
        pytest.param(lambda code: code.store(8, FP, -16, R7), "7b 7a f0 ff 00 00 00 00", id="*(u64 *)(r10 - 16) = r7"),
        pytest.param(
            lambda code: code.store_constant(4, FP, -4, -65536), "62 0a fc ff 00 00 ff ff", id="*(u32 *)(r10 - 4) = imm"
        ),
        pytest.param(
            lambda code: code.address(R2, FP, -48),
            "bf a2 00 00 00 00 00 00 07 02 00 00 d0 ff ff ff",
            id="r2 = r10 - 48",
        ),
        pytest.param(lambda code: code.modulo32(R0, R1), "9c 10 00 00 00 00 00 00", id="w0 %= w1"),
        pytest.param(lambda code: code.call(107), "85 00 00 00 6b 00 00 00", id="call 107"),
        pytest.param(lambda code: code.exit(), "95 00 00 00 00 00 00 00", id="exit"),
    ],
)
def test_instructions(write: Callable[[Assembler], None], expected: str) -> None:
    code = Assembler()
    write(code)
    assert code.assemble().instructions.hex(" ") == expected


def test_jumps_count_instructions_from_the_next_one() -> None:
    code = Assembler()
    code.label("back")
    code.jump_if(R0, "==", 0, "leave")
    code.jump_if_registers(R1, "!=", R7, "back")
    code.map(R1, "m")  # two instructions wide
    code.label("leave")
    code.exit()
    words = code.assemble().instructions.hex(" ", 8).split()
    assert words[0] == "1500030000000000"
    assert words[1] == "5d71feff00000000"


def test_maps_are_put_in_by_name() -> None:
    code = Assembler()
    code.constant(R0, 0)
    code.map(R1, "first")
    code.map(R2, "second")
    linked = code.assemble().link({"first": 17, "second": 258})
    assert linked[8:].hex(" ", 8).split() == [
        "1811000011000000",
        "0000000000000000",
        "1812000002010000",
        "0000000000000000",
    ]


def test_labels_are_there_once() -> None:
    code = Assembler()
    code.label("leave")
    with pytest.raises(AssemblyError, match="'leave' stands twice"):
        code.label("leave")
    code.jump_if(R0, "==", 0, "gone")
    with pytest.raises(AssemblyError, match="no label 'gone'; there are: leave"):
        code.assemble()
