"""``auto [ZONES...] { directory DIR [REGEXP ORIGIN_TEMPLATE]; reload DURATION; fallthrough [ZONES...] }``."""

from __future__ import annotations

import re
from dataclasses import dataclass

from seamark.dns.corefile.block import Block, Line, duration
from seamark.dns.corefile.keys import parse_zones
from seamark.dns.corefile.lexer import Token
from seamark.dns.patterns import compile_go

RELOAD = 60.0
PATTERN = re.compile(r"db\.(.*)")
TEMPLATE = "{1}"
LONGEST = 10000


@dataclass(frozen=True, slots=True)
class Config:
    """``reload`` in seconds, 0 = the folder is looked at once."""

    zones: tuple[str, ...]
    directory: Token
    pattern: re.Pattern[str] = PATTERN
    template: str = TEMPLATE
    reload: float = RELOAD
    fallthrough: tuple[str, ...] | None = None

    def origin_of(self, file: str) -> str:
        """The zone in a file of that name, lower-case and absolute; empty where the name is not one of a zone."""
        match = self.pattern.search(file)
        if match is None:
            return ""
        found = re.sub(r"\{(\d+)\}", lambda number: match[int(number[1])] or "", self.template)
        return found.rstrip(".").lower() + "." if found else ""


class _Reader:
    def __init__(self) -> None:
        self.directory: Token | None = None
        self.pattern = PATTERN
        self.template = TEMPLATE
        self.reload = RELOAD
        self.fallthrough: tuple[str, ...] | None = None

    def read_directory(self, line: Line) -> None:
        self.directory, *rest = line.between(1, 3, "a folder, and how its files are called")
        if not rest:
            return
        if len(rest) == 1:
            raise rest[0].error(f"'{rest[0].text}': a template of the zone's name has to follow, such as {{1}}")
        words, template = rest
        try:
            self.pattern = compile_go(words.text[: LONGEST + 1])
        except ValueError as error:
            raise words.error(str(error)) from None
        if len(words.text) > LONGEST:
            raise words.error(f"the regular expression is longer than {LONGEST} characters")
        if not self.pattern.groups:
            raise words.error(f"'{words.text}': need at least one sub expression, such as ^(.*)\\.zone$")
        for number in re.findall(r"\{(\d+)\}", template.text):
            if int(number) > self.pattern.groups:
                raise template.error(f"'{template.text}': '{words.text}' has no group {number}")
        self.template = template.text

    def read_reload(self, line: Line) -> None:
        self.reload = duration(line.one("a duration"))

    def read_fallthrough(self, line: Line) -> None:
        self.fallthrough = parse_zones(line.args, (".",))


def parse(block: Block) -> Config:
    reader = _Reader()
    block.read(
        {"directory": reader.read_directory, "reload": reader.read_reload, "fallthrough": reader.read_fallthrough},
        {"upstream": "aliases are always followed", "transfer": "CoreDNS moved it into the plugin transfer"},
    )
    if reader.directory is None:
        raise block.name.error("'auto' needs 'directory' with the folder of the zone files")
    return Config(
        parse_zones(block.args, block.zones),
        reader.directory,
        pattern=reader.pattern,
        template=reader.template,
        reload=reader.reload,
        fallthrough=reader.fallthrough,
    )
