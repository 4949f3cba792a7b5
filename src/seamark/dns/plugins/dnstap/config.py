"""``dnstap [listen] SOCKET [full] [WRITEBUFFER] [QUEUE] { identity NAME; version TEXT; extra TEXT; … }``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from seamark.dns.corefile.block import Block, Line, integer
from seamark.dns.corefile.lexer import Token

QUEUE = 10000
MANY = True


@dataclass(frozen=True, slots=True)
class Config:
    """``path`` is a Unix socket's, else ``host`` and ``port`` are of TCP. ``queue`` frames wait at most, and ``buffer``
    MiB go to the socket at once. ``listens``: sinks connect, and show a certificate of ``authority`` where it is given.
    """

    path: str = ""
    host: str = ""
    port: int = 0
    secure: bool = False
    listens: bool = False
    full: bool = False
    buffer: int = 1
    queue: int = QUEUE
    verify: bool = True
    identity: str | None = None
    version: str | None = None
    extra: str = ""
    certificate: Token | None = None
    key: Token | None = None
    authority: Token | None = None

    @property
    def where(self) -> str:
        return self.path or f"{self.host}:{self.port}"


@dataclass(slots=True)
class _Reader:
    """The properties, as Config's fields."""

    found: dict[str, Any] = field(default_factory=dict)

    def read_identity(self, line: Line) -> None:
        self.found["identity"] = line.one("a name").text

    def read_version(self, line: Line) -> None:
        self.found["version"] = line.one("a version").text

    def read_extra(self, line: Line) -> None:
        self.found["extra"] = line.one("a text").text

    def read_skipverify(self, line: Line) -> None:
        line.none()
        self.found["verify"] = False

    def read_tls(self, line: Line) -> None:
        words = line.between(2, 3, "the files of a certificate, its key, and an authority")
        self.found |= dict(zip(("certificate", "key", "authority"), words, strict=False))


def parse(block: Block) -> Config:
    words = block.between(1, 4, "a socket, full, a buffer's size and a queue's")
    listens = words[0].text == "listen"
    if listens:
        words = block.between(2, 3, "listen, a socket, and full")[1:]
    socket, *more = words
    path, host, port, secure = _where(socket, listens=listens)
    reader = _Reader()
    block.read(
        {
            "identity": reader.read_identity,
            "version": reader.read_version,
            "extra": reader.read_extra,
            "skipverify": reader.read_skipverify,
            "tls": reader.read_tls,
        }
    )
    _check_tls(socket, reader.found.get("certificate"), secure=secure, listens=listens)
    return Config(path, host, port, secure, listens, **_amounts(more), **reader.found)


def _amounts(words: Sequence[Token]) -> dict[str, Any]:
    if words and words[0].text != "full":
        raise words[0].error(f"'{words[0].text}': only 'full' may follow the socket, and numbers behind it")
    numbers = [integer(word, least=1, most=most) for word, most in zip(words[1:], (1024, 4096), strict=False)]
    buffer, queue = (*numbers, *(1, 1)[len(numbers) :])
    return {"full": bool(words), "buffer": buffer, "queue": QUEUE * queue}


def _check_tls(socket: Token, certificate: Token | None, *, secure: bool, listens: bool) -> None:
    """CoreDNS takes what is amiss here and does nothing."""
    if certificate is not None and not listens:
        raise certificate.error("'tls' is for 'dnstap listen'; a sink's certificate is checked without it")
    if certificate is not None and not secure:
        raise certificate.error(f"'tls' does nothing for '{socket.text}'; write tls://HOST:PORT")
    if certificate is None and secure and listens:
        raise socket.error(f"'dnstap listen {socket.text}' needs 'tls' with the files of a certificate and its key")


def _where(token: Token, *, listens: bool) -> tuple[str, str, int, bool]:
    """Path, host, port, and whether by TLS. A listener's host may be left out: all addresses."""
    url = urlsplit(token.text)
    if url.scheme in ("tcp", "tls"):
        try:
            if url.port and (url.hostname or listens):
                return "", url.hostname or "", url.port, url.scheme == "tls"
        except ValueError:
            pass
        raise token.error(f"'{token.text}' is not a host and a port, such as tcp://192.0.2.1:6000")
    path = token.text.removeprefix("unix://")
    if "://" in path or not path:
        raise token.error(f"'{token.text}' is neither a path nor unix://, tcp:// or tls://")
    return path, "", 0, False
