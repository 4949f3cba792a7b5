"""``dnstap SOCKET [full] [WRITEBUFFER] [QUEUE] { identity NAME; version TEXT; extra TEXT; skipverify }``."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from seamark.dns.corefile.block import Block, Line, integer
from seamark.dns.corefile.lexer import Token

QUEUE = 10000
MANY = True


@dataclass(frozen=True, slots=True)
class Config:
    """``path`` is a Unix socket's, else ``host`` and ``port`` are a TCP sink's. ``queue`` frames wait at most, and
    ``buffer`` MiB go to the socket at once.
    """

    path: str = ""
    host: str = ""
    port: int = 0
    secure: bool = False
    verify: bool = True
    full: bool = False
    buffer: int = 1
    queue: int = QUEUE
    identity: str | None = None
    version: str | None = None
    extra: str = ""

    @property
    def where(self) -> str:
        return self.path or f"{self.host}:{self.port}"


class _Reader:
    def __init__(self) -> None:
        self.identity: str | None = None
        self.version: str | None = None
        self.extra = ""
        self.verify = True

    def read_identity(self, line: Line) -> None:
        self.identity = line.one("a name").text

    def read_version(self, line: Line) -> None:
        self.version = line.one("a version").text

    def read_extra(self, line: Line) -> None:
        self.extra = line.one("a text").text

    def read_skipverify(self, line: Line) -> None:
        line.none()
        self.verify = False


def parse(block: Block) -> Config:
    socket, *words = block.between(1, 4, "a socket, full, a buffer's size and a queue's")
    if socket.text == "listen":
        raise socket.error("'listen' is not supported: the sink listens, and the server connects to it")
    path, host, port, secure = _where(socket)
    full = bool(words) and words[0].text == "full"
    if words and not full:
        raise words[0].error(f"'{words[0].text}': only 'full' may follow the socket, and numbers behind it")
    numbers = [integer(word, least=1, most=most) for word, most in zip(words[1:], (1024, 4096), strict=False)]
    reader = _Reader()
    block.read(
        {
            "identity": reader.read_identity,
            "version": reader.read_version,
            "extra": reader.read_extra,
            "skipverify": reader.read_skipverify,
        },
        {"tls": "it belongs to 'listen', which is not supported"},
    )
    return Config(
        path=path,
        host=host,
        port=port,
        secure=secure,
        verify=reader.verify,
        full=full,
        buffer=numbers[0] if numbers else 1,
        queue=QUEUE * (numbers[1] if len(numbers) > 1 else 1),
        identity=reader.identity,
        version=reader.version,
        extra=reader.extra,
    )


def _where(token: Token) -> tuple[str, str, int, bool]:
    """Path, host, port, and whether by TLS."""
    url = urlsplit(token.text)
    if url.scheme in ("tcp", "tls"):
        try:
            if url.hostname and url.port:
                return "", url.hostname, url.port, url.scheme == "tls"
        except ValueError:
            pass
        raise token.error(f"'{token.text}' is not a host and a port, such as tcp://192.0.2.1:6000")
    path = token.text.removeprefix("unix://")
    if "://" in path or not path:
        raise token.error(f"'{token.text}' is neither a path nor unix://, tcp:// or tls://")
    return path, "", 0, False
