"""Templates say what Go's text/template says (recorded), with the data of the plugin template."""

from __future__ import annotations

import re
from pathlib import Path

import dns.message
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seamark.dns.gotemplate import TemplateError
from seamark.dns.patterns import compile_go
from seamark.dns.plugin import Query
from seamark.dns.plugins.template.data import Matched, Pattern, Said, parse_record_template, root_of

PATTERN = r"^(?P<host>[a-z]+)-(?P<n>[0-9]+)(-x)?\.(?P<zone>test)\.$"
VARIABLES = {
    "text": "abc",
    "num": 7,
    "float": 1.5,
    "list": ["x", "y", 3],
    "names": ["p", "q"],
    "map": {"k": "v", "n": 2},
    "none": None,
    "yes": True,
}
LINES = (Path(__file__).parent / "recorded.tsv").read_text().splitlines()
RECORDED = [tuple(line.split("\t")) for line in LINES if not line.startswith("# ")]
ESCAPES = {"\\\\": "\\", "\\n": "\n", "\\t": "\t"}


def plain(text: str) -> str:
    return re.sub(r"\\.", lambda found: ESCAPES[found[0]], text)


def matched() -> Matched:
    message = dns.message.make_query("Web-12.test.", "A", use_edns=0, payload=1232, want_dnssec=True)
    message.id = 7
    asked = message.question[0]
    query = Query(message, asked.name, asked.rdtype, "10.244.1.9", "udp", asked.name, 0.0)
    query.metadata = {"test/label": lambda: "shop"}
    compiled = compile_go(PATTERN)
    found = compiled.search(query.text)
    assert found is not None
    return Matched(query, found, Pattern(PATTERN, compiled), dict(VARIABLES))


def rendered(text: str) -> tuple[str, str]:
    """What it comes to, and how it is written."""
    template = parse_record_template(text)
    return template.render(root_of(matched(), Said("test.", "IN", "A"))), str(template)


@pytest.mark.parametrize(("text", "value", "written"), RECORDED)
def test_a_template_says_what_it_says_with_coredns(text: str, value: str, written: str) -> None:
    if not value.startswith("is "):  # what Go tells when it runs, is told here when it is read where that can be
        with pytest.raises(TemplateError):
            rendered(plain(text))
        return
    assert rendered(plain(text)) == (plain(value.removeprefix("is ")), plain(written))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{{ .Nope }}", "there is no field '.Nope' (known: .Zone, .Name,"),
        ("{{ nope 1 }}", "function 'nope' is not defined (known: and, eq,"),
        ("{{ $x }}", "undefined variable '$x'"),
        ("{{ if true }}x", "'{{end}}' is missing behind 'if'"),
        ("{{ .Name", "'}}' is missing"),
        ("{{ call .Name }}", "function 'call' is not defined"),
        ("{{ 1 | 2 }}", "can't give argument to non-function 2"),
        ("{{ ? }}", "'? }}' is no part of an action"),
        ("{{ if true }}" * 60 + "{{ end }}" * 60, "more than 50 blocks in one another"),
        ("{{ " + "(" * 60 + "1" + ")" * 60 + " }}", "more than 50 blocks in one another"),
    ],
)
def test_what_is_wrong_is_said_before_a_query_comes(text: str, reason: str) -> None:
    with pytest.raises(TemplateError, match=re.escape(reason)):
        parse_record_template(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{{ printf "%[1]d" 1 }}', "values are taken in their order"),
        ("{{ range 999999999 }}{{ end }}", "more than 100000 steps"),
        ('{{ define "r" }}{{ template "r" . }}{{ end }}{{ template "r" . }}', "more than 100 templates in one another"),
        ('{{ parseInt "256" 10 8 }}', "'256' does not fit into 8 bits"),
        ('{{ .Meta "a" "b" }}', "Meta takes 1 argument of text, not 2"),
    ],
)
def test_what_goes_wrong_while_it_runs_has_a_reason(text: str, reason: str) -> None:
    with pytest.raises(TemplateError, match=re.escape(reason)):
        rendered(text)


PARTS = [
    "{{",
    "}}",
    " ",
    ".Name",
    ".Group.n",
    "if",
    "else",
    "end",
    "range",
    "with",
    "$x",
    ":=",
    "|",
    '"a"',
    "1",
    "(",
    ")",
    "-",
]
MORE = [
    "printf",
    "eq",
    "not",
    ".",
    "{{ end }}",
    "{{- ",
    " -}}",
    "define",
    "template",
    "break",
    "nil",
    "`",
    "'",
    "/*",
    "\n",
    ",",
]


@given(st.lists(st.sampled_from(PARTS + MORE), max_size=25))
def test_any_parts_are_a_template_or_a_reason(parts: list[str]) -> None:
    try:
        rendered("".join(parts))
    except TemplateError as error:
        assert str(error)
