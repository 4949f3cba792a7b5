"""Documentation is executed: fixed sections, every example parses, every property is in the syntax."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import seamark
from seamark.dns.corefile.lexer import CorefileError
from seamark.dns.corefile.parser import parse_corefile
from seamark.dns.order import IMPLEMENTED, ORDER
from seamark.dns.server.instance import parse_server

PLUGINS = Path(seamark.__file__).parent / "dns" / "plugins"
SECTIONS = ["Name", "Description", "Syntax", "Examples", "Metrics", "Bugs"]
NAMES = sorted(IMPLEMENTED)


def readme(name: str) -> str:
    return (PLUGINS / name / "README.md").read_text()


def examples() -> list[tuple[str, str]]:
    return [(name, text) for name in NAMES for text in re.findall(r"```corefile\n(.*?)```", readme(name), re.DOTALL)]


@pytest.mark.parametrize("name", NAMES)
def test_a_plugin_is_a_folder_with_a_readme_of_fixed_sections(name: str) -> None:
    assert {"README.md", "config.py", "handler.py"} <= {p.name for p in (PLUGINS / name).iterdir()}
    assert re.findall(r"^## (.*)$", readme(name), re.MULTILINE) == SECTIONS
    assert readme(name).startswith(f"# {name}\n\n## Name\n\n*{name}* - ")
    assert any(found == name for found, _ in examples())


@pytest.mark.parametrize(("name", "text"), examples(), ids=[name for name, _ in examples()])
def test_every_example_parses(name: str, text: str) -> None:
    blocks = parse_server(parse_corefile(text, file="README.md", environment={}))
    assert any(name == used for block in blocks for used, _ in block.plugins)


@pytest.mark.parametrize("name", NAMES)
def test_every_property_is_in_the_syntax(name: str) -> None:
    arguments = {
        "dnstap": " /sock",
        "forward": " . 192.0.2.1",
        "grpc": " . 192.0.2.1",
        "log": " .",
        "bind": " ::1",
        "tls": " c k",
        "root": " /",
        "file": " db",
        "autopath": " @kubernetes",
        "template": " IN A",
    }.get(name, "")
    try:
        parse_server(parse_corefile(f". {{\n{name}{arguments} {{\nno-such\n}}\n}}\n", file="C", environment={}))
    except CorefileError as error:
        known = re.search(r"\(known: (.*)\)", error.message)
    syntax = readme(name).split("## Syntax")[1].split("## Examples")[0]
    for word in known[1].split(", ") if known and known[1] != "none" else []:
        assert word in syntax


OWN = {"plugin_path"}


def test_the_order_is_coredns_and_holds_all() -> None:
    assert len(ORDER) == len(set(ORDER)) == 62 + len(OWN)
    assert set(ORDER) >= IMPLEMENTED
    assert [n for n in ORDER if n in ("hosts", "kubernetes", "loop", "forward")] == [
        "hosts",
        "kubernetes",
        "loop",
        "forward",
    ]
    assert {p.name for p in PLUGINS.iterdir() if (p / "handler.py").exists()} == IMPLEMENTED
