"""``log [NAMES...] [FORMAT] { class CLASSES... }``."""

from __future__ import annotations

import re
from dataclasses import dataclass

import dns.exception
import dns.name

from seamark.dns.corefile.block import Block, Line

MANY = True
CLASSES = ("all", "success", "denial", "error", "origin")
COMMON = (
    '{remote}:{port} - {>id} "{type} {class} {name} {proto} {size} {>do} {>bufsize}" '
    "{rcode} {>rflags} {rsize} {duration}"
)
COMBINED = COMMON + ' "{>opcode}"'
ORIGIN = " {origin}"
PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Config:
    names: tuple[dns.name.Name, ...] = (dns.name.root,)
    format: str = COMMON
    classes: frozenset[str] = frozenset({"all"})


def parse(block: Block) -> Config:
    args = list(block.args)
    text = COMMON
    if len(args) > 1 and "{" in args[-1].text:
        token = args.pop()
        text = token.text.replace("{common}", COMMON).replace("{combined}", COMBINED)
    names = []
    for token in args:
        try:
            names.append(dns.name.from_text(token.text))
        except dns.exception.DNSException:
            raise token.error(f"'{token.text}' is not a domain name") from None
    classes: set[str] = set()

    def read_classes(line: Line) -> None:
        for word in line.some("all, success, denial, error or origin"):
            if word.text not in CLASSES:
                raise word.error(f"'{word.text}' is not a class of answers ({', '.join(CLASSES)})")
            classes.add(word.text)

    block.read({"class": read_classes})
    if "origin" in classes and "{origin}" not in text:
        text += ORIGIN
    return Config(tuple(names) or (dns.name.root,), text, frozenset(classes - {"origin"} or {"all"}))
