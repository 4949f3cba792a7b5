"""A SPDY connection: client against server in memory, and a server against a peer that breaks the rules."""

from __future__ import annotations

import pytest

from seamark.machinery.spdy import frames
from seamark.machinery.spdy.connection import (
    INITIAL_WINDOW,
    MAX_STREAMS,
    Connection,
    DataReceived,
    Event,
    GoneAway,
    StreamEnded,
    StreamOpened,
    StreamReplied,
    StreamReset,
    WindowOpened,
)
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


class Pair:
    """Both ends, joined; ``step`` bytes travel at once."""

    def __init__(self, *, strict: bool = True, step: int = 1 << 20) -> None:
        self.client = Connection(server=False, strict_windows=strict)
        self.server = Connection(server=True, strict_windows=strict)
        self.step = step

    def to_server(self) -> list[Event]:
        return self._carry(self.client, self.server)

    def to_client(self) -> list[Event]:
        return self._carry(self.server, self.client)

    def _carry(self, sender: Connection, receiver: Connection) -> list[Event]:
        data = sender.take()
        return [e for at in range(0, len(data), self.step) for e in receiver.receive(data[at : at + self.step])]


def told(events: list[Event]) -> list[Event]:
    """With the pieces of data joined."""
    result: list[Event] = []
    for event in events:
        if isinstance(event, DataReceived) and result and isinstance(result[-1], DataReceived):
            result[-1] = DataReceived(event.stream, result[-1].data + event.data)
        else:
            result.append(event)
    return result


@pytest.mark.parametrize("step", [1, 3, 1 << 20])
def test_a_stream_from_end_to_end(step: int) -> None:
    pair = Pair(step=step)
    number = pair.client.open((("streamtype", "data"),))
    assert pair.to_server() == [StreamOpened(1, (("streamtype", "data"),))]
    pair.server.reply(number)
    pair.server.send(number, b"hello")
    assert told(pair.to_client()) == [StreamReplied(1, ()), DataReceived(1, b"hello")]
    pair.client.send(number, b"bye", fin=True)
    assert told(pair.to_server()) == [DataReceived(1, b"bye"), StreamEnded(1)]
    assert pair.server.is_open(1) and not pair.client.is_open(1)
    pair.server.send(number, b"", fin=True)
    assert pair.to_client() == [StreamEnded(1)]
    assert not pair.server.is_open(1)
    assert pair.client.open(()) == 3


def test_reset_and_going_away() -> None:
    pair = Pair()
    first, second = pair.client.open(()), pair.client.open(())
    pair.to_server()
    pair.server.reset(first)
    assert pair.to_client() == [StreamReset(first, frames.CANCEL)]
    pair.client.send(second, b"x")
    pair.server.go_away()
    assert pair.to_client() == [GoneAway(3)]
    assert pair.to_server() == [DataReceived(second, b"x")]
    with pytest.raises(SpdyError, match="goes away"):
        pair.client.open(())


def test_a_stalled_window_opens_when_the_reader_has_read() -> None:
    pair = Pair()
    one, other = pair.client.open(()), pair.client.open(())
    assert pair.client.sendable(one) == INITIAL_WINDOW
    pair.client.send(one, b"x" * INITIAL_WINDOW)
    assert pair.client.sendable(one) == 0 == pair.client.sendable(other)  # the connection's window is used up too
    with pytest.raises(SpdyError, match="more than its window"):
        pair.client.send(one, b"x")
    pair.to_server()
    half = INITIAL_WINDOW // 2
    pair.server.consumed(one, half - 1)
    assert pair.to_client() == []  # given back in portions
    pair.server.consumed(one, 1)
    assert pair.to_client() == [WindowOpened(), WindowOpened()]
    assert pair.client.sendable(one) == half == pair.client.sendable(other)
    pair.client.send(one, b"y" * half)
    assert told(pair.to_server()) == [DataReceived(one, b"y" * half)]


def test_windows_are_obeyed_once_the_peer_shows_that_it_has_them() -> None:
    """Kubernetes' own library has none: nothing may ever wait for a WINDOW_UPDATE of its."""
    server = Connection(server=True, strict_windows=False)
    peer = FrameWriter()
    server.receive(peer.render(SynStream(1, ())))
    server.send(1, b"x" * 1_000_000)
    assert server.sendable(1) > 1_000_000
    assert server.receive(peer.render(WindowUpdate(1, 950_000)) + peer.render(WindowUpdate(0, 950_000)))
    assert server.sendable(1) == 950_000 - 1_000_000 + INITIAL_WINDOW


