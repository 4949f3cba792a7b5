"""The cases as they stand in ``cases/*.yaml``, and the judge of what a step printed. Pure but for reading the files.

A case has a ``name`` (the row of the page), ``steps``, and maybe ``given`` (names of objects in given.yaml), ``node``
(it needs pods that run) and ``from`` with ``why`` (the first minor version of kubectl that has the command).

A step has one of ``run`` (arguments of the program under test), ``kubectl`` (arguments of a recent kubectl), ``get``
(an address to fetch) or ``while`` (as ``run``, for one that stays; ``do`` are the steps to take when it has printed
``ready``), and what is expected: ``code``; ``out``, the whole of standard output; ``has``, ``err`` and ``not``:
expressions for the output, standard error, and what must not be in the output. ``within``: seconds to try it again.
``from`` and ``until`` leave it out for other minor versions.

``stdin`` is text, an object, or a list of objects. ``$ns``, ``$id``, ``$port``, ``$dir`` stand for the case's
namespace, a word of its own, a free port, and a directory.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from string import Template
from typing import Any

import msgspec
import yaml

HERE = Path(__file__).parent
NEWEST = 999


class Step(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"while_": "while", "from_": "from", "not_": "not"}
):
    run: str = ""
    kubectl: str = ""
    get: str = ""
    while_: str = ""
    ready: str = ""
    do: tuple[Step, ...] = ()
    stdin: Any = ""
    code: int = 0
    out: str | None = None
    has: tuple[str, ...] = ()
    err: tuple[str, ...] = ()
    not_: tuple[str, ...] = ()
    within: float = 0
    from_: int = 0
    until: int = NEWEST

    def input(self, words: dict[str, str]) -> bytes:
        """Objects as JSON documents, which every version reads alike."""
        documents = self.stdin if isinstance(self.stdin, list) else [self.stdin]
        texts = [text if isinstance(text, str) else json.dumps(text) for text in documents]
        return fill("\n".join(texts), words).encode()

    def is_for(self, minor: int) -> bool:
        return self.from_ <= minor <= self.until


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"from_": "from"}):
    name: str
    steps: tuple[Step, ...]
    given: tuple[str, ...] = ()
    node: bool = False
    from_: int = 0
    until: int = NEWEST
    why: str = ""

    def skipped(self, minor: int) -> str:
        """Why this version cannot be asked; empty when it can."""
        return "" if self.from_ <= minor <= self.until else self.why


class Output(msgspec.Struct, frozen=True):
    code: int
    out: str
    err: str = ""


def read_cases(*files: Path) -> tuple[Case, ...]:
    """Those of kubectl, where no files are given."""
    found: list[Case] = []
    for path in files or sorted((HERE / "cases").glob("*.yaml")):
        found += msgspec.convert(yaml.safe_load(path.read_text()), list[Case])
    names = [case.name for case in found]
    twice = {name for name in names if names.count(name) > 1}
    unexplained = [case.name for case in found if (case.from_ or case.until < NEWEST) and not case.why]
    if twice or unexplained:
        raise ValueError(f"cases: named twice: {sorted(twice)}; left out without a why: {unexplained}")
    return tuple(found)


def read_given() -> dict[str, list[dict[str, Any]]]:
    """Name -> objects."""
    return dict(yaml.safe_load((HERE / "given.yaml").read_text()))


def fill(text: str, words: dict[str, str]) -> str:
    return Template(text).safe_substitute(words)


def judge(step: Step, output: Output, words: dict[str, str]) -> str:
    """What is wrong with the output; empty when nothing is."""
    if output.code != step.code:
        return f"exit {output.code}: {output.err.strip() or output.out.strip()}"
    if step.out is not None and output.out.strip() != fill(step.out, words).strip():
        return f"printed {output.out.strip()!r}"
    for pattern in step.has:
        if not re.search(fill(pattern, words), output.out, re.MULTILINE):
            return f"no {pattern!r} in {output.out.strip()!r}"
    for pattern in step.err:
        if not re.search(fill(pattern, words), output.err, re.MULTILINE):
            return f"no {pattern!r} in {output.err.strip()!r}"
    for pattern in step.not_:
        if re.search(fill(pattern, words), output.out, re.MULTILINE):
            return f"{pattern!r} in {output.out.strip()!r}"
    return ""
