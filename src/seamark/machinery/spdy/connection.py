"""The state of one SPDY/3.1 connection: which streams are open, who may still send, and how much (§2.3, §2.6.8).

``receive`` takes what came and gives events; ``take`` gives what is to be sent. Rules:

* A peer that breaks one stream gets RST_STREAM for it; one that breaks the connection gets GOAWAY and SpdyError.
* What the reader has used is reported by ``consumed``, and the peer gets a WINDOW_UPDATE for it.
* Windows of the peer are obeyed from the first byte (``strict_windows``), or only once it has shown that it uses them.
  The latter is Kubernetes' dialect: its SPDY library sends no WINDOW_UPDATE and checks no window, so that obeying the
  initial 64 KiB would stop every longer output for ever; such a peer is held back by TCP alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from seamark.machinery.spdy import frames
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
from seamark.machinery.spdy.headers import Headers

INITIAL_WINDOW = 64 << 10
MAX_WINDOW = 0x7FFFFFFF
MAX_STREAMS = 512
_UNLIMITED = 1 << 62


@dataclass(frozen=True, slots=True)
class StreamOpened:
    stream: int
    headers: Headers


@dataclass(frozen=True, slots=True)
class StreamReplied:
    stream: int
    headers: Headers


@dataclass(frozen=True, slots=True)
class DataReceived:
    """Report it by ``consumed`` once it is used."""

    stream: int
    data: bytes


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """The peer sends no more on it."""

    stream: int


@dataclass(frozen=True, slots=True)
class StreamReset:
    """Neither side sends any more on it."""

    stream: int
    status: int


@dataclass(frozen=True, slots=True)
class WindowOpened:
    """Some stream may send more."""


@dataclass(frozen=True, slots=True)
class GoneAway:
    """The peer opens no more streams and takes none above ``last_good``."""

    last_good: int


Event = StreamOpened | StreamReplied | DataReceived | StreamEnded | StreamReset | WindowOpened | GoneAway


@dataclass(slots=True)
class _Stream:
    ours_open: bool = True
    theirs_open: bool = True
    replied: bool = False
    send_window: int = INITIAL_WINDOW
    receive_window: int = INITIAL_WINDOW
    used: int = 0  # bytes consumed and not yet given back


class Connection:
    """One end. The server's opens no streams; the client's is there for tests and tools."""

    def __init__(self, *, server: bool, strict_windows: bool) -> None:
        self._server = server
        self._strict = strict_windows
        self._windows_used = strict_windows
        self._reader = FrameReader()
        self._writer = FrameWriter()
        self._out = bytearray()
        self._streams: dict[int, _Stream] = {}
        self._next = 2 if server else 1
        self._last_theirs = 0
        self._going = False
        self._initial_window = INITIAL_WINDOW
        self._session = _Stream()  # its windows alone count

    # -- what came -----------------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> list[Event]:
        """Raises SpdyError: send what ``take`` gives and close."""
        events: list[Event] = []
        try:
            for frame in self._reader.feed(data):
                events += self._handle(frame)
        except SpdyError:
            self._send(GoAway(self._last_theirs, frames.GOAWAY_PROTOCOL_ERROR))
            raise
        return events

    def take(self) -> bytes:
        data = bytes(self._out)
        self._out.clear()
        return data

    def _handle(self, frame: Frame) -> list[Event]:
        match frame:
            case Data():
                return self._data(frame)
            case SynStream():
                return self._syn_stream(frame)
            case SynReply():
                return self._syn_reply(frame)
            case MoreHeaders():
                return self._more_headers(frame)
            case RstStream(number, status):
                return [StreamReset(number, status)] if self._streams.pop(number, None) else []
            case Settings(values):
                return self._settings(values)
            case Ping(number):
                if number % 2 == (1 if self._server else 0):  # theirs: ours would come back to us
                    self._send(frame)
                return []
            case GoAway(last_good):
                self._going = True
                return [GoneAway(last_good)]
            case WindowUpdate():
                return self._window_update(frame)

    def _syn_stream(self, frame: SynStream) -> list[Event]:
        number = frame.stream
        if number == 0 or number % 2 != (1 if self._server else 0):
            raise SpdyError(f"stream {number}: not a number that this peer may open")
        if number in self._streams:
            return self._break(number, frames.PROTOCOL_ERROR)
        if number <= self._last_theirs:
            raise SpdyError(f"stream {number}: opened after stream {self._last_theirs}")
        self._last_theirs = number
        if self._going:
            return []
        if len(self._streams) >= MAX_STREAMS:
            self._send(RstStream(number, frames.REFUSED_STREAM))
            return []
        self._streams[number] = _Stream(ours_open=not frame.unidirectional, send_window=self._initial_window)
        opened = StreamOpened(number, frame.headers)
        return [opened, *self._end_theirs(number)] if frame.fin else [opened]

    def _syn_reply(self, frame: SynReply) -> list[Event]:
        stream = self._streams.get(frame.stream)
        if stream is None:
            return self._unknown(frame.stream)
        if frame.stream % 2 == (1 if self._server else 0):
            return self._break(frame.stream, frames.PROTOCOL_ERROR)
        if stream.replied:
            return self._break(frame.stream, frames.STREAM_IN_USE)
        stream.replied = True
        replied = StreamReplied(frame.stream, frame.headers)
        return [replied, *self._end_theirs(frame.stream)] if frame.fin else [replied]

    def _more_headers(self, frame: MoreHeaders) -> list[Event]:
        """Nothing here depends on later headers; their end of stream counts."""
        if frame.stream not in self._streams:
            return self._unknown(frame.stream)
        return self._end_theirs(frame.stream) if frame.fin else []

    def _data(self, frame: Data) -> list[Event]:
        number, size = frame.stream, len(frame.data)
        stream = self._streams.get(number)
        self._session.receive_window -= size
        if self._strict and self._session.receive_window < 0:
            raise SpdyError("more data than the connection's window")
        if stream is None or not stream.theirs_open:
            self._give_back(self._session, 0, size)
            return self._unknown(number) if stream is None else self._break(number, frames.STREAM_ALREADY_CLOSED)
        stream.receive_window -= size
        if self._strict and stream.receive_window < 0:
            self._give_back(self._session, 0, size)
            return self._break(number, frames.FLOW_CONTROL_ERROR)
        events: list[Event] = [DataReceived(number, frame.data)] if size else []
        return events + self._end_theirs(number) if frame.fin else events

    def _unknown(self, number: int) -> list[Event]:
        """Frames of a stream that has just ended cross its end on the way; one that never was is a fault."""
        ours = number % 2 == (0 if self._server else 1)
        if number == 0:
            raise SpdyError("stream 0 carries nothing")
        if number >= self._next if ours else number > self._last_theirs:
            self._send(RstStream(number, frames.INVALID_STREAM))
        return []

    def _break(self, number: int, status: int) -> list[Event]:
        self._send(RstStream(number, status))
        del self._streams[number]
        return [StreamReset(number, status)]

    def _end_theirs(self, number: int) -> list[Event]:
        stream = self._streams[number]
        if not stream.theirs_open:
            return self._break(number, frames.STREAM_ALREADY_CLOSED)
        stream.theirs_open = False
        self._forget_if_over(number)
        return [StreamEnded(number)]

    def _forget_if_over(self, number: int) -> None:
        stream = self._streams[number]
        if not stream.ours_open and not stream.theirs_open:
            del self._streams[number]

    # -- windows -------------------------------------------------------------------------------------------------

    def _settings(self, values: tuple[tuple[int, int], ...]) -> list[Event]:
        for number, value in values:
            if number != frames.INITIAL_WINDOW_SIZE:
                continue
            if value > MAX_WINDOW:
                raise SpdyError(f"SETTINGS: initial window of {value} bytes")
            self._windows_used = True
            for stream in self._streams.values():
                stream.send_window += value - self._initial_window
            self._initial_window = value
        return [WindowOpened()]

    def _window_update(self, frame: WindowUpdate) -> list[Event]:
        if not self._windows_used:
            # It obeys windows after all. What was sent before counts, as it does on its side.
            self._windows_used = True
        number = frame.stream
        stream = self._session if number == 0 else self._streams.get(number)
        if stream is None:
            return []  # it has ended meanwhile
        if frame.delta == 0 or stream.send_window + frame.delta > MAX_WINDOW:
            if number == 0:
                raise SpdyError("WINDOW_UPDATE of the connection: out of range")
            return self._break(number, frames.FLOW_CONTROL_ERROR)
        stream.send_window += frame.delta
        return [WindowOpened()]

    def consumed(self, number: int, size: int) -> None:
        """``size`` bytes of the stream were used: the peer may send as much again."""
        self._give_back(self._session, 0, size)
        stream = self._streams.get(number)
        if stream is not None and stream.theirs_open:
            self._give_back(stream, number, size)

    def _give_back(self, stream: _Stream, number: int, size: int) -> None:
        """In large portions: a frame for every few bytes would cost more than it brings."""
        stream.used += size
        if stream.used >= INITIAL_WINDOW // 2:
            stream.receive_window += stream.used
            self._send(WindowUpdate(number, stream.used))
            stream.used = 0

    def sendable(self, number: int) -> int:
        """How many bytes may be sent on the stream now; WindowOpened tells when to ask again."""
        stream = self._streams.get(number)
        if stream is None or not stream.ours_open:
            return 0
        if not self._windows_used:
            return _UNLIMITED
        return max(0, min(stream.send_window, self._session.send_window))

    # -- what is sent --------------------------------------------------------------------------------------------

    def open(self, headers: Headers, *, fin: bool = False) -> int:
        """A new stream of ours. Raises SpdyError after a GOAWAY."""
        if self._going:
            raise SpdyError("the peer goes away: no new stream")
        number = self._next
        self._next += 2
        self._streams[number] = _Stream(ours_open=not fin, send_window=self._initial_window)
        self._send(SynStream(number, headers, fin))
        return number

    def is_open(self, number: int) -> bool:
        """Whether we may still send on it."""
        stream = self._streams.get(number)
        return stream is not None and stream.ours_open

    def reply(self, number: int, headers: Headers = ()) -> None:
        """Takes a stream that the peer opened. Must come before any data on it."""
        if number in self._streams:
            self._streams[number].replied = True
            self._send(SynReply(number, headers))

    def send(self, number: int, data: bytes, *, fin: bool = False) -> None:
        """At most ``sendable`` bytes. Raises SpdyError for more, or when the stream is closed on our side."""
        stream = self._streams.get(number)
        if stream is None or not stream.ours_open:
            raise SpdyError(f"stream {number}: closed")
        if len(data) > self.sendable(number):
            raise SpdyError(f"stream {number}: {len(data)} bytes are more than its window")
        stream.send_window -= len(data)
        self._session.send_window -= len(data)
        self._send(Data(number, data, fin))
        if fin:
            stream.ours_open = False
            self._forget_if_over(number)

    def reset(self, number: int, status: int = frames.CANCEL) -> None:
        """Ends the stream in both directions, if it has not ended."""
        if self._streams.pop(number, None):
            self._send(RstStream(number, status))

    def ping(self, number: int) -> None:
        self._send(Ping(number))

    def go_away(self) -> None:
        """No new streams from here on; those that are open go on."""
        self._going = True
        self._send(GoAway(self._last_theirs, frames.GOAWAY_OK))

    def _send(self, frame: Frame) -> None:
        self._out += self._writer.render(frame)