def test_settings_move_the_windows_of_open_streams() -> None:
    server = Connection(server=True, strict_windows=True)
    peer = FrameWriter()
    server.receive(peer.render(SynStream(1, ())))
    server.send(1, b"x" * 100)
    server.receive(peer.render(Settings(((frames.INITIAL_WINDOW_SIZE, 50), (4, 10)))))
    assert server.sendable(1) == 0
    server.receive(peer.render(SynStream(3, ())))
    assert server.sendable(3) == 50
    server.receive(peer.render(WindowUpdate(1, 60)))
    assert server.sendable(1) == 10


def test_pings_are_answered_and_our_own_come_back() -> None:
    pair = Pair()
    pair.client.ping(1)
    assert pair.to_server() == [] and pair.to_client() == []
    assert pair.client.take() == b""


OPEN = SynStream(1, ())


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        pytest.param([Data(1, b"x")], RstStream(1, frames.INVALID_STREAM), id="data-on-no-stream"),
        pytest.param([SynReply(2, ())], RstStream(2, frames.INVALID_STREAM), id="reply-to-no-stream"),
        pytest.param([MoreHeaders(9, ())], RstStream(9, frames.INVALID_STREAM), id="headers-on-no-stream"),
        pytest.param([OPEN, OPEN], RstStream(1, frames.PROTOCOL_ERROR), id="opened-twice"),
        pytest.param([OPEN, SynReply(1, ())], RstStream(1, frames.PROTOCOL_ERROR), id="reply-to-itself"),
        pytest.param([SynStream(1, (), fin=True), Data(1, b"x")], RstStream(1, 9), id="data-after-fin"),
        pytest.param([OPEN, Data(1, b"", fin=True), Data(1, b"", fin=True)], RstStream(1, 9), id="fin-twice"),
        pytest.param([OPEN, WindowUpdate(1, 0)], RstStream(1, frames.FLOW_CONTROL_ERROR), id="empty-update"),
        pytest.param([OPEN, WindowUpdate(1, 0x7FFFFFFF)], RstStream(1, frames.FLOW_CONTROL_ERROR), id="overflow"),
    ],
)
def test_what_breaks_one_stream(sent: list[Frame], answer: RstStream) -> None:
    server, peer = Connection(server=True, strict_windows=True), FrameWriter()
    for frame in sent:
        server.receive(peer.render(frame))
    assert [f for f in FrameReader().feed(server.take()) if not isinstance(f, WindowUpdate)] == [answer]
    assert not server.is_open(answer.stream)
    opened = server.receive(peer.render(SynStream(11, ())))
    assert opened == [StreamOpened(11, ())]


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param([SynStream(2, ())], id="our-number"),
        pytest.param([SynStream(0, ())], id="zero"),
        pytest.param([SynStream(5, (), fin=True), RstStream(5, 5), SynStream(3, ())], id="number-goes-back"),
        pytest.param([Data(0, b"x")], id="data-on-zero"),
        pytest.param([WindowUpdate(0, 0x7FFFFFFF)], id="overflow"),
        pytest.param([OPEN, Data(1, b"x" * (INITIAL_WINDOW + 1))], id="over-the-window"),
        pytest.param([Settings(((7, 0x80000000),))], id="initial-window"),
    ],
)
def test_what_breaks_the_connection(sent: list[Frame]) -> None:
    server, peer = Connection(server=True, strict_windows=True), FrameWriter()
    with pytest.raises(SpdyError):
        for frame in sent:
            server.receive(peer.render(frame))
    assert isinstance(list(FrameReader().feed(server.take()))[-1], GoAway)


def test_data_that_crosses_a_reset_is_dropped_and_given_back() -> None:
    pair = Pair()
    number = pair.client.open(())
    pair.to_server()
    pair.server.reset(number)
    pair.client.send(number, b"x" * INITIAL_WINDOW)
    assert pair.to_server() == []
    assert pair.to_client() == [StreamReset(number, frames.CANCEL), WindowOpened()]


def test_too_many_streams_are_refused() -> None:
    server, peer = Connection(server=True, strict_windows=True), FrameWriter()
    for number in range(MAX_STREAMS + 1):
        server.receive(peer.render(SynStream(2 * number + 1, ())))
    assert list(FrameReader().feed(server.take())) == [RstStream(2 * MAX_STREAMS + 1, frames.REFUSED_STREAM)]


def test_nothing_is_answered_to_a_ping_of_ours() -> None:
    server = Connection(server=True, strict_windows=True)
    server.receive(FrameWriter().render(Ping(2)))
    assert server.take() == b""
    server.receive(FrameWriter().render(Ping(3)))
    assert list(FrameReader().feed(server.take())) == [Ping(3)]
