"""``hosts [FILE [ZONES...]] { inline entries; ttl; no_reverse; reload; fallthrough; fallthrough_unsupported }``."""

from __future__ import annotations

from dataclasses import dataclass

from seamark.dns.corefile.block import Block, Line, duration, integer
from seamark.dns.corefile.keys import parse_zones
from seamark.dns.plugins.hosts.entries import check_entry

PATH = "/etc/hosts"
TTL = 3600
RELOAD = 5.0


@dataclass(frozen=True, slots=True)
class Config:
    """``fallthrough`` None = off; ``reload`` 0 = the file is read once."""

    path: str = PATH
    zones: tuple[str, ...] = (".",)
    inline: tuple[str, ...] = ()
    ttl: int = TTL
    reverse: bool = True
    reload: float = RELOAD
    fallthrough: tuple[str, ...] | None = None
    fallthrough_unsupported: bool = False


class _Reader:
    """The properties; whatever is none of them is an inline entry, as long as fallthrough has not been given."""

    def __init__(self) -> None:
        self.inline: list[str] = []
        self.ttl = TTL
        self.reverse = True
        self.reload = RELOAD
        self.fallthrough: tuple[str, ...] | None = None
        self.fallthrough_unsupported: Line | None = None

    def read(self, line: Line) -> None:
        name = line.name.text
        if name == "ttl":
            self.ttl = integer(line.one("seconds"), least=1, most=65535)
        elif name == "no_reverse":
            line.none()
            self.reverse = False
        elif name == "reload":
            self.reload = duration(line.one("a duration"))
        elif name == "fallthrough":
            self.fallthrough = parse_zones(line.args, (".",))
        elif name == "fallthrough_unsupported":
            line.none()
            self.fallthrough_unsupported = line
        else:
            self.entry(line)

    def entry(self, line: Line) -> None:
        if self.fallthrough is not None:
            raise line.name.error(f"'hosts' has no property '{line.name.text}', and entries come before fallthrough")
        problem = check_entry([word.text for word in line.words])
        if problem:
            raise line.name.error(f"hosts: {problem}")
        self.inline.append(" ".join(word.text for word in line.words))


def parse(block: Block) -> Config:
    reader = _Reader()
    for line in block.lines:
        reader.read(line)
    if reader.fallthrough_unsupported is not None and reader.fallthrough is None:
        raise reader.fallthrough_unsupported.name.error("'fallthrough_unsupported' needs 'fallthrough'")
    return Config(
        path=block.args[0].text if block.args else PATH,
        zones=parse_zones(block.args[1:], block.zones or (".",)),
        inline=tuple(reader.inline),
        ttl=reader.ttl,
        reverse=reader.reverse,
        reload=reader.reload,
        fallthrough=reader.fallthrough,
        fallthrough_unsupported=reader.fallthrough_unsupported is not None,
    )
