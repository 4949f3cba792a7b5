"""SPDY/3.1 frames: bytes by hand, every frame both ways and in pieces, and what is refused."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamark.machinery.spdy.frames import (
    Data,
    Frame,
    FrameReader,
    FrameWriter,
    GoAway,
    MoreHeaders,
    Ping,
    RstStream,
    Settings,
    SpdyError,
    SynReply,
    SynStream,
    WindowUpdate,
)
from seamark.machinery.spdy.headers import DICTIONARY, HeaderError, Headers, parse_block, render_block

# One case, both directions: the frame, and its bytes where no header block is in it.
FRAMES: list[tuple[Frame, str]] = [
    (Data(1, b"abc"), "00000001 00000003 616263"),
    (Data(3, b"", fin=True), "00000003 01000000"),
    (Data(0x7FFFFFFF, b"x", fin=True), "7fffffff 01000001 78"),
    (RstStream(5, 1), "80030003 00000008 00000005 00000001"),
    (Settings(((7, 65536), (4, 100))), "80030004 00000014 00000002 00000007 00010000 00000004 00000064"),
    (Ping(1), "80030006 00000004 00000001"),
    (GoAway(7, 1), "80030007 00000008 00000007 00000001"),
    (WindowUpdate(0, 4096), "80030009 00000008 00000000 00001000"),
]
WITH_HEADERS: list[Frame] = [
    SynStream(1, (("streamtype", "error"),), priority=3),
    SynStream(3, (("streamtype", "data"), ("port", "80"), ("requestid", "0")), fin=True),
    SynStream(5, (), unidirectional=True, associated=1),
    SynReply(1, ()),
    SynReply(3, (("accept", "a"), ("accept", "b"), ("x", "")), fin=True),
    MoreHeaders(3, (("x", "ü"),), fin=True),
]


@pytest.mark.parametrize(("frame", "data"), FRAMES, ids=[type(f).__name__ for f, _ in FRAMES])
def test_bytes(frame: Frame, data: str) -> None:
    assert FrameWriter().render(frame) == bytes.fromhex(data)
    assert list(FrameReader().feed(bytes.fromhex(data))) == [frame]


def test_the_head_of_a_frame_with_headers() -> None:
    data = FrameWriter().render(SynStream(1, (("a", "b"),), fin=True, priority=7))
    assert data[:4].hex() == "80030001" and data[4] == 1 and int.from_bytes(data[5:8], "big") == len(data) - 8
    assert data[8:18].hex() == "00000001" + "00000000" + "e000"
    assert zlib.decompressobj(zdict=DICTIONARY).decompress(data[18:]) == render_block((("a", "b"),))


def test_the_dictionary_is_the_one_of_the_specification() -> None:
    """Its checksum stands in the first bytes of every SPDY/3 connection (FDICT, RFC 1950 §2.2)."""
    assert len(DICTIONARY) == 1423 and zlib.adler32(DICTIONARY) == 0xE3C6A7C2


@pytest.mark.parametrize("step", [1, 2, 7, 1000])
def test_in_pieces(step: int) -> None:
    """The same frames, whatever pieces they come in; data may come in pieces itself."""
    frames = [*WITH_HEADERS, *(frame for frame, _ in FRAMES), *WITH_HEADERS]
    writer, reader = FrameWriter(), FrameReader()
    stream = b"".join(writer.render(frame) for frame in frames)
    found = [f for at in range(0, len(stream), step) for f in reader.feed(stream[at : at + step])]
    assert joined(found) == joined(frames)


def joined(frames: list[Frame]) -> list[Frame]:
    result: list[Frame] = []
    for frame in frames:
        last = result[-1] if result else None
        if isinstance(frame, Data) and isinstance(last, Data) and last.stream == frame.stream and not last.fin:
            result[-1] = Data(frame.stream, last.data + frame.data, frame.fin)
        else:
            result.append(frame)
    return result


names = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=8).map(str.lower)
values = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=20)
headers = st.dictionaries(names, values, max_size=5).map(lambda d: tuple(d.items()))


@given(st.lists(headers, max_size=6))
def test_any_headers(blocks: list[Headers]) -> None:
    writer, reader = FrameWriter(), FrameReader()
    for number, block in enumerate(blocks):
        frame = SynStream(2 * number + 1, block)
        assert list(reader.feed(writer.render(frame))) == [frame]


@given(st.binary(max_size=200))
def test_rubbish_is_frames_or_an_error(data: bytes) -> None:
    try:
        list(FrameReader().feed(data))
    except SpdyError:
        pass


def test_large_data_is_never_held() -> None:
    reader = FrameReader()
    assert list(reader.feed(struct.pack(">II", 1, 0xFFFFFF))) == []
    assert list(reader.feed(b"x" * 100)) == [Data(1, b"x" * 100)]


def test_unknown_control_frames_are_skipped() -> None:
    assert list(FrameReader().feed(bytes.fromhex("8003000b 00000002 0000") + FrameWriter().render(Ping(1)))) == [
        Ping(1)
    ]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("80020006 00000004 00000001", "version 2"),
        ("80030001 00ffffff", "more than 65536"),
        ("80030006 00000003 000001", "type 6"),
        ("80030009 00000004 00000001", "type 9"),
        ("80030004 00000008 00000002 00000007", "type 4"),
        ("80030001 00000004 00000001", "type 1"),
        ("80030002 0000000a 00000001 00000000 0000", "header block"),
    ],
)
def test_refused(data: str, text: str) -> None:
    with pytest.raises(SpdyError, match=text):
        list(FrameReader().feed(bytes.fromhex(data)))


def test_a_header_bomb_is_refused() -> None:
    bomb = FrameWriter().render(SynStream(1, (("x", "y" * 1_000_000),)))
    assert len(bomb) < 8000
    with pytest.raises(SpdyError, match="more than 65536"):
        list(FrameReader().feed(bomb))


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"\0\0\0\1",
        b"\0\0\0\0x",
        b"\0\0\0\1\0\0\0\1a\0\0\0\5b",
        b"\0\0\0\1\0\0\0\0\0\0\0\1b",
        b"\0\0\0\1\0\0\0\1A\0\0\0\1b",
        b"\0\0\0\2" + b"\0\0\0\1a\0\0\0\1b" * 2,
        b"\xff\xff\xff\xff\0\0\0\0",
    ],
)
def test_wrong_blocks(block: bytes) -> None:
    with pytest.raises(HeaderError):
        parse_block(block)
